"""How fast things go: durations of tasks, the cost of an invocation, the concurrency that we are given.

In: measurements. Out: estimates. Must not read a clock.
"""

from __future__ import annotations

from collections import deque

RECENT = 16


class Durations:
    """The latest durations of one kind of thing, in seconds; cold ones only as long as there is no warm one."""

    __slots__ = ("_recent", "_sorted", "_warm")

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._sorted: list[float] | None = []
        self._warm = False

    def add(self, seconds: float, *, cold: bool) -> None:
        """Take one measurement; what an environment does first takes longer than ever again."""
        if cold and self._warm:
            return
        if not cold and not self._warm:
            self._recent.clear()
            self._warm = True
        self._recent.append(seconds)
        self._sorted = None

    @property
    def upper_s(self) -> float | None:
        """The upper quartile: what to expect, on the careful side."""
        ordered = self._in_order()
        return ordered[3 * (len(ordered) - 1) // 4] if ordered else None

    @property
    def least_s(self) -> float | None:
        """The least: what it costs when nothing else is in the way."""
        return min(self._recent, default=None)

    def _in_order(self) -> list[float]:
        if self._sorted is None:
            self._sorted = sorted(self._recent)
        return self._sorted


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
