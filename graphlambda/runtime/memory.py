"""How much memory this environment has used at most.

In: nothing. Out: MiB. Must not cost more than a batch can bear: one small read.
"""

from __future__ import annotations

import sys
from resource import RUSAGE_SELF, getrusage

_MB = 1 << 20


def peak_mb() -> float:
    """Return the largest resident set of this process so far, in MiB.

    Not getrusage's on Linux: that survives exec, so it starts with what the parent process had.
    """
    if sys.platform != "linux":
        return getrusage(RUSAGE_SELF).ru_maxrss / _MB  # macOS counts bytes
    with open("/proc/self/status", "rb", buffering=0) as file:  # noqa: PTH123  (pathlib costs 4 ms)
        return int(file.read().partition(b"VmHWM:")[2].split(None, 1)[0]) / 1024
