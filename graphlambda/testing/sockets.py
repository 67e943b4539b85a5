"""Runs a command in the network that this process is alone in, and gives out sockets there: a program, started as a script.

In: the path of a unix socket, a command. Out: the command's process while this one lives; each who connects to the path gets
a TCP socket that is new, with which he listens and connects in this network wherever he is himself. Must not import anything
but the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys

_PR_SET_PDEATHSIG = 1
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def main() -> None:
    """Give out sockets until SIGTERM, or until the command ends; neither is there without the other."""
    path, *command = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    _tie()
    _bring_loopback_up()
    with socket.socket(socket.AF_UNIX) as door, subprocess.Popen(command, preexec_fn=_tie) as running:  # noqa: PLW1509  (one thread)
        try:
            door.bind(path)
            door.listen()
            ended = os.pidfd_open(running.pid)
            while ended not in select.select([door.fileno(), ended], [], [])[0]:
                _give(door)
        finally:
            running.terminate()


def _give(door: socket.socket) -> None:
    asked, _ = door.accept()
    with asked, socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as made:
        socket.send_fds(asked, [b"."], [made.fileno()])


def _tie() -> None:
    """Have the kernel end this process where the one that started it is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _bring_loopback_up() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP))


if __name__ == "__main__":
    main()
