"""Reads an answer in HTTP/1.1 out of what a connection brings.

In: bytes, in pieces of any size. Out: an `Answer` when it is whole. Pure: must not know sockets.
Sources: RFC 9110 and RFC 9112.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphlambda.runtime.http1 import Headers

HEAD_BYTES = 1 << 16
"""Headers that are longer do not end."""

_WITHOUT_BODY = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Headers
    body: bytes
    kept: bool
    """Whether the connection takes another request."""


class Reader:
    """Reads one answer; interim answers before it are passed over."""

    __slots__ = ("_at", "_headers", "_is_bare", "_kept", "_length", "_received", "_status")

    def __init__(self, *, is_bare: bool = False) -> None:
        """`is_bare`: an answer has no body, whatever it says, as that to a successful CONNECT."""
        self._received = bytearray()
        self._is_bare = is_bare
        self._status = self._at = 0
        self._length: int | None = None
        self._kept = True
        self._headers = Headers("")

    def feed(self, data: bytes) -> Answer | None:
        """Take more bytes; return the answer if it is whole.

        Raises:
            ValueError: this is no answer, or more than one.
        """
        self._received += data
        while not self._status or 100 <= self._status < 200:
            if not self._read_head():
                return None
        if self._is_chunked:
            return self._from_chunks()
        if self._length is None:
            return None
        end = self._at + self._length
        if len(self._received) > end:
            raise ValueError("more than one answer")
        return self._answer(bytes(self._received[self._at : end])) if len(self._received) == end else None

    def end(self) -> Answer:
        """Return the answer that ends with its connection.

        Raises:
            ConnectionError: it is not whole.
        """
        if not self._status or self._length is not None or self._is_chunked:
            raise ConnectionError("the server ended the connection")
        self._kept = False
        return self._answer(bytes(self._received[self._at :]))

    def _answer(self, body: bytes) -> Answer:
        return Answer(self._status, self._headers, body, self._kept)

    @property
    def _is_chunked(self) -> bool:
        return self._length is None and self._headers.get("transfer-encoding").lower() == "chunked"

    def _read_head(self) -> bool:
        """Read headers; return whether they are all there."""
        end = self._received.find(b"\r\n\r\n", self._at)
        if end < 0:
            if len(self._received) - self._at > HEAD_BYTES:
                raise ValueError("headers that do not end")
            return False
        head = self._received[self._at : end].decode("latin-1")
        version, _, status = head[: head.find("\r\n")].partition(" ")
        if not version.startswith("HTTP/1."):
            raise ValueError(f"no answer in HTTP/1.1: {head[:80]!r}")
        self._status, self._headers, self._at = int(status[:3]), Headers(head), end + 4
        self._kept = version != "HTTP/1.0" and self._headers.get("connection").lower() != "close"
        self._length = self._length_told()
        return True

    def _length_told(self) -> int | None:
        if self._is_bare or self._status in _WITHOUT_BODY:
            return 0
        told = self._headers.get("content-length")
        return int(told) if told and not self._headers.get("transfer-encoding") else None

    def _from_chunks(self) -> Answer | None:
        """Return the answer if its last chunk is there, put together; chunks are few, so each time from the first."""
        at, body = self._at, bytearray()
        while (line := self._received.find(b"\r\n", at)) >= 0:
            size = int(self._received[at:line].partition(b";")[0], 16)
            if size == 0:
                return self._after_trailers(line + 2, bytes(body))
            at = line + 2 + size + 2
            if len(self._received) < at:
                return None
            body += self._received[line + 2 : at - 2]
        return None

    def _after_trailers(self, at: int, body: bytes) -> Answer | None:
        if self._received.startswith(b"\r\n", at) or self._received.find(b"\r\n\r\n", at) >= 0:
            return self._answer(body)
        return None
