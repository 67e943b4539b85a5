"""A way through a proxy, for a client's own requests to a store over TLS; functions have none.

In: a proxy's URL. Out: connections that it made to somebody else. Must not read more than the proxy's answer: what follows is
the other's.

Source: RFC 9110, "CONNECT".
"""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from graphlambda.runtime.http1 import CONNECT_S

if TYPE_CHECKING:
    from graphlambda.runtime.http1 import Dial

_HEAD_BYTES = 1 << 14
_PORTS = {"http": 80, "https": 443}


def through(proxy: str) -> Dial:
    """Return what connects to others through a proxy; `http://` or `https://`, with a name and a password if it asks."""
    parts = urlsplit(proxy)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    who = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    known = f"Proxy-Authorization: Basic {b64encode(who.encode()).decode()}\r\n" if parts.username else ""

    def dial(address: tuple[str, int]) -> socket.socket:
        wanted = "{}:{}".format(*address)
        sock = socket.create_connection((host, port), CONNECT_S)
        try:
            if parts.scheme == "https":
                sock = ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            sock.sendall(f"CONNECT {wanted} HTTP/1.1\r\nHost: {wanted}\r\n{known}\r\n".encode())
            status = _status(sock)
            _refuse(status, f"the proxy {host}:{port} does not connect to {wanted}")
        except BaseException:
            sock.close()
            raise
        return sock

    return dial


def _refuse(status: str, what: str) -> None:
    if status.split(" ")[1:2] != ["200"]:
        raise ConnectionRefusedError(f"{what}: {status}")


def _status(sock: socket.socket) -> str:
    """Return the first line of an answer's head, which is read byte by byte: nothing after it may be taken."""
    head = bytearray()
    while not head.endswith(b"\r\n\r\n"):
        found = sock.recv(1)
        if not found or len(head) > _HEAD_BYTES:
            raise ConnectionError(f"this is no answer of a proxy: {bytes(head[:80])!r}")
        head += found
    return head.split(b"\r\n", 1)[0].decode("latin-1")
