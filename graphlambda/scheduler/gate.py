"""When the next invocation may begin, by what an account lets begin in a second, and by which functions are ready.

In: which functions' invocations begin and end, and when. Out: how long to wait. Pure: must not read a clock, nor wait.

Whether an invocation starts an execution environment is known from its reply. Until then it counts as a cold start where
more of its function's are in flight than were ever before; a reply from a warm one gives the cold start back.
"""

from __future__ import annotations

from collections import Counter, deque
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple

from graphlambda.scheduler.unready import Unready

if TYPE_CHECKING:
    from graphlambda.scheduler.limits import Rates

_ROUNDING_S = 1e-6
"""Who waits for exactly as long as it takes is not held for the last digit of a sum."""


class Came(Enum):
    """What an invocation met."""

    WARM = auto()
    COLD = auto()
    NOWHERE = auto()
    """It was refused: no environment was made for it."""

    UNKNOWN = auto()
    """It brought nothing; an environment may have been made."""


class Entry(NamedTuple):
    """One invocation that began."""

    function: str
    cold_at_s: float | None
    """When it was counted as a cold start; None where it was not."""


class Moments:
    """At most so many of something begin within any stretch of time."""

    def __init__(self, most: int, within_s: float) -> None:
        self._latest: deque[float] = deque(maxlen=max(1, most))
        self._within_s = within_s

    def wait_s(self, now_s: float) -> float:
        """Return after how long the next may begin; 0: now."""
        if len(self._latest) < (self._latest.maxlen or 0):
            return 0.0
        left_s = self._latest[0] + self._within_s - now_s
        return left_s if left_s > _ROUNDING_S else 0.0

    def take(self, now_s: float) -> None:
        """One begins."""
        self._latest.append(now_s)

    def give_back(self, at_s: float) -> None:
        """One that began then was none."""
        if at_s in self._latest:
            self._latest.remove(at_s)


class Gate:
    """Lets the invocations of one run begin."""

    def __init__(self, rates: Rates, concurrency: int) -> None:
        self.unready = Unready()
        self._requests = _moments(concurrency, rates.requests_per_s)
        cold = rates.cold_starts_per_s
        self._cold_starts = None if cold is None else Moments(int(cold), 1.0)
        self._busy: Counter[str] = Counter()
        self._there: Counter[str] = Counter()

    @property
    def holds(self) -> bool:
        """Whether anything may be held back."""
        return self._requests is not None or self._cold_starts is not None or bool(self.unready)

    def wait_s(self, function: str, now_s: float) -> float:
        """Return after how long an invocation of a function may begin; 0: now."""
        wait_s = self.unready.wait_s(function, now_s)
        if self._requests:
            wait_s = max(wait_s, self._requests.wait_s(now_s))
        if self._cold_starts and self._busy[function] >= self._there[function]:
            wait_s = max(wait_s, self._cold_starts.wait_s(now_s))
        return wait_s

    def enter(self, function: str, now_s: float) -> Entry:
        """Let an invocation begin; to be told when it has come back."""
        if self._requests:
            self._requests.take(now_s)
        self.unready.enter(function, now_s)
        self._busy[function] += 1
        if self._cold_starts is None or self._busy[function] <= self._there[function]:
            return Entry(function, None)
        self._there[function] += 1
        self._cold_starts.take(now_s)
        return Entry(function, now_s)

    def leave(self, entry: Entry, came: Came) -> None:
        """Learn what became of an invocation."""
        self._busy[entry.function] -= 1
        if came is not Came.NOWHERE:
            self.unready.taken(entry.function)
        if entry.cold_at_s is None or self._cold_starts is None or came in {Came.COLD, Came.UNKNOWN}:
            return
        self._cold_starts.give_back(entry.cold_at_s)
        if came is Came.NOWHERE:
            self._there[entry.function] -= 1


def _moments(concurrency: int, per_s: float | None) -> Moments | None:
    """Return so many a second for each unit of concurrency: each begins one in that part of a second."""
    return None if per_s is None else Moments(concurrency, 1.0 / per_s)
