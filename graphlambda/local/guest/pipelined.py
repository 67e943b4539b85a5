"""Stands where `runtime_client` stands, the C part of awslambdaric that speaks HTTP.

In: calls of awslambdaric's own Python. Out: an answer and the next question in one piece, which spares service and
function a round trip each. Must not open anything before it is asked: a parent imports it for its children.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False  # the typing module costs 4 ms of a cold start
if TYPE_CHECKING:
    from collections.abc import Mapping

_API = "/2018-06-01/runtime/invocation"
_ASK = f"GET {_API}/next HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
_DEADLINE = "Lambda-Runtime-Deadline-Ms"
_CHUNK_BYTES = 1 << 18


class Link:
    """One connection to the Runtime API."""

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._data = b""
        self._answered = False
        """Whether an answer was sent, whose receipt was not read yet; the next question went with it."""

    def next(self) -> tuple[bytes, Mapping[str, str | int]]:
        """Wait for an invocation; return its payload and headers, the deadline as a number.

        Raises:
            ConnectionError: the service is gone, or did not take the answer before.
        """
        if self._answered:
            self._answered = False
            self._read()
        else:
            self._socket.sendall(_ASK)
        body, headers = self._read()
        return body, {**headers, _DEADLINE: int(headers[_DEADLINE])}

    def answer(self, request_id: str, kind: str, body: bytes) -> None:
        """Send a response or an error, and ask for the next invocation."""
        head = f"POST {_API}/{request_id}/{kind} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self._socket.sendall(head.encode() + body + _ASK)
        self._answered = True

    def _read(self) -> tuple[bytes, Mapping[str, str]]:
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            self._data += self._more()
        status, *lines = self._data[:end].decode("latin-1").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        body = self._body(self._data[end + 4 :], int(headers["Content-Length"]))
        if not status.startswith("HTTP/1.1 2"):
            raise ConnectionError(f"the Runtime API answered {status}: {body.decode(errors='replace')}")
        return body, headers

    def _body(self, data: bytes, size: int) -> bytes:
        parts, missing = [data], size - len(data)
        while missing > 0:
            parts.append(self._more())
            missing -= len(parts[-1])
        whole = b"".join(parts)
        self._data = whole[size:]
        return whole[:size] if self._data else whole

    def _more(self) -> bytes:
        data = self._socket.recv(_CHUNK_BYTES)
        if not data:
            raise ConnectionError("the Runtime API is gone")
        return data


_links: list[Link] = []


def _link() -> Link:
    if not _links:
        _links.append(Link(os.environ["AWS_LAMBDA_RUNTIME_API"]))
    return _links[0]


def initialize_client(user_agent: str) -> None:
    """Do nothing: the service does not ask who we are."""
    del user_agent


def next() -> tuple[bytes, Mapping[str, str | int]]:  # noqa: A001 - the name that awslambdaric calls
    """Wait for an invocation; return its payload and headers."""
    return _link().next()


def post_invocation_result(
    request_id: str, content: bytes, content_type: str, invocation_id: str | None = None
) -> None:
    """Send a response."""
    del content_type, invocation_id
    _link().answer(request_id, "response", content)


def post_error(request_id: str, content: str, fault: str, invocation_id: str | None = None) -> None:
    """Send an error."""
    del fault, invocation_id
    _link().answer(request_id, "error", content.encode())
