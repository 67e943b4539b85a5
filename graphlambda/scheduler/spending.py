"""What a run has spent, and how many tasks may be sent without passing its budget.

In: invocations that begin and end, a tariff. Out: how many tasks may go, what is spent. Pure: must not read a clock, nor
know a price.

An invocation in flight counts as what it may come to: its function's whole timeout, or, where it is known what nearly all
of its tasks take, that; one that lasts longer than that counts as its whole timeout again. Sums are whole
picodollars: exact in any order, and fit for a journal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from graphlambda.errors import BudgetError
from graphlambda.prices import NO_TRAFFIC
from graphlambda.scheduler.kinds import Kind
from graphlambda.scheduler.outcomes import Answered, billed_in
from graphlambda.scheduler.pace import Durations
from graphlambda.scheduler.policy import NEVER_BEGUN, RULES, Ran

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphlambda.prices import Traffic
    from graphlambda.scheduler.outcomes import Outcome

ENOUGH = 8
"""Invocations of a function after which it is known what its tasks take."""

GRACE_S = 1.0
"""How much later than expected an answer may come before its invocation counts as its whole timeout."""

_PICO = 10**12


def _nothing(_what: object) -> float:
    return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tariff:
    """What a run's invocations cost, and how much they may."""

    request_usd: float = 0.0
    second_usd: Callable[[str], float] = _nothing
    """Of a function, by its name."""

    timeout_s: Callable[[str], float] = _nothing
    """After how long Lambda ends a function."""

    traffic_usd: Callable[[Traffic], float] = _nothing
    """Of what functions ask of a store."""

    late_s: Mapping[str, float] = field(default_factory=dict)
    """By function, what nearly all of its tasks stayed below in earlier runs."""

    budget_usd: float | None = None
    """What the run may cost, over all its clients; None: whatever it does."""


FREE = Tariff()


@dataclass(slots=True)
class Debit:
    """An invocation that has been counted and has not ended."""

    number: int
    function: str
    tasks: int
    pico: int
    """What it counts as."""

    is_sent: bool = False

    def send(self, function: str, tasks: int) -> None:
        """Note that it is sent: to which function, and with how many tasks."""
        self.function, self.tasks, self.is_sent = function, tasks, True


@dataclass(slots=True)
class _Known:
    """What the invocations of one function came to, for each task."""

    billed: Durations = field(default_factory=Durations)
    traffic_pico: int = 0
    """At most."""

    invocations: int = 0


class Spending:
    """What one run spends."""

    def __init__(self, tariff: Tariff, earlier_pico: int = 0) -> None:
        """`earlier_pico` is what the run's earlier clients spent, with what they had in flight."""
        self._tariff = tariff
        self._budget_pico = None if tariff.budget_usd is None else _pico(tariff.budget_usd)
        self._known: dict[str, _Known] = {}
        self._open: dict[int, Debit] = {}
        self._due: list[tuple[float, int]] = []
        self._numbers = count()
        self.spent_pico = earlier_pico
        self.in_flight_pico = 0

    def affordable(self, function: str, tasks: int, now_s: float) -> int:
        """Return how many of so many tasks may be sent together without passing the budget."""
        if self._budget_pico is None:
            return tasks
        self._raise_late(now_s)
        left_pico = self._budget_pico - self.spent_pico - self.in_flight_pico
        if self._bound_pico(function, tasks) <= left_pico:
            return tasks
        if self._each_s(function) is None:
            return 0
        fixed_pico = _pico(self._tariff.request_usd)
        each_pico = self._bound_pico(function, 1) - fixed_pico
        return max(0, min(tasks, (left_pico - fixed_pico) // max(1, each_pico)))

    def refusal(self, run: str, function: str) -> BudgetError:
        """Return the error that ends a run which may send nothing more."""
        return BudgetError(
            run,
            spent_usd=self.spent_pico / _PICO,
            budget_usd=self._tariff.budget_usd or 0.0,
            next_usd=self._bound_pico(function, 1) / _PICO,
            known=self._each_s(function) is not None,
        )

    def begin(self, function: str, tasks: int, now_s: float) -> Debit:
        """Count an invocation that is about to be sent."""
        pico = self._bound_pico(function, tasks)
        debit = Debit(next(self._numbers), function, tasks, pico)
        self._open[debit.number] = debit
        self.in_flight_pico += pico
        each_s = self._each_s(function)
        if self._budget_pico is not None and each_s is not None:
            heappush(self._due, (now_s + each_s * tasks + GRACE_S, debit.number))
        return debit

    def end(self, debit: Debit, outcome: Outcome, billed_s: float) -> None:
        """Count what an invocation came to."""
        self._close(debit)
        if not isinstance(outcome, Answered) and outcome.kind in NEVER_BEGUN:
            return
        traffic = outcome.traffic if isinstance(outcome, Answered) else NO_TRAFFIC
        traffic_pico = _pico(self._tariff.traffic_usd(traffic))
        self.spent_pico += self._pico_of(debit.function, billed_s) + traffic_pico
        if isinstance(outcome, Answered):
            known = self._known.setdefault(debit.function, _Known())
            known.billed.add([billed_s / debit.tasks], cold=False)
            known.traffic_pico = max(known.traffic_pico, -(-traffic_pico // debit.tasks))
            known.invocations += 1

    def drop(self, debit: Debit) -> None:
        """Give an invocation up: one that was sent and has not ended may take its function's whole time."""
        if debit.number in self._open:
            self._close(debit)
            if debit.is_sent:
                self.spent_pico += self._worst_pico(debit.function)

    def _close(self, debit: Debit) -> None:
        del self._open[debit.number]
        self.in_flight_pico -= debit.pico

    def _raise_late(self, now_s: float) -> None:
        """Count what lasts longer than expected as its function's whole timeout."""
        while self._due and self._due[0][0] <= now_s:
            debit = self._open.get(heappop(self._due)[1])
            if debit is not None:
                worst_pico = max(debit.pico, self._worst_pico(debit.function))
                self.in_flight_pico += worst_pico - debit.pico
                debit.pico = worst_pico

    def _each_s(self, function: str) -> float | None:
        """Return what nearly all tasks of a function take, as billed; None where that is not known."""
        known = self._known.get(function)
        if known is not None and known.invocations >= ENOUGH:
            return known.billed.late_s
        return self._tariff.late_s.get(function)

    def _bound_pico(self, function: str, tasks: int) -> int:
        """Return what an invocation may come to."""
        each_s, worst_pico = self._each_s(function), self._worst_pico(function)
        if each_s is None:
            return worst_pico
        known = self._known.get(function)
        traffic_pico = tasks * known.traffic_pico if known else 0
        return min(worst_pico, self._pico_of(function, each_s * tasks)) + traffic_pico

    def _worst_pico(self, function: str) -> int:
        return self._pico_of(function, self._tariff.timeout_s(function))

    def _pico_of(self, function: str, seconds: float) -> int:
        return _pico(self._tariff.request_usd + seconds * self._tariff.second_usd(function))


def billed_s(outcome: Outcome, seconds: float, timeout_s: float) -> float:
    """Return what Lambda bills for an invocation that ended after `seconds`: what it said, else what it may be at most."""
    if isinstance(outcome, Answered):
        return outcome.billed_s
    if outcome.kind in NEVER_BEGUN:
        return 0.0
    if (told_s := billed_in(outcome.log)) is not None:
        return told_s
    ends_late = outcome.kind is Kind.TIMED_OUT or RULES[outcome.kind].ran is Ran.STILL
    return timeout_s if ends_late else min(seconds, timeout_s)


def _pico(usd: float) -> int:
    return round(usd * _PICO)
