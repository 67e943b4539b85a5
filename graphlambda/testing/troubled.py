"""A proxy that gives trouble on purpose, in front of a real server: busy, cut off, cut short, silent.

In: a server's URL and a trouble for each exchange to come. Out: a URL. Must not change what it lets through.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections import Counter, deque
from contextlib import contextmanager
from enum import StrEnum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
_ABORT = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset


class Trouble(StrEnum):
    """What happens to one exchange."""

    NONE = "none"

    SLOW_DOWN = "slow down"
    """503, and the request goes nowhere."""

    UNREACHED = "unreached"
    """The connection is reset before the request reaches the server."""

    ANSWER_LOST = "answer lost"
    """The server does what it was asked, and the connection is reset instead of its answer."""

    TRUNCATED = "truncated"
    """Half of the answer's body, then the end of the connection."""

    SILENT = "silent"
    """No answer at all, for as long as the client waits."""


class Proxy(ThreadingHTTPServer):
    """Passes requests on; each takes the next trouble, none when there are no more."""

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.troubles: deque[Trouble] = deque()
        self.seen: Counter[Trouble] = Counter()
        self.ending = threading.Event()

    @property
    def url(self) -> str:
        """Return where the proxy listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def give(self, troubles: Iterable[Trouble]) -> None:
        """Set what happens to the exchanges to come."""
        self.troubles.extend(troubles)

    def taken(self) -> Trouble:
        """Return what happens to this exchange."""
        trouble = self.troubles.popleft() if self.troubles else Trouble.NONE
        self.seen[trouble] += 1
        return trouble


@contextmanager
def troubled(upstream: str) -> Iterator[Proxy]:
    """Run a proxy in front of a server."""
    with Proxy(upstream) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ending.set()
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Proxy
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def _pass(self) -> None:
        trouble = self.server.taken()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if trouble is Trouble.SLOW_DOWN:
            self._answer(503, {"Content-Length": str(len(SLOW_DOWN))}, SLOW_DOWN)
        elif trouble is Trouble.UNREACHED:
            self._reset()
        elif trouble is Trouble.SILENT:
            self.server.ending.wait()
            self.close_connection = True
        else:
            self._passed_on(body, trouble)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass  # noqa: N815  (the base class's names)

    def _passed_on(self, body: bytes, trouble: Trouble) -> None:
        upstream = HTTPConnection(self.server.upstream, timeout=30)
        try:
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            answer = upstream.getresponse()
            content = answer.read()
        finally:
            upstream.close()
        if trouble is Trouble.ANSWER_LOST:
            self._reset()
            return
        headers = {name: value for name, value in answer.getheaders() if name.lower() not in _OF_A_HOP}
        of_head = answer.getheader("Content-Length", "0")
        headers["Content-Length"] = of_head if self.command == "HEAD" else str(len(content))
        if trouble is Trouble.TRUNCATED:
            content = content[: len(content) // 2]
            self.close_connection = True
        self._answer(answer.status, headers, content)

    def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
        self.connection.close()
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


_OF_A_HOP = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
