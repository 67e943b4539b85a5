"""What a run has spent, and how many tasks may be sent without passing its budget.

In: invocations that begin and end, a tariff. Out: how many tasks may go, what is spent. Must not read a clock, nor
know a price.

An invocation in flight counts as the most that it may come to: its start, its function's whole timeout, and all that its tasks
may ask of a store. What is over counts as it was billed; what nobody knows of it, as the most again. So what is
spent and what is in flight never pass the budget together, however long tasks take and however they fail. Sums are whole
picodollars: exact in any order, and fit for a journal.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from graphlambda.edge import warn
from graphlambda.errors import BudgetError, BudgetWarning
from graphlambda.prices import NO_TRAFFIC, Size, Traffic, Usage, ran
from graphlambda.scheduler.journal import spent
from graphlambda.scheduler.kinds import Kind
from graphlambda.scheduler.outcomes import Answered, billed_in
from graphlambda.scheduler.policy import NEVER_BEGUN, RULES, Ran

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.scheduler.journal import Record
    from graphlambda.scheduler.outcomes import Outcome

START_S = 10.0
"""How long initialisation may take, or the hooks after a restore: billed beside the function's own time, which bounds what
takes longer. Source: AWS, "Understanding the Lambda execution environment lifecycle"; INIT is billed since August 2025.
"""

_PICO = 10**12
_NO_SIZE = Size(memory_mb=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a run's invocations cost, and how much they may."""

    usd: Callable[[Usage], float] = lambda _used: 0.0
    """Of what is used; of twice as much, twice as much."""

    size: Callable[[str], Size] = lambda _function: _NO_SIZE
    """Of a function, by its name."""

    timeout_s: Callable[[str], float] = lambda _function: 0.0
    """After how long Lambda ends a function."""

    asks: Callable[[str, int, int], Traffic] = lambda _function, _tasks, _inputs: NO_TRAFFIC
    """What a function may ask of a store at most, for so many tasks of so many inputs each."""

    asked: Callable[[], Traffic] = lambda: NO_TRAFFIC
    """What this client has asked of a store so far."""

    budget_usd: float | None = None
    """What the run may cost, over all its clients; None: whatever it does."""


FREE = Tariff()


@dataclass(slots=True)
class Debit:
    """An invocation that has been counted and has not ended."""

    number: int
    function: str
    """Which it is to be sent to."""

    most_pico: int
    """What it counts as."""

    asks_pico: int
    """What of this is for what it asks of a store."""

    is_sent: bool = False


@dataclass(frozen=True, slots=True)
class _Rate:
    """What a function costs."""

    request_pico: int
    start_pico: int
    """An environment, beside its time."""

    second_pico: int
    ready_pico: int
    """A second where the environment had waited."""

    most_pico: int
    """An invocation that takes all the time it may, with a start."""


