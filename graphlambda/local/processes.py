"""Looks at processes and ends them, through /proc where there is one.

In: process ids that the service started. Out: their descendants, their memory, whose a connection is.
Must not start anything.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterable

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
LINUX = sys.platform == "linux"


def descendants(pid: int) -> list[int]:
    """Return a process and all that it has started, as far as they are still its own."""
    found = [pid]
    for parent in found:
        with suppress(OSError):
            for task in os.listdir(f"/proc/{parent}/task"):  # noqa: PTH208 - asked every few ms: pathlib takes 5 times as long
                found += map(int, _read(f"/proc/{parent}/task/{task}/children").split())
    return found


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the memory that processes hold; what they share with files counts once, for the largest."""
    total = shared = 0
    for pid in pids:
        with suppress(OSError, ValueError):
            _, resident, mapped, *_ = map(int, _read(f"/proc/{pid}/statm").split())
            total += resident - mapped
            shared = max(shared, mapped)
    return (total + shared) * _PAGE_BYTES


def peak_bytes(pids: Iterable[int]) -> int:
    """Return the largest high-water mark among processes, as the kernel kept it."""
    marks = [0]
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            marks += [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")]
    return max(marks)


def _read(path: str) -> bytes:
    """Return what a short file of /proc says now."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 65_536)
    finally:
        os.close(descriptor)


def kill(pid: int) -> None:
    """End a process that leads a group, that group, and whatever left it and can still be found."""
    others = descendants(pid) if LINUX else []
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    for other in others:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(other, signal.SIGKILL)


def freeze(pid: int) -> None:
    """Stop a group until `thaw`, as Lambda freezes an environment between invocations (2 µs for both)."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGSTOP)


def thaw(pid: int) -> None:
    """Let a group go on."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGCONT)


def watch(process: subprocess.Popen[bytes], ended: Callable[[int], None]) -> None:
    """Call `ended` with the return code, in the running loop, when the process has ended."""
    loop = asyncio.get_running_loop()
    if not LINUX:
        wait = threading.Thread(
            target=lambda: loop.call_soon_threadsafe(ended, process.wait()),
            daemon=True,
            name="graphlambda-wait",
        )
        wait.start()
        return
    descriptor = os.pidfd_open(process.pid)

    def readable() -> None:
        loop.remove_reader(descriptor)
        os.close(descriptor)
        ended(process.wait())

    loop.add_reader(descriptor, readable)


def pid_of(handle: int) -> int | None:
    """Return the number that a process has here, by its handle; None if it has ended."""
    lines = _read(f"/proc/self/fdinfo/{handle}").splitlines()
    pid = next(int(line.split()[1]) for line in lines if line.startswith(b"Pid:"))
    return pid if pid > 0 else None


def owns_connection(pid: int, peer: tuple[str, int], port: int) -> bool:
    """Return whether the other end of a loopback connection to `port` belongs to a process or its descendants.

    The kernel says which socket has the peer's address, and which processes hold that socket; a client cannot forge
    either, and AWS's runtime client sends no credentials that could be checked instead.
    """
    inode = _socket_inode(peer[1], port)
    return inode is not None and any(inode in _sockets(process) for process in descendants(pid))


def _socket_inode(source: int, target: int) -> str | None:
    """Return the inode of the socket connected from port `source` to port `target` of 127.0.0.1."""
    ends = [f"0100007F:{source:04X}", f"0100007F:{target:04X}"]
    if sys.byteorder == "big":
        ends = [end.replace("0100007F", "7F000001") for end in ends]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[1:3] == ends:
            return fields[9]
    return None


def _sockets(pid: int) -> set[str]:
    """Return the inodes of the sockets that a process holds open."""
    found = set()
    with suppress(OSError):
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                target = str(entry.readlink())
                if target.startswith("socket:["):
                    found.add(target[8:-1])
    return found
