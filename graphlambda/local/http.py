"""HTTP/1.1 on an `asyncio.Protocol`: only what boto3, the AWS CLI and Runtime API clients use.

In: bytes of a connection. Out: one `Request` at a time to an `App`, and its `Answer` back, in order.
Must not know Lambda. A web framework costs 0.1 ms more for each warm invocation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol, cast

from graphlambda.local.answers import Answer, ServiceError

HEAD_BYTES = 65_536
"""The longest request line and headers that are read."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Head:
    """A request without its body."""

    method: str
    path: str
    """As sent: still percent-encoded, without the query."""

    query: str
    """As sent, without `?`."""

    headers: Mapping[str, str]
    """By lower-case name."""

    length: int
    """Of the body, in bytes."""


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request."""

    head: Head
    body: bytes


Reply = Callable[[Answer], None]
"""Sends the answer to one request; called exactly once, at any later time of the same loop."""


class App(Protocol):
    """What serves the requests of a port."""

    body_bytes: int
    """The largest body that is read."""

    answers_together: bool
    """Whether the answer to a request may wait for that to the next, if both requests came together."""

    def accepts(self, peer: tuple[str, int]) -> bool:
        """Return whether this peer may speak to us at all; a refused connection is closed at once."""

    def admit(self, head: Head) -> None:
        """Raise `ServiceError` for a request whose body is not worth reading."""

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer a request, now or later. A `ServiceError` raised here is the answer."""

    def lost(self, reply: Reply) -> None:
        """Learn that the connection that waits for this reply is gone."""


@lru_cache(maxsize=64)
def parse_head(content: bytes) -> Head:
    """Return the parts of a request's head; a client that asks the same again and again is read once.

    Raises:
        ServiceError: it is not HTTP/1.1, or the size of its body is not said as a number.
    """
    first, *lines = content.decode("latin-1").split("\r\n")
    parts = first.split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise ServiceError(400, "BadRequest", "This port speaks HTTP/1.1")
    path, _, query = parts[1].partition("?")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key = name.lower()
        if key in headers:
            raise ServiceError(400, "BadRequest", f"The header {key} is there twice")
        headers[key] = value.strip()
    return Head(parts[0], path, query, headers, _length(headers))


def _length(headers: Mapping[str, str]) -> int:
    if "transfer-encoding" in headers:
        raise ServiceError(411, "LengthRequired", "Send a Content-Length; chunks are not read here")
    text = headers.get("content-length", "0")
    if not text.isascii() or not text.isdigit():
        raise ServiceError(400, "BadRequest", "Content-Length is not a number")
    return int(text)


def render(answer: Answer) -> bytes:
    """Return the bytes of an answer."""
    extra = "".join(f"{name}: {value}\r\n" for name, value in answer.headers)
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, '')}\r\n"
        f"Content-Type: application/json\r\n{extra}Content-Length: {len(answer.body)}\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body


class Connection(asyncio.Protocol):
    """One client's connection: reads a request, waits for its answer, reads the next."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._most_bytes = HEAD_BYTES + app.body_bytes
        self._buffer = bytearray()
        self._head: Head | None = None
        self._waiting = False
        self._proceeding = False
        self._answers = b""
        """What is ready to be sent."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close the connection at once unless its peer may speak to us."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._app.accepts(self._transport.get_extra_info("peername")):
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the app if somebody waited for an answer."""
        del exc
        if self._waiting:
            self._app.lost(self.answer)

    def data_received(self, data: bytes) -> None:
        """Serve what has arrived whole."""
        self._buffer += data
        if len(self._buffer) > self._most_bytes:
            self._refuse(ServiceError(413, "RequestTooLargeException", "The request is too large"))
            return
        self._proceed()

    def answer(self, answer: Answer) -> None:
        """Send the answer to the request that waits; nothing is sent to a client that has gone."""
        self._waiting = False
        self._answers += render(answer)
        if self._proceeding:
            return
        self._send()
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._proceed)

    def _send(self) -> None:
        answers, self._answers = self._answers, b""
        if answers and not self._transport.is_closing():
            self._transport.write(answers)

    def _proceed(self) -> None:
        self._proceeding = True
        try:
            while not self._waiting and (head := self._take_head()) and len(self._buffer) >= head.length:
                self._serve(head)
        except ServiceError as error:
            self._refuse(error)
        finally:
            self._proceeding = False
        if not (self._waiting and self._app.answers_together):
            self._send()

    def _take_head(self) -> Head | None:
        """Return the head of the request that is next, if it has arrived."""
        if self._head is not None:
            return self._head
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_BYTES:
                raise ServiceError(431, "BadRequest", "The headers are too large")
            return None
        head = parse_head(bytes(self._buffer[:end]))
        del self._buffer[: end + 4]
        if head.length > self._app.body_bytes:
            raise ServiceError(
                413, "RequestTooLargeException", f"Request must be smaller than {self._app.body_bytes} bytes"
            )
        self._app.admit(head)
        self._head = head
        if "expect" in head.headers and head.headers["expect"].lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return head

    def _serve(self, head: Head) -> None:
        self._head = None
        request = Request(head, bytes(self._buffer[: head.length]))
        del self._buffer[: head.length]
        self._waiting = True
        try:
            self._app.serve(request, self.answer)
        except ServiceError as error:
            self.answer(error.answer())

    def _refuse(self, error: ServiceError) -> None:
        """Answer what cannot be read on from, and close."""
        self._buffer.clear()
        self._send()
        if not self._transport.is_closing():
            self._transport.write(render(error.answer()))
            self._transport.close()