class Spending:
    """What one run spends."""

    def __init__(self, tariff: Tariff, earlier_pico: int = 0) -> None:
        """`earlier_pico` is what the run's earlier clients spent, with what they had in flight.

        What one that died sent after it last wrote its journal is not among that.
        """
        self._tariff = tariff
        self._budget_pico = None if tariff.budget_usd is None else _pico(tariff.budget_usd)
        self._rates: dict[str, _Rate] = {}
        self._asks: dict[tuple[str, int, int], int] = {}
        self._a_write, self._a_read, self._a_unit = (
            _pico(tariff.usd(Usage(traffic=one))) for one in (Traffic(1), Traffic(0, 1), Traffic(0, 0, 1))
        )
        self._is_told = False
        self._open: set[int] = set()
        self._numbers = count()
        self._billed_pico = earlier_pico
        self.in_flight_pico = 0

    @property
    def spent_pico(self) -> int:
        """What is spent: what was billed, and what this client asked of a store."""
        return self._billed_pico + self._traffic_pico(self._tariff.asked())

    def told(self) -> Record:
        """Return what the journal is to say of it."""
        return spent(self.spent_pico, self.in_flight_pico)

    def affordable(self, function: str, tasks: int, inputs: int) -> int:
        """Return how many of so many tasks, of at most so many inputs each, may be sent together within the budget."""
        if self._budget_pico is None:
            return tasks
        left_pico = self._budget_pico - self.spent_pico - self.in_flight_pico
        return bisect_right(
            range(1, tasks + 1), left_pico, key=lambda n: self._most_pico(function, n, inputs)
        )

    def refusal(self, run: str, function: str, inputs: int) -> BudgetError:
        """Return the error that ends a run which may send nothing more."""
        return BudgetError(
            run,
            spent_usd=self.spent_pico / _PICO,
            budget_usd=self._tariff.budget_usd or 0.0,
            next_usd=self._most_pico(function, 1, inputs) / _PICO,
        )

    def tell_of_waiting(self, in_flight: int) -> None:
        """Warn, once, that what might be sent waits for what is in flight."""
        if not self._is_told:
            self._is_told = True
            text = (
                f"budget_usd={self._tariff.budget_usd:g} lets no more than {in_flight:,} invocations run at once: until they end, they "
                f"count as {self.in_flight_pico / _PICO:.4f} USD. With a timeout_s= near what tasks take, more may"
            )
            warn(text, BudgetWarning)

    def begin(self, function: str, tasks: int, inputs: int) -> Debit:
        """Count an invocation that is about to be sent."""
        asks_pico = self._asks_pico(function, tasks, inputs)
        debit = Debit(next(self._numbers), function, self._rate(function).most_pico + asks_pico, asks_pico)
        self._open.add(debit.number)
        self.in_flight_pico += debit.most_pico
        return debit

    def end(self, debit: Debit, outcome: Outcome, billed_s: float) -> None:
        """Count what an invocation came to."""
        self._close(debit)
        rate = self._rate(debit.function)
        if isinstance(outcome, Answered):
            second_pico = rate.ready_pico if outcome.had_waited else rate.second_pico
            start_pico, asked_pico = outcome.cold * rate.start_pico, self._traffic_pico(outcome.traffic)
        elif outcome.kind not in NEVER_BEGUN:
            second_pico, start_pico, asked_pico = rate.second_pico, rate.start_pico, debit.asks_pico
        else:
            return
        self._billed_pico += rate.request_pico + start_pico + round(billed_s * second_pico) + asked_pico

    def drop(self, debit: Debit) -> None:
        """Give an invocation up: one that was sent and has not ended may come to all that it counts as."""
        if debit.number in self._open:
            self._close(debit)
            self._billed_pico += debit.most_pico if debit.is_sent else 0

    def _close(self, debit: Debit) -> None:
        self._open.remove(debit.number)
        self.in_flight_pico -= debit.most_pico

    def _most_pico(self, function: str, tasks: int, inputs: int) -> int:
        """Return what an invocation may come to."""
        return self._rate(function).most_pico + self._asks_pico(function, tasks, inputs)

    def _asks_pico(self, function: str, tasks: int, inputs: int) -> int:
        key = function, tasks, inputs
        if (pico := self._asks.get(key)) is None:
            pico = self._asks[key] = self._traffic_pico(self._tariff.asks(*key))
        return pico

    def _traffic_pico(self, traffic: Traffic) -> int:
        return (
            traffic.writes * self._a_write + traffic.reads * self._a_read + traffic.cache_units * self._a_unit
        )

    def _rate(self, function: str) -> _Rate:
        """Return what a function costs, which never changes."""
        if (rate := self._rates.get(function)) is None:
            tariff, size = self._tariff, self._tariff.size(function)
            request, start, second, ready = (
                _pico(tariff.usd(used))
                for used in (
                    ran(size, 0.0),
                    ran(size, 0.0, requests=0, starts=1),
                    ran(size, 1.0, requests=0),
                    ran(size, 1.0, requests=0, ready_s=1.0),
                )
            )
            most_pico = request + start + round((tariff.timeout_s(function) + START_S) * second)
            rate = self._rates[function] = _Rate(request, start, second, ready, most_pico)
        return rate


def billed_s(outcome: Outcome, seconds: float, timeout_s: float) -> float:
    """Return what Lambda bills for an invocation that ended after `seconds`: what it said, else what it may be at most."""
    if isinstance(outcome, Answered):
        return outcome.billed_s
    if outcome.kind in NEVER_BEGUN:
        return 0.0
    if (told_s := billed_in(outcome.log)) is not None:
        return told_s
    most_s = timeout_s + START_S
    if outcome.kind is Kind.TIMED_OUT or RULES[outcome.kind].ran is Ran.STILL:
        return most_s
    return min(math.ceil(seconds * 1000) / 1000, most_s)


def _pico(usd: float) -> int:
    return round(usd * _PICO)
