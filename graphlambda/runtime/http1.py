"""A small HTTP/1.1 client on kept connections, for stores that speak it.

In: a request's method, target, headers and parts. Out: an answer, its body in private, writable memory. Must not
retry, nor wait longer than twice `CALM_S` and what the bytes take at `SLOWEST_BYTES_S`.

`http.client` would cost a cold start 25 ms to import, `socket` alone costs 7; it copies bodies that we receive in
place, and joins none of the parts that we send as they are. Sources: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

import os
import select
import socket
from time import monotonic, time

from .frame import allocate, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from .frame import Buffer

    Place: TypeAlias = Callable[[int, int], memoryview]
    """(status, bytes of the body) → memory for the body, or for its beginning where no more is wanted."""

    Dial: TypeAlias = Callable[[tuple[str, int]], socket.socket]
    """(host, port) → a connection to it."""

CONNECT_S = 5.0
"""Longest that one address may take to answer."""

CALM_S = 20.0
"""Longest silence of the server, and what each direction of an exchange may take apart from its bytes."""

SLOWEST_BYTES_S = 1 << 20
"""Bytes a second below which an exchange is given up."""

KEPT_S = 60.0
"""How long an idle connection is trusted: gateways forget those that are silent for 350 s, and may tell nobody; while its
environment is frozen, a function is told nothing."""

_HEAD_BYTES = 1 << 16
_AT_ONCE = 256  # buffers of one system call; Linux takes 1,024
_JOINED_BYTES = 1 << 14  # what is smaller is copied together: one packet, one system call


class Headers:
    """The headers of an answer, looked up in its text: of a dozen, two or three are asked for."""

    __slots__ = ("_lower", "_text")

    def __init__(self, text: str) -> None:
        """`text` is all before the body, from the first line's end on."""
        self._text = text
        self._lower = text.lower()

    def __contains__(self, name: str) -> bool:
        return f"\r\n{name}:" in self._lower

    def get(self, name: str, default: str = "") -> str:
        """Return the value of the first header of that name, which is given in lower case."""
        start = self._lower.find(f"\r\n{name}:")
        if start < 0:
            return default
        start += len(name) + 3
        end = self._text.find("\r\n", start)
        return self._text[start : end if end >= 0 else None].strip()


