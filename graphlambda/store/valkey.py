"""The Valkey store: values in a Valkey or Redis server, or a cluster of them.

In: frames. Out: keys that expire. Built on `runtime.valkey`, which functions use themselves and which describes the
keys; what only a client needs (leases, listing, names of servers) is here.

A run's keys are listed in a set of its own, so that dropping it scans no server; `gl:.runs` lists the runs. Each key
lives for an hour from its last renewal: `touch` renews the lease, and every quarter of an hour all of its run's keys.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from graphlambda.errors import ConfigError, StoreError
from graphlambda.runtime.cluster import Cluster
from graphlambda.runtime.resp import Address, Refused, Server
from graphlambda.runtime.valkey import (
    RUNS,
    TTL_S,
    ValkeyClient,
    age_s,
    key_of,
    keys_of,
    lease_key,
    names_key,
)
from graphlambda.runtime.values import CANCELLED, LEASE_S
from graphlambda.store.base import ClientStore, translated
from graphlambda.store.namespaces import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphlambda.runtime.identity import Keys
    from graphlambda.runtime.resp import Command, Reply

_TTL = str(TTL_S).encode()
_RENEWED_EVERY_S = TTL_S / 4
_STALE_MS = str(int(1000 * (TTL_S - LEASE_S - 1))).encode()
_AT_ONCE = 1000
"""How many names are looked at with one command."""


class ValkeyStore(ClientStore):
    """Values in one server or cluster."""

    _client: ValkeyClient

    def __init__(
        self,
        spec: dict[str, Any],
        *,
        told: dict[str, Any] | None = None,
        keys: Callable[[], Keys] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use what `spec_of` returned, and tell functions `told` instead if it is given; nothing is sent yet.

        `keys` signs for this client at a cache that asks IAM; functions sign with their own.
        """
        self._told = told or spec
        self._tells_room = "iam" not in spec
        self._clock = clock
        self._client = ValkeyClient.of(spec, keys)
        self._renewed_s: dict[str, float] = {}

    def __repr__(self) -> str:
        return f"ValkeyStore({self.address!r})"

    @property
    def address(self) -> str:
        """Return `valkey:` and the socket or host and port."""
        return f"valkey:{self._client.server.address}"

    def spec(self) -> dict[str, Any]:
        """Return what a request says of the store, a password for functions included; see `guests`."""
        return self._told

    def touch(self, run: str) -> None:
        """Set the run's lease, or renew it; now and then all of its keys."""
        lease = lease_key(run)
        began: list[Command] = [
            (b"SET", lease, b"go", b"NX", b"EX", _TTL),
            (b"EXPIRE", lease, _TTL),
            (b"EXPIRE", names_key(run), _TTL),
            (b"SADD", RUNS, run.encode()),
            (b"EXPIRE", RUNS, _TTL),
        ]
        self._run(began)
        now_s = self._clock()
        if now_s - self._renewed_s.setdefault(run, now_s) >= _RENEWED_EVERY_S:
            self._renewed_s[run] = now_s
            for entries in self._entries(run):
                self._run([(b"EXPIRE", key, _TTL) for entry in entries for key in keys_of(run, entry)])

    def room_bytes(self) -> int | None:
        """Return what the server, or the nodes together, may still take; None where one has no bound, or is serverless."""
        if not self._tells_room:
            return None
        server = self._client.server
        nodes = server.servers() if isinstance(server, Cluster) else [server]
        with at_server(server.address):
            told = [_figures(node.run([(b"INFO", b"memory")])[0]) for node in nodes]
        if not all(int(figures["maxmemory"]) for figures in told):
            return None
        return sum(max(0, int(figures["maxmemory"]) - int(figures["used_memory"])) for figures in told)

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over."""
        with translated():
            self._client.delete(run, names)

    def values(self, run: str) -> dict[str, Held]:
        """Return what a run's names stand for and is there."""
        found: dict[str, Held] = {}
        for entries in self._entries(run):
            names = sorted({entry.partition(b":")[0].decode() for entry in entries})
            with translated():
                sizes = self._client.sizes(run, names)
            left_ms = self._run([(b"PTTL", key_of(run, name)) for name in names])
            known = zip(names, sizes, left_ms, strict=True)
            found |= {name: Held(size, age_s(ms)) for name, size, ms in known if size is not None}
        return found

    def use(self, run: str, names: Iterable[str]) -> None:
        """Let the keys of values live for as long as new ones."""
        used = set(names)
        for entries in self._entries(run):
            named = [entry for entry in entries if entry.partition(b":")[0].decode() in used]
            self._run([(b"EXPIRE", key, _TTL) for entry in named for key in keys_of(run, entry)])

    def cancel(self, run: str) -> None:
        """Set the run's lease to what says so; on a full server, to the age at which its client counts as lost."""
        server, lease = self._client.server, lease_key(run)
        with at_server(server.address):
            (told,) = server.run([(b"SET", lease, CANCELLED.encode(), b"XX", b"KEEPTTL")])
            if isinstance(told, Refused) and told.code == "OOM":
                (told,) = server.run([(b"PEXPIRE", lease, _STALE_MS)])
            if isinstance(told, Refused):
                raise told

    def drop(self, run: str) -> None:
        """Delete the run's lease, so that nobody writes to it any more, then its values."""
        self._renewed_s.pop(run, None)
        with translated():
            self._client.drop(run)

    def janitor_spec(self) -> dict[str, Any]:
        """Return what functions are told of the server: they may be nearer to it."""
        return self._told

    def runs(self) -> dict[str, float]:
        """Return the age of each run's lease; a run whose lease expired is there no longer."""
        (members,) = self._run([(b"SMEMBERS", RUNS)])
        names = sorted(bytes(member).decode() for member in members)
        left_ms = self._run([(b"PTTL", lease_key(name)) for name in names])
        ages = {name: age_s(ms) for name, ms in zip(names, left_ms, strict=True) if ms >= 0}
        if gone := [name.encode() for name in names if name not in ages]:
            self._run([(b"SREM", RUNS, *gone)])
        return ages

    def _entries(self, run: str) -> Iterator[list[bytes]]:
        cursor = b"0"
        while True:
            scan = (b"SSCAN", names_key(run), cursor, b"COUNT", str(_AT_ONCE).encode())
            ((following, entries),) = self._run([scan])
            yield list(map(bytes, entries))
            if (cursor := bytes(following)) == b"0":
                return

    def _run(self, commands: Sequence[Command]) -> list[Reply]:
        server = self._client.server
        with at_server(server.address):
            replies = server.run(commands)
            for reply in replies:
                if isinstance(reply, Refused):
                    raise reply
        return replies


