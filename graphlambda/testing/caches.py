"""A serverless cache of ElastiCache to test against: TLS and IAM before a real Valkey server.

In: a server's URL, whose keys are known. Out: a front that takes who shows a token that botocore would have made. Must not
be reachable from outside, nor let anything pass before that.
"""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from graphlambda.runtime.resp import Address, Refused, Server
from graphlambda.store.valkey import spec_of
from graphlambda.testing.servers import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.runtime.identity import Keys
    from graphlambda.runtime.resp import Command

BUSY = b"-ERR service is not available\r\n"
_SKEW_S = 300.0


@dataclass(slots=True)
class CacheFront:
    """What stands before the server, and what it has seen."""

    server: Server
    keys: Keys
    """Whose signatures it knows."""

    name: str
    user: str
    region: str
    certificate: Path
    port: int = 0
    busy: int = 0
    """How many connections it takes for too many at once, from now on."""

    sessions: int = 0
    renewed: int = 0
    """Connections that showed another token later."""

    refused: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it is, as a `store` setting says it."""
        query = f"iam={self.name}&region={self.region}&ssl_ca_certs={self.certificate}"
        return f"rediss://{self.user}@localhost:{self.port}?{query}"

    def fault_of(self, user: str, token: str) -> str:
        """Return what is wrong with who comes; empty where nothing is."""
        url = urlsplit(f"https://{token}")
        told = {name: values[0] for name, values in parse_qs(url.query).items()}
        wanted = {"Action": "connect", "User": self.user, "ResourceType": "ServerlessCache"}
        if user != self.user or any(told.get(name) != value for name, value in wanted.items()):
            return f"{user} is not {self.user}, or the token is for something else"
        if url.netloc != self.name.lower():
            return f"the token is for {url.netloc}"
        signed = datetime.strptime(told["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
        lasts_s = int(told["X-Amz-Expires"])
        if not 0 < lasts_s <= 900 or not -_SKEW_S < time.time() - signed.timestamp() < lasts_s:
            return "the token is expired, or for too long"
        if told.get("X-Amz-Security-Token") != self.keys.token:
            return "the token is of another session of AWS"
        unsigned, _, signature = token.rpartition("&X-Amz-Signature=")
        known = self._signature(unsigned, told["X-Amz-Date"])
        return "" if compare_digest(known, signature) else "the signature is not that of these keys"

    def _signature(self, unsigned: str, moment: str) -> str:
        """Return how botocore signs a token."""
        request = AWSRequest("GET", f"https://{unsigned}")
        request.context["timestamp"] = moment
        credentials = Credentials(self.keys.access_key, self.keys.secret_key, self.keys.token)
        signer = SigV4QueryAuth(credentials, "elasticache", self.region)
        text = signer.string_to_sign(request, signer.canonical_request(request))
        return str(signer.signature(text, request))


@contextmanager
def cache_front(folder: Path, server_url: str, keys: Keys) -> Iterator[CacheFront]:
    """Run a front before a server on loopback."""
    folder.mkdir(exist_ok=True)
    certificate, key = self_signed(folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = Server(Address(spec_of(server_url)))
    front = CacheFront(server, keys, "Graphlambda-Test", "default", "eu-central-1", certificate)
    with _Listening(("127.0.0.1", 0), front, tls) as listening:
        front.port = listening.server_address[1]
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield front
        finally:
            listening.shutdown()
            listening.close_all()
            thread.join()
            server.close()


class _Listening(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, place: tuple[str, int], front: CacheFront, tls: ssl.SSLContext) -> None:
        self.front = front
        self.tls = tls
        self.open: set[Any] = set()
        super().__init__(place, _Session)

    def close_all(self) -> None:
        """Hang up on everybody."""
        for each in list(self.open):
            with suppress(OSError):
                each.shutdown(2)


class _Session(socketserver.BaseRequestHandler):
    """One connection: commands are carried out one by one, in their order."""

    server: _Listening

    def handle(self) -> None:
        """Serve until the client hangs up, or was refused."""
        self.server.open.add(self.request)
        try:
            with (
                suppress(OSError, EOFError),
                self.server.tls.wrap_socket(self.request, server_side=True) as secured,
            ):
                self.server.open.add(secured)
                self._serve(secured.makefile("rb"), secured)
                self.server.open.discard(secured)
        finally:
            self.server.open.discard(self.request)

    def _serve(self, reader: Any, writer: ssl.SSLSocket) -> None:
        front, known = self.server.front, False
        while True:
            command = _command(reader)
            if command[0].upper() == b"AUTH":
                answer = self._greeted(command, again=known)
                writer.sendall(answer)
                if answer != b"+OK\r\n":
                    return
                known = True
            elif not known:
                writer.sendall(b"-NOAUTH Authentication required.\r\n")
            else:
                (told,) = front.server.run([[[each] for each in command]])
                writer.sendall(_packed(told))

    def _greeted(self, command: Command, *, again: bool) -> bytes:
        front = self.server.front
        if front.busy:
            front.busy -= 1
            return BUSY
        user, token = (bytes(each).decode() for each in command[1:])  # type: ignore[arg-type]
        if fault := front.fault_of(user, token):
            front.refused.append(fault)
            return b"-WRONGPASS invalid username-password pair or user is disabled.\r\n"
        front.sessions += not again
        front.renewed += again
        return b"+OK\r\n"


def _command(reader: Any) -> list[bytes]:
    """Read a command; raises EOFError where there is none."""
    arguments = []
    for _ in range(_number(reader)):
        size = _number(reader)
        arguments.append(reader.read(size))
        reader.read(2)
    return arguments


def _number(reader: Any) -> int:
    line = reader.readline()
    if not line:
        raise EOFError
    return int(line[1:])


def _packed(told: Any) -> bytes:
    """Return a reply as the server sent it."""
    if told is None:
        return b"$-1\r\n"
    if isinstance(told, bool | int):
        return b":%d\r\n" % told
    if isinstance(told, bytes):
        return b"+%b\r\n" % told
    if isinstance(told, Refused):
        return f"-{told}\r\n".encode()
    if isinstance(told, list):
        return b"*%d\r\n" % len(told) + b"".join(map(_packed, told))
    return b"$%d\r\n%b\r\n" % (len(told), bytes(told))
