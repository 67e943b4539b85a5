"""How much memory this process could still take.

In: what the kernel says. Out: bytes. Must not allocate any.
"""

from __future__ import annotations

import os
from pathlib import Path

_CGROUP = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def free_bytes() -> int:
    """Return what the machine and this process's control group have left, whichever is less."""
    return max(0, min([_of_machine(), *_of_groups()]))


def _of_machine() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: count all of the machine's memory, the kernel does not say what is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    figures = dict(line.split(":", 1) for line in lines)
    return int(figures["MemAvailable"].split()[0]) * 1024


def _of_groups() -> list[int]:
    return [left for limit, used in _CGROUP if (left := _left(limit, used)) is not None]


def _left(limit: Path, used: Path) -> int | None:
    """Return what a group has left; None where there is no such group, or it has no limit."""
    try:
        allowed = limit.read_text().strip()
        return None if allowed == "max" else int(allowed) - int(used.read_text())
    except (OSError, ValueError):
        return None
