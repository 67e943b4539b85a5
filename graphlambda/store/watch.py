"""Runs a server until its client ends: the program of a process of its own, started as a script.

In: the client's process id, a folder, a command; the client's end of standard input. Out: the command's process while
the client lives; then neither it nor the folder. Must not import anything but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

STOP_S = 5.0
"""How long the server may take to end by itself before it is killed."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run the command; end with the client, however that ends, or with the server."""
    client, folder, *command = sys.argv[1:]
    tie = _tie if sys.platform == "linux" else None
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=tie) as server:  # noqa: PLW1509  (one thread)
        try:
            select.select([0, *_handle_of(int(client)), *_handle_of(server.pid)], [], [])
        finally:
            server.terminate()
            try:
                server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
            shutil.rmtree(folder, ignore_errors=True)


def _tie() -> None:
    """Have the kernel end the server where this process is killed."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _handle_of(process: int) -> list[int]:
    """Return what becomes readable when a process ends; nothing where the system has no such handles."""
    try:
        return [os.pidfd_open(process)]
    except AttributeError:
        return []
    except ProcessLookupError:
        sys.exit()


if __name__ == "__main__":
    main()