def spec_of(url: str, keys: Callable[[], Keys] | None = None) -> dict[str, Any]:
    """Return what names a server, as a request says it, after asking the server whether it is a cluster.

    `redis://[user:password@]host[:port][/database]`, `rediss://` for TLS (`?ssl_ca_certs=` names a file of
    certificates to trust), `unix:/path/of/socket`. For `?functions=`, see `guests`. `rediss://user@host?iam=cache&region=…`
    is a serverless cache of ElastiCache, at which `keys` signs; whatever its nodes are, it answers as one server.

    Raises:
        ConfigError: the URL says something else.
        StoreError: the server is out of reach, or does not know us.
    """
    spec = _parsed(url)
    server = Server(Address(spec, keys))
    with at_server(server.address):
        if "iam" in spec:
            server.run([(b"PING",)])
            server.close()
            return {**spec, "cluster": False}
        told = _figures(server.run([(b"INFO", b"cluster")])[0])
    server.close()
    return {**spec, "cluster": told.get("cluster_enabled") == "1"}


def _parsed(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme == "unix" and parts.path.startswith("/"):
        place: dict[str, Any] = {"path": parts.path}
    elif parts.scheme in {"redis", "rediss"} and parts.hostname:
        place = {"host": parts.hostname, "port": parts.port or 6379, "tls": parts.scheme == "rediss"}
    else:
        raise ConfigError("a store's URL is redis://host:port, rediss://host:port or unix:/path")
    who = {"user": unquote(parts.username or ""), "password": unquote(parts.password or "")}
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    certificates = {"ca": Path(asked["ssl_ca_certs"]).read_text()} if "ssl_ca_certs" in asked else {}
    database = parts.path.strip("/") if "host" in place else ""
    iam = {"iam": _iam(asked, place, who)} if "iam" in asked else {}
    return {"kind": "valkey", **place, **who, **certificates, **iam, "database": database}


def _iam(asked: Mapping[str, str], place: Mapping[str, Any], who: Mapping[str, str]) -> dict[str, str]:
    """Return what a token is made for. A password would be sent in its place, a token without TLS to anybody."""
    if not (place.get("tls") and who["user"] and not who["password"] and asked.get("region")):
        raise ConfigError(
            "a cache that asks IAM is rediss://user@host:port?iam=name-of-the-cache&region=its-region"
        )
    return {"cache": asked["iam"], "region": asked["region"]}


def _figures(told: Reply) -> dict[str, str]:
    """Return what INFO says, by name."""
    if isinstance(told, Refused):
        raise told
    lines = bytes(told).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


@contextmanager
def at_server(address: Address) -> Iterator[None]:
    """Translate what a server's connection raises into `StoreError`."""
    try:
        yield
    except (OSError, Refused) as error:
        raise StoreError(f"the Valkey store at {address} failed: {error}") from error
