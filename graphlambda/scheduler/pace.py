"""How fast things go: durations of tasks, the cost of an invocation, the concurrency that we are given.

In: measurements. Out: estimates. Must not read a clock.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

RECENT = 64


class Durations:
    """The latest durations of one kind of thing, in seconds; cold ones only as long as there is no warm one."""

    __slots__ = ("_recent", "_sorted", "_warm")

    def __init__(self) -> None:
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._warm = False

    def add(self, seconds: Iterable[float], *, cold: bool) -> None:
        """Take measurements; what an environment does first takes longer than ever again."""
        if cold and self._warm:
            return
        if not cold and not self._warm:
            self._recent.clear()
            self._sorted.clear()
            self._warm = True
        for one_s in seconds:
            if len(self._recent) == RECENT:
                del self._sorted[bisect_left(self._sorted, self._recent.popleft())]
            self._recent.append(one_s)
            insort(self._sorted, one_s)

    @property
    def usual_s(self) -> float | None:
        """The median: what to expect."""
        return self._quantile(0.5)

    @property
    def late_s(self) -> float | None:
        """The 95th percentile: what nearly all stay below."""
        return self._quantile(0.95)

    @property
    def least_s(self) -> float | None:
        """The least: what it costs when nothing else is in the way."""
        return self._sorted[0] if self._sorted else None

    @property
    def known(self) -> int:
        """How many are known."""
        return len(self._recent)

    def _quantile(self, share: float) -> float | None:
        return self._sorted[math.ceil(share * len(self._sorted)) - 1] if self._sorted else None


class Window:
    """How many invocations may be in flight: one more a round trip, half after a throttle (AIMD).

    Source: Chiu and Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989.
    """

    __slots__ = ("_most", "_size")

    def __init__(self, most: int) -> None:
        self._most = max(1, most)
        self._size = float(self._most)

    @property
    def size(self) -> int:
        """Invocations in flight, at most; at least 1."""
        return int(self._size)

    def grow(self) -> None:
        """An invocation was let through."""
        if self._size < self._most:
            self._size = min(self._most, self._size + 1.0 / self._size)

    def shrink(self, in_flight: int) -> None:
        """An invocation was throttled while so many others were not."""
        self._size = max(1.0, min(self._size, in_flight + 1) / 2)


def planned(account: int, *, wanted: int, reserve: int) -> int:
    """Return for how many invocations at once a run is planned: what is `wanted`, 0 for all, but for what others keep."""
    left = account - reserve
    return min(left, wanted) if wanted else left
