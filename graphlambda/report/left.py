"""What a run that was stopped leaves running: Lambda has no way to end an invocation.

In: events. Out: one sentence: how many, for how long, at what cost at most. Must not wait for them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from graphlambda.prices import cost_usd, gb_seconds
from graphlambda.report.units import count
from graphlambda.scheduler.events import Event, InvocationEnded, InvocationStarted

if TYPE_CHECKING:
    from collections.abc import Callable


class Left:
    """Knows which invocations have no answer."""

    def __init__(self, memory_mb: Callable[[str], int], timeout_s: float, architecture: str) -> None:
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._architecture = architecture
        self._open: defaultdict[tuple[int, ...], list[tuple[str, float]]] = defaultdict(list)
        """By tasks: a backup invocation has those of another."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if isinstance(event, InvocationStarted):
            self._open[event.tasks].append((event.function, event.at_s))
        elif isinstance(event, InvocationEnded) and self._open[event.tasks]:
            self._open[event.tasks].pop(0)  # of two, the one that may last longer is taken to go on

    def told(self, now_s: float) -> str:
        """Return what is left at this moment, for people; empty where nothing is."""
        left = [
            (function, max(0.0, at_s + self._timeout_s - now_s))
            for started in self._open.values()
            for function, at_s in started
        ]
        if not left:
            return ""
        most_gb_s = sum(gb_seconds(self._memory_mb(function), left_s) for function, left_s in left)
        usd = cost_usd(0, most_gb_s, self._architecture)
        return (
            f"{count(len(left), 'invocation')} that Lambda cannot stop may go on until the current task ends, at most "
            f"{max(left_s for _, left_s in left):.0f} s: at most {most_gb_s:,.0f} GB-s, {usd:.4f} USD"
        )
