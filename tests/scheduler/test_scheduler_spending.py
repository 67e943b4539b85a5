"""A run within its budget: what is in flight counts at its worst, and nothing is sent by which it could be passed."""

from __future__ import annotations

import asyncio
import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.errors import BudgetError
from graphlambda.prices import Traffic
from graphlambda.scheduler import Durable, Limits, execute
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.outcomes import Answered
from graphlambda.scheduler.policy import NEVER_BEGUN
from graphlambda.scheduler.spending import ENOUGH, GRACE_S, Debit, Spending, Tariff, billed_s
from graphlambda.store.claims import take, this_client
from graphlambda.store.file import FileStore
from graphlambda.store.folders import DiskFolders
from graphlambda.testing.invokers import InProcessInvoker
from graphlambda.testing.programs import Sums, functions_of, program_of
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import DEAD, KEY, THROTTLED, wide

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Reply

SECOND_USD, REQUEST_USD, TIMEOUT_S = 0.001, 0.0001, 10.0
WORST_USD = REQUEST_USD + TIMEOUT_S * SECOND_USD
"""0.0101"""


def tariff(budget_usd: float | None, **late_s: float) -> Tariff:
    return Tariff(
        request_usd=REQUEST_USD,
        second_usd=lambda _function: SECOND_USD,
        timeout_s=lambda _function: TIMEOUT_S,
        traffic_usd=lambda traffic: 0.01 * traffic.writes,
        late_s=late_s,
        budget_usd=budget_usd,
    )


def answered(billed_s: float, writes: int = 0) -> Answered:
    return Answered(
        tasks=(), started_s=(), seconds=(), value_bytes=(), reading_s=0.0, sending_s=0.0, frames=(), errors={},
        unsent=frozenset(), shared=frozenset(), left=frozenset(), ended="", outputs={}, peak_mb=0.0, cold=False,
        billed_s=billed_s, traffic=Traffic(writes=writes),
    )  # fmt: skip


def sent(spending: Spending, tasks: int = 1, now_s: float = 0.0) -> Debit:
    debit = spending.begin("f", tasks, now_s)
    debit.send("f", tasks)
    return debit


def done(spending: Spending, seconds: float, *, times: int = ENOUGH) -> None:
    for _ in range(times):
        spending.end(sent(spending), answered(seconds), seconds)


def test_what_is_in_flight_counts_as_its_functions_whole_timeout() -> None:
    spending = Spending(tariff(0.0305))
    debits = []
    while spending.affordable("f", 1, 0.0):
        debits.append(sent(spending))
    assert len(debits) == 3
    spending.end(debits[0], answered(2.0), 2.0)
    assert spending.spent_pico == 2_100_000_000
    assert not spending.affordable("f", 1, 0.0)  # 0.0021 + 2 * 0.0101 + 0.0101 is more
    spending.end(debits[1], answered(2.0), 2.0)
    assert spending.affordable("f", 1, 0.0)


def test_once_it_is_known_what_tasks_take_that_counts_instead() -> None:
    spending = Spending(tariff(0.05))
    done(spending, 1.0)
    assert spending.spent_pico == ENOUGH * 1_100_000_000
    assert spending.affordable("f", 100, 0.0) == 100  # as much as a whole timeout, which a batch cannot pass
    spending = Spending(tariff(0.0150))
    done(spending, 1.0)
    assert spending.affordable("f", 100, 0.0) == 6  # 0.0062 are left, of which a request takes 0.0001


def test_earlier_runs_tell_what_tasks_take() -> None:
    assert Spending(tariff(0.002)).affordable("f", 1, 0.0) == 0
    assert Spending(tariff(0.002, f=0.5)).affordable("f", 5, 0.0) == 3


def test_what_lasts_longer_than_expected_counts_as_its_whole_timeout_again() -> None:
    spending = Spending(tariff(1.0))
    done(spending, 1.0)
    sent(spending, now_s=100.0)
    assert (spending.affordable("f", 1, 100.0), spending.in_flight_pico) == (1, 1_100_000_000)
    assert spending.affordable("f", 1, 101.0 + GRACE_S) == 1
    assert spending.in_flight_pico == 10_100_000_000


def test_what_tasks_ask_of_a_store_counts_too() -> None:
    spending = Spending(tariff(1.0))
    for _ in range(ENOUGH):
        spending.end(sent(spending, tasks=2), answered(2.0, writes=4), 2.0)
    assert spending.spent_pico == ENOUGH * (2_100_000_000 + 40_000_000_000)
    sent(spending)
    assert spending.in_flight_pico == 1_100_000_000 + 20_000_000_000


def test_what_was_sent_and_is_given_up_may_take_its_whole_timeout_what_was_not_costs_nothing() -> None:
    spending = Spending(tariff(1.0))
    spending.drop(spending.begin("f", 1, 0.0))
    assert spending.spent_pico == 0
    debit = sent(spending)
    spending.drop(debit)
    spending.drop(debit)
    assert (spending.spent_pico, spending.in_flight_pico) == (10_100_000_000, 0)


@pytest.mark.parametrize("kind", Kind)
def test_what_never_began_is_free_and_what_may_run_still_is_billed_to_its_end(kind: Kind) -> None:
    free = kind in NEVER_BEGUN
    still = kind in {Kind.TIMED_OUT, Kind.NO_ANSWER, Kind.CUT_OFF, Kind.SERVICE_FAILED}
    assert billed_s(Failed(kind, ""), 3.0, 10.0) == (0.0 if free else 10.0 if still else 3.0)
    assert billed_s(Failed(kind, "", log="REPORT Billed Duration: 4000 ms"), 3.0, 10.0) == (
        0.0 if free else 4.0
    )
    spending = Spending(tariff(None))
    spending.end(sent(spending), Failed(kind, ""), 0.0)
    assert spending.spent_pico == (0 if free else 100_000_000)


