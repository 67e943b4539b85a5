"""How fast a socket is that does nothing but carry bytes: to another process that has its memory ready, and back.

python -m benchmarks.rawsocket /path/of/socket        (or no path: a port of loopback; its address is printed)
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_COUNT = struct.Struct("<q")


class RawSocket:
    """The near end: sends, or is sent, as many bytes as a value has, into memory that is there already."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._memory = memoryview(b"")

    def put(self, _name: str, value: Any) -> None:
        """Send a value's bytes and wait until they are there."""
        self._connection.sendall(_COUNT.pack(value.nbytes))
        self._connection.sendall(memoryview(value).cast("B"))
        self._connection.recv(1)

    def get(self, name: str) -> Any:
        """Be sent as many bytes as the name says."""
        size = int(name.partition("-")[0])
        self._memory = _ready(self._memory, size)
        self._connection.sendall(_COUNT.pack(-size))
        _fill(self._connection, self._memory[:size])
        return self._memory[:size]


@contextmanager
def raw_socket(path: str = "") -> Iterator[RawSocket]:
    """Run the far end behind a unix socket, or on loopback."""
    command = [sys.executable, "-m", "benchmarks.rawsocket", *filter(None, [path])]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = json.loads(process.stdout.readline())
        with _near(address) as connection:
            yield RawSocket(connection)


def main(path: str = "") -> None:
    """Be the far end, for one connection."""
    memory = memoryview(b"")
    listener = socket.socket(socket.AF_UNIX) if path else socket.socket()
    listener.bind(path or ("127.0.0.1", 0))
    listener.listen()
    print(json.dumps(listener.getsockname()), flush=True)
    connection, _ = listener.accept()
    with listener, connection:
        while len(head := connection.recv(_COUNT.size, socket.MSG_WAITALL)) == _COUNT.size:
            (size,) = _COUNT.unpack(head)
            memory = _ready(memory, abs(size))
            if size < 0:
                connection.sendall(memory[:-size])
            else:
                _fill(connection, memory[:size])
                connection.sendall(b".")


def _near(address: Any) -> socket.socket:
    if isinstance(address, str):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(address)
        return connection
    connection = socket.create_connection(tuple(address))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _ready(memory: memoryview, size: int) -> memoryview:
    """Return memory for so many bytes, whose pages are there: the same from the first value of a size on."""
    return memory if len(memory) >= size else memoryview(bytearray(b"." * size))


def _fill(connection: socket.socket, memory: memoryview) -> None:
    at = 0
    while at < len(memory):
        at += connection.recv_into(memory[at:], 0, socket.MSG_WAITALL)


if __name__ == "__main__":
    main(*sys.argv[1:])
