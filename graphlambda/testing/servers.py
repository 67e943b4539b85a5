"""Servers that stores are tested against: real ones, on loopback or a unix socket, which end with the test.

In: a folder, and what kind of server. Out: the URL of a running one. Must not be reachable without credentials.
"""

from __future__ import annotations

import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from random import SystemRandom
from secrets import token_hex
from typing import TYPE_CHECKING

from graphlambda.runtime.resp import Address, Server
from graphlambda.store.server import OwnServer, binary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CLUSTER_S = 30.0
"""How long a cluster may take until all its slots are served."""

_SLOTS = 16384
_OWN_PORTS = 10_000, 32_000


@contextmanager
def valkey(
    folder: Path, settings: Mapping[str, str] | None = None, program: Path | None = None
) -> Iterator[str]:
    """Run a server on loopback that asks for a password; yield its URL."""
    password, port = token_hex(16), free_port()
    folder.mkdir(exist_ok=True)
    wanted = {"bind": "127.0.0.1", "port": str(port), "requirepass": password, **(settings or {})}
    with OwnServer(program or binary(), folder, wanted) as server:
        url = f"redis://:{password}@127.0.0.1:{port}"
        server.wait_for(Address({"host": "127.0.0.1", "port": port, "password": password}))
        yield url


@contextmanager
def valkey_with_tls(folder: Path, program: Path) -> Iterator[str]:
    """Run a server that speaks TLS only; yield its URL, which names the certificate to trust."""
    password, port = token_hex(16), free_port()
    folder.mkdir()
    certificate, key = self_signed(folder)
    settings = {
        "bind": "127.0.0.1",
        "port": "0",
        "tls-port": str(port),
        "tls-cert-file": str(certificate),
        "tls-key-file": str(key),
        "tls-auth-clients": "no",
        "requirepass": password,
    }
    with OwnServer(program, folder, settings) as server:
        spec = {"host": "localhost", "port": port, "tls": True, "password": password}
        server.wait_for(Address({**spec, "ca": certificate.read_text()}))
        yield f"rediss://:{password}@localhost:{port}?ssl_ca_certs={certificate}"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for localhost and its key, made in a folder."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "1",
        "-subj",
        "/CN=localhost",
    ]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*made, *names], check=True, capture_output=True, timeout=60)
    return certificate, key


@contextmanager
def valkey_cluster(folder: Path, nodes: int) -> Iterator[str]:
    """Run a cluster whose nodes share the slots; yield the URL of its first node."""
    password = token_hex(16)
    with ExitStack() as running:
        ports = [running.enter_context(_node(folder / str(number), password)) for number in range(nodes)]
        servers = [running.enter_context(closing(Server(_at(port, password)))) for port, _ in ports]
        for number, server in enumerate(servers):
            first, past = (_SLOTS * edge // nodes for edge in (number, number + 1))
            server.run([(b"CLUSTER", b"ADDSLOTSRANGE", b"%d" % first, b"%d" % (past - 1))])
        for port, bus in ports[1:]:
            servers[0].run([(b"CLUSTER", b"MEET", b"127.0.0.1", b"%d" % port, b"%d" % bus)])
        _wait_until_whole(servers)
        yield f"redis://:{password}@127.0.0.1:{ports[0][0]}"


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """Return ports of loopback that nobody listens at, none of which the system gives away before they are taken."""
    with ExitStack() as probing:
        return [_held_port(probing.enter_context(socket.socket())) for _ in range(count)]


def _held_port(probe: socket.socket) -> int:
    """Bind a socket to a port below those that the system chooses from; several processes rarely draw the same."""
    while True:
        port = SystemRandom().randrange(*_OWN_PORTS)
        with suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def _node(folder: Path, password: str) -> Iterator[tuple[int, int]]:
    """Run a node; yield its port, and the one that other nodes use."""
    folder.mkdir(parents=True)
    settings = {"cluster-enabled": "yes", "cluster-node-timeout": "5000", "masterauth": password}
    with ExitStack() as running:
        port, bus = free_ports(2)
        wanted = {"bind": "127.0.0.1", "port": str(port), "cluster-port": str(bus), "requirepass": password}
        server = running.enter_context(OwnServer(binary(), folder, {**wanted, **settings}))
        server.wait_for(_at(port, password))
        yield port, bus


def _at(port: int, password: str) -> Address:
    return Address({"host": "127.0.0.1", "port": port, "password": password})


def _wait_until_whole(servers: list[Server]) -> None:
    deadline_s = time.monotonic() + CLUSTER_S
    told = [b""]
    while time.monotonic() < deadline_s:
        told = [bytes(server.run([(b"CLUSTER", b"INFO")])[0]) for server in servers]
        nodes = b"cluster_known_nodes:%d\r" % len(servers)
        if all(b"cluster_state:ok" in each and nodes in each for each in told):
            return
        time.sleep(0.05)
    raise TimeoutError(f"the cluster did not become whole within {CLUSTER_S:.0f} s: {told!r}")