@given(
    st.lists(st.tuples(st.integers(1, 9), st.floats(0.0, 1.0)), max_size=60), st.integers(0, 200), st.data()
)
def test_whatever_invocations_come_to_a_budget_is_not_passed(
    wanted: list[tuple[int, float]], millis: int, data: st.DataObject
) -> None:
    """As long as none lasts longer than 95% of the others, which here is as long as they all may."""
    budget_pico = millis * 10**9
    spending = Spending(tariff(millis / 1000))
    in_flight: list[tuple[Debit, float]] = []
    for tasks, share in wanted:
        if count := spending.affordable("f", tasks, 0.0):
            in_flight.append((sent(spending, count), TIMEOUT_S * share))
        elif in_flight:
            debit, seconds = in_flight.pop(data.draw(st.integers(0, len(in_flight) - 1)))
            spending.end(debit, Failed(Kind.GARBLED, ""), seconds)
        assert spending.spent_pico + spending.in_flight_pico <= budget_pico


# ---- runs, in virtual time ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Metered:
    """An invoker whose invocations take as long as they are told, and say so as Lambda does."""

    inner: InProcessInvoker
    seconds: float
    throttled: int = 0
    """How many are refused first."""

    instead: Reply | None = None
    """What is replied, if not what the function does."""

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        if self.throttled:
            self.throttled -= 1
            return THROTTLED
        await asyncio.sleep(self.seconds)
        reply = self.instead or await self.inner.invoke(function, payload, timeout_s=timeout_s)
        return replace(
            reply, log_tail=f"REPORT Billed Duration: {1000 * self.seconds:.0f} ms\tMemory Size: 1024 MB"
        )

    async def close(self) -> None:
        await self.inner.close()


class Spent:
    """A run in virtual time, and what it came to."""

    def __init__(self, folder: Path) -> None:
        self.store = FileStore(folder)
        self.events: list[Event] = []

    def run(
        self,
        program: Program,
        given: Tariff,
        *,
        throttled: int = 0,
        instead: Reply | None = None,
        durable: Durable | None = None,
        concurrency: int = 64,
    ) -> Any:
        invoker = Metered(InProcessInvoker(Sums().callables()), 2.0, throttled, instead)
        return run_virtually(
            execute(
                program, functions_of(program), invoker=invoker, store=self.store, run="r1", key=KEY, clock=LoopClock(),
                listeners=[self.events.append], limits=Limits(batch=1, concurrency=concurrency), tariff=given,
                durable=durable,
            )
        ).values  # fmt: skip

    def count(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.events)


def test_a_run_within_its_budget_ends_as_without_one(tmp_path: Path) -> None:
    assert Spent(tmp_path / "a").run(wide(12), tariff(13 * 0.0021 + 0.01)) == [79]
    assert Spent(tmp_path / "b").run(wide(12), tariff(None)) == [79]


def test_a_run_stops_before_it_passes_its_budget_and_says_what_is_left(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError) as caught:
        spent.run(wide(12), tariff(0.0205), concurrency=4)
    error = caught.value
    assert spent.count(InvocationStarted) == spent.count(InvocationEnded) == 5
    assert (error.spent_usd, error.next_usd, error.known) == (0.0105, WORST_USD, False)
    assert error.left_usd == pytest.approx(0.01)
    assert str(error) == (
        "run r1 has spent 0.010500 of budget_usd=0.0205; 0.010000 USD are left, and its next invocation may cost "
        "0.010100 (memory_mb= for all of timeout_s=, until it is known what its tasks take). To go on, resume the run "
        "with a larger budget_usd=, which counts what it has spent already"
    )
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_budget_for_less_than_one_invocation_sends_none(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError):
        spent.run(wide(3), tariff(0.01))
    assert spent.count(InvocationStarted) == 0


def test_throttled_invocations_cost_nothing(tmp_path: Path) -> None:
    spent = Spent(tmp_path)
    assert spent.run(program_of([("f", 1)], [0]), tariff(0.0101), throttled=3, concurrency=1) == [2]
    assert spent.count(InvocationStarted) == 4


def test_what_fails_counts_too(tmp_path: Path) -> None:
    """The budget is for one attempt of 2 s and the start of another."""
    spent = Spent(tmp_path)
    with pytest.raises(BudgetError) as caught:
        spent.run(program_of([("f", 1)], [0]), tariff(0.0021 + WORST_USD), instead=DEAD)
    assert (spent.count(InvocationStarted), caught.value.spent_usd) == (2, 0.0042)


def test_who_resumes_a_run_goes_on_with_what_is_left_of_a_larger_budget(tmp_path: Path) -> None:
    folder = DiskFolders(tmp_path / "runs").of("r1")
    first = Durable(folder=folder, key=KEY, saved={"program": wide(12)})
    spent = Spent(tmp_path / "values")
    with pytest.raises(BudgetError) as caught:
        spent.run(wide(12), tariff(0.0205), durable=first, concurrency=4)
    assert caught.value.spent_usd == 0.0105

    def resumed(budget_usd: float) -> Any:
        again = replace(first, claim=take(folder, this_client()))
        return spent.run(wide(12), tariff(budget_usd), durable=again, concurrency=4)

    with pytest.raises(BudgetError) as caught:
        resumed(0.0105 + 0.0021 + WORST_USD - 1e-12)
    assert (caught.value.spent_usd, spent.count(InvocationStarted)) == (0.0126, 6)
    assert resumed(0.0126 + 7 * 0.0021 + WORST_USD) == [79]
    assert spent.count(InvocationStarted) == 13
