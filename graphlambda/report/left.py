"""What a run that was stopped leaves running: Lambda has no way to end an invocation.

In: events. Out: one sentence: how many, for how long, at what cost at most. Must not wait for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.report.prices import LAMBDA, cost_usd, gb_seconds
from graphlambda.scheduler.events import Event, InvocationEnded, InvocationStarted

if TYPE_CHECKING:
    from collections.abc import Callable


class Left:
    """Knows which invocations have no answer."""

    def __init__(self, memory_mb: Callable[[str], int], timeout_s: float, architecture: str) -> None:
        self._memory_mb = memory_mb
        self._timeout_s = timeout_s
        self._architecture = architecture
        self._open: dict[tuple[int, ...], tuple[str, float]] = {}

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        if isinstance(event, InvocationStarted):
            self._open[event.tasks] = event.function, event.at_s
        elif isinstance(event, InvocationEnded):
            self._open.pop(event.tasks, None)

    def told(self, now_s: float) -> str:
        """Return what is left at this moment, for people; empty where nothing is."""
        if not self._open:
            return ""
        left_s = {tasks: max(0.0, at_s + self._timeout_s - now_s) for tasks, (_, at_s) in self._open.items()}
        most_gb_s = sum(
            gb_seconds(self._memory_mb(function), left_s[tasks])
            for tasks, (function, _) in self._open.items()
        )
        usd = cost_usd(0, most_gb_s, self._architecture, LAMBDA)
        return (
            f"{len(self._open):,} invocations that Lambda cannot stop go on until their current task ends, at most "
            f"{max(left_s.values()):.0f} s: at most {most_gb_s:,.0f} GB-s, {usd:.4f} USD"
        )
