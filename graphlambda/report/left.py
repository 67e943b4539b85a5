"""What a run that was stopped leaves running: Lambda has no way to end an invocation.

In: events. Out: one sentence: how many, for how long, at what cost at most. Must not wait for them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from graphlambda.prices import US_EAST_1, Prices, Usage, ran
from graphlambda.report.bill import Bill
from graphlambda.report.units import count
from graphlambda.scheduler.events import Event, InvocationEnded, InvocationStarted

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.prices import Size


class Left:
    """Knows which invocations have no answer."""

    def __init__(self, size_of: Callable[[str], Size], timeout_s: float, prices: Prices = US_EAST_1) -> None:
        self._size_of = size_of
        self._timeout_s = timeout_s
        self._prices = prices
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
        used = (ran(self._size_of(function), left_s, requests=0) for function, left_s in left)
        bill = Bill(usage=sum(used, Usage()), prices=self._prices)
        return (
            f"{count(len(left), 'invocation')} that Lambda cannot stop may go on until the current task ends, at most "
            f"{max(left_s for _, left_s in left):.0f} s: at most {bill.billed_gb_s:,.0f} GB-s, {bill.usd:.4f} USD"
        )