class Answer:
    """What a server answered."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: memoryview) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Http:
    """The connections of this process to one server; used from any thread."""

    def __init__(
        self,
        url: str,
        ca: str | None = None,
        calm_s: float = CALM_S,
        dial: Dial | None = None,
        clock: Callable[[], float] = time,
    ) -> None:
        """`url` is `http://host:port` or `https://…`; `ca` a file of certificates, None for the system's.

        `dial` makes connections another way than straight. `clock` goes on while this process is frozen.
        """
        scheme, _, self.host = url.partition("://")
        name, colon, port = self.host.rpartition(":")
        self._tls = scheme == "https"
        bare = name if colon and port.isdigit() else self.host
        self._address = (bare.strip("[]"), int(port) if bare is name else 443 if self._tls else 80)
        self._ca = ca
        self._calm_s = calm_s
        self._dial = dial or _dialled
        self._clock = clock
        self._owner = os.getpid()
        self._idle: list[_Connection] = []

    def __repr__(self) -> str:
        return f"Http({self.host!r})"

    def __del__(self) -> None:
        self.close()

    def exchange(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        parts: Sequence[Buffer] = (),
        *,
        place: Place | None = None,
    ) -> Answer:
        """Send a request and return its answer; `place` says where a body is received.

        Raises:
            OSError: there is no connection, it broke, or the server was silent or slow; what was done is unknown.
        """
        connection = self._connection()
        try:
            answer = connection.exchange(method, self._head(method, target, headers, parts), parts, place)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            connection.used_s = self._clock()
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _head(self, method: str, target: str, headers: Mapping[str, str], parts: Sequence[Buffer]) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if parts or method in {"PUT", "POST"}:
            lines.append(f"Content-Length: {size_of(parts)}")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _connection(self) -> _Connection:
        if (
            self._owner != os.getpid()
        ):  # a fork's child shares its parent's sockets, and must not speak on them
            self._owner, self._idle = os.getpid(), []
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if self._clock() - connection.used_s < KEPT_S and connection.is_quiet():
                return connection
            connection.close()
        return _Connection(self._connected(), self._calm_s)

    def _connected(self) -> socket.socket:
        sock = self._dial(self._address)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if not self._tls:
            return sock
        import ssl  # noqa: PLC0415  (13 ms, where a store asks for TLS only)

        try:
            context = ssl.create_default_context(cafile=self._ca)
            return context.wrap_socket(sock, server_hostname=self._address[0])
        except BaseException:
            sock.close()
            raise


class _Connection:
    """One connection; one exchange at a time."""

    def __init__(self, sock: socket.socket, calm_s: float) -> None:
        sock.settimeout(calm_s)
        self._socket = sock
        self._calm_s = calm_s
        self._gathers = type(sock) is socket.socket  # TLS takes one buffer at a time
        self._deadline = 0.0
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)
        self.reusable = True
        self.used_s = 0.0

    def is_quiet(self) -> bool:
        """Whether the server neither said anything since the last answer nor hung up."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def exchange(self, method: str, head: bytes, parts: Sequence[Buffer], place: Place | None) -> Answer:
        """Send and receive; see `Http.exchange`."""
        self._allow(size_of(parts))
        try:
            self._send(head, parts)
        except (BrokenPipeError, ConnectionResetError):  # refused before all was sent: the answer may say why
            self.reusable = False
            try:
                return self._answer(method, place)
            except OSError:
                pass
            raise
        return self._answer(method, place)

    def _allow(self, size_bytes: int) -> None:
        self._deadline = monotonic() + self._calm_s + size_bytes / SLOWEST_BYTES_S

    def _check_pace(self) -> None:
        """Give up what is too slow; what is silent ends by the socket's own timeout."""
        if monotonic() > self._deadline:
            raise TimeoutError(f"slower than {SLOWEST_BYTES_S >> 20} MiB/s")

    def _send(self, head: bytes, parts: Sequence[Buffer]) -> None:
        if size_of(parts) <= _JOINED_BYTES:
            head, parts = b"".join((head, *parts)), ()
        at_once = _AT_ONCE if self._gathers else 1
        views = [memoryview(part) for part in (head, *parts) if len(part)]
        for start in range(0, len(views), at_once):
            self._send_some(views[start : start + at_once])

    def _send_some(self, views: list[memoryview]) -> None:
        while views:
            self._check_pace()
            sent = self._socket.sendmsg(views) if self._gathers else self._socket.send(views[0])
            while views and sent >= len(views[0]):
                sent -= len(views.pop(0))
            if sent:
                views[0] = views[0][sent:]

    def _answer(self, method: str, place: Place | None) -> Answer:
        try:
            return self._received(method, place)
        except ValueError as error:  # a number that is none
            raise ConnectionError(f"no answer in HTTP/1.1: {error}") from error

    def _received(self, method: str, place: Place | None) -> Answer:
        self._allow(0)
        status, headers, rest = self._read_head()
        while 100 <= status < 200:  # an interim answer
            status, headers, rest = self._read_head(rest)
        if headers.get("connection", "").lower() == "close":
            self.reusable = False
        if method == "HEAD" or status in {204, 304}:
            return Answer(status, headers, memoryview(bytearray()))
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return Answer(status, headers, memoryview(self._read_chunks(rest)))
        if "content-length" not in headers:
            raise ValueError("a body without a length")
        size = int(headers.get("content-length"))
        body = allocate(size) if place is None else place(status, size)
        if len(body) < size:  # no more is wanted
            self.reusable = False
        self._fill(body, rest[: len(body)] if len(body) < size else rest)
        return Answer(status, headers, body)

    def _read_head(self, rest: bytes = b"") -> tuple[int, Headers, bytes]:
        while (end := rest.find(b"\r\n\r\n")) < 0:
            if len(rest) > _HEAD_BYTES:
                raise ValueError("headers that do not end")
            rest += self._some()
        head = rest[:end].decode("latin-1")
        version, _, status = head[: head.find("\r\n")].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(head[:80])
        self.reusable &= version != "HTTP/1.0"
        return int(status[:3]), Headers(head), rest[end + 4 :]

    def _some(self) -> bytes:
        self._check_pace()
        found = self._socket.recv(_HEAD_BYTES)
        if not found:
            raise ConnectionError("the server ended the connection")
        return found

    def _fill(self, body: memoryview, rest: bytes) -> None:
        """Receive the rest of a body in place."""
        if len(rest) > len(body):
            raise ValueError("a body longer than it says")
        self._allow(len(body))
        at = len(rest)
        body[:at] = rest
        while at < len(body):
            self._check_pace()
            got = self._socket.recv_into(body[at:])
            if not got:
                raise ConnectionError(f"the server ended the connection after {at} of {len(body)} bytes")
            at += got

    def _read_chunks(self, rest: bytes) -> bytearray:
        body = bytearray()
        while True:
            line, rest = self._until_line(rest)
            size = int(line.partition(b";")[0], 16)
            while len(rest) < size + 2:
                rest += self._some()
            body += rest[:size]
            rest = rest[size + 2 :]
            if size == 0:
                self.reusable &= not rest  # what follows would be trailers: nothing that we ask for
                return body

    def _until_line(self, rest: bytes) -> tuple[bytes, bytes]:
        while b"\r\n" not in rest:
            rest += self._some()
        line, _, rest = rest.partition(b"\r\n")
        return line, rest


def _dialled(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, CONNECT_S)
