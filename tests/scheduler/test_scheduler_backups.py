"""Stragglers get a backup where they may run twice, and only there; what runs twice is committed once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.scheduler import Limits
from graphlambda.scheduler.backups import Backups
from graphlambda.scheduler.events import RunEnded, TaskRetried
from graphlambda.scheduler.execution import LOOK_EVERY_S
from graphlambda.scheduler.pace import Durations
from graphlambda.scheduler.policy import backups_at_once, straggles_after_s
from graphlambda.scheduler.tools import Unit
from graphlambda.testing.invokers import function_error
from graphlambda.testing.programs import Sums, program_of, programs, values_by_hand
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import Bench, wide

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.invoke import Invoker, Reply

FAST_S, SLOW_S = 0.1, 100.0
DEAD = function_error("Runtime.ExitError", "Runtime exited with error: exit status 1")


class Lagging:
    """Lets the invocations with these numbers take long before (or after) they run; others take a moment."""

    def __init__(self, inner: Invoker, *slow: int, after: bool = False, dies: bool = False) -> None:
        self._inner, self._slow, self._after, self._dies = inner, slow, after, dies
        self._sent = 0

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        number, self._sent = self._sent, self._sent + 1
        if number not in self._slow:
            await asyncio.sleep(FAST_S)
            return await self._inner.invoke(function, payload, timeout_s=timeout_s)
        if not self._after:
            await asyncio.sleep(SLOW_S)
        told = await self._inner.invoke(function, payload, timeout_s=timeout_s)
        if self._after:
            await asyncio.sleep(SLOW_S)
        return DEAD if self._dies else told

    async def close(self) -> None:
        await self._inner.close()


def ran(bench: Bench, program: Program, invoker: Invoker, **limits: Any) -> tuple[list[Any], float]:
    """Return a run's values, and how many seconds it took."""
    bounds = Limits(**{"batch": 1, "concurrency": 8, "idempotent": True, **limits})
    values = run_virtually(bench.execute(program, invoker, limits=bounds, clock=LoopClock()))
    return values, bench.of(RunEnded)[-1].seconds


WANTED = [1 + sum(i + 1 for i in range(24))]


@pytest.mark.parametrize("after", [False, True], ids=["stuck before", "stuck after"])
def test_the_first_reply_wins_and_the_run_does_not_wait_for_the_other(bench: Bench, after: bool) -> None:
    values, seconds = ran(bench, wide(24), Lagging(bench.inner, 3, after=after))
    assert values == WANTED
    assert seconds < 5
    assert sorted(bench.done) == list(range(25))
    assert [(event.task, event.reason) for event in bench.of(TaskRetried)] == [(3, "straggler")]
    assert bench.calls.count((3,)) == (2 if after else 1)
    assert bench.store.runs() == {}


@pytest.mark.parametrize("idempotent", [None, False])
def test_what_may_not_run_twice_gets_none(bench: Bench, idempotent: bool | None) -> None:
    values, seconds = ran(bench, wide(24), Lagging(bench.inner, 3), idempotent=idempotent)
    assert (values, seconds > SLOW_S, len(bench.calls)) == (WANTED, True, 25)
    assert bench.of(TaskRetried) == []


def test_there_is_none_while_there_are_tasks_to_send_or_no_concurrency_is_free(bench: Bench) -> None:
    program = wide(400)
    ran(bench, program, Lagging(bench.inner, 3, 400), concurrency=2)
    assert [event.task for event in bench.of(TaskRetried)] == [3]
    assert len(bench.done) == 401


def test_a_straggler_that_dies_while_its_backup_runs_charges_nobody(bench: Bench) -> None:
    values, _ = ran(bench, wide(24), Lagging(bench.inner, 3, 24, dies=True), invoke_timeout_s=900.0)
    assert values == WANTED
    assert [event.reason for event in bench.of(TaskRetried)] == ["straggler", "environment lost"]
    assert bench.calls.count((3,)) == 3


class Losing(Lagging):
    """Loses an output once its backup has told of it; who makes that again dies."""

    def __init__(self, bench: Bench, straggler: int) -> None:
        super().__init__(bench.inner, straggler)
        self._value = bench.store.root / "r1" / f"v-{straggler}"
        self._backup = straggler + 1

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        number = self._sent
        told = await super().invoke(function, payload, timeout_s=timeout_s)
        if number == self._backup:
            self._value.unlink()
        return DEAD if number == self._backup + 1 else told


def test_a_straggler_that_was_left_behind_stands_for_nobody_when_its_value_is_lost(bench: Bench) -> None:
    program = program_of([("f", i) for i in range(25)], [[*range(25)]])
    values, _ = ran(bench, program, Losing(bench, 24), inline_bytes=0)
    assert values == [[i + 1 for i in range(25)]]
    assert [event.reason for event in bench.of(TaskRetried)] == ["straggler", "environment lost"]


def test_one_is_sent_after_the_other_where_many_straggle(bench: Bench) -> None:
    _, seconds = ran(bench, wide(60), Lagging(bench.inner, *range(40, 60)), concurrency=64)
    assert 20 * LOOK_EVERY_S <= seconds < SLOW_S
    assert len(bench.of(TaskRetried)) == 20


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    program=programs(),
    slow=st.sets(st.integers(0, 30), max_size=6),
    after=st.booleans(),
    idempotent=st.sampled_from([None, True, False]),
    batch=st.none() | st.integers(1, 4),
    inline_bytes=st.sampled_from([0, 65_536]),
)
def test_what_runs_twice_is_committed_once_and_what_may_not_runs_once(
    tmp_path: Path,
    program: Program,
    slow: set[int],
    after: bool,
    idempotent: bool | None,
    batch: int | None,
    inline_bytes: int,
) -> None:
    bench = Bench(tmp_path)
    limits = {"idempotent": idempotent, "batch": batch, "inline_bytes": inline_bytes}
    values, _ = ran(bench, program, Lagging(bench.inner, *slow, after=after), **limits)
    assert values == values_by_hand(program, Sums().callables())
    assert sorted(bench.done) == list(range(program.task_count))
    assert len(bench.calls) <= program.task_count or idempotent is True
    assert bench.store.runs() == {}


def flights(*sent_s: float, idempotent: bool | None = True, known: int = 8) -> Backups:
    """Return invocations of one task each, sent at these seconds; others have taken 2 s."""
    trips = Durations()
    trips.add([2.0] * known, cold=False)
    backups = Backups([Unit("f", asyncio.Lock(), Durations(), trips, idempotent)])
    for task, at_s in enumerate(sent_s):
        backups.sent(0, (task,), at_s, is_backup=False)
    return backups


def test_what_is_far_slower_than_others_straggles_the_latest_first_and_once() -> None:
    backups = flights(3.0, 0.0, 1.0, 9.0)
    assert [late.tasks for late in backups.stragglers(7.5, in_flight=40, room=9)] == [(1,), (2,)]
    assert [late.tasks for late in backups.stragglers(9.5, in_flight=40, room=9)] == [(0,)]
    assert flights(0.0, 0.0).stragglers(99.0, in_flight=2, room=0) == []
    assert len(flights(0.0, 0.0).stragglers(99.0, in_flight=2, room=9)) == 1


@pytest.mark.parametrize(("idempotent", "known"), [(None, 8), (False, 8), (True, 7)])
def test_nothing_straggles_that_may_not_run_twice_or_of_which_little_is_known(
    idempotent: bool | None, known: int
) -> None:
    backups = flights(0.0, idempotent=idempotent, known=known)
    assert (backups.may_come, backups.stragglers(99.0, in_flight=9, room=9)) == (False, [])


def test_a_straggler_is_three_times_as_slow_and_takes_more_than_a_second() -> None:
    assert [straggles_after_s(s, tasks=n) for s, n in ((0.01, 1), (1.0, 1), (1.0, 5))] == [1.0, 3.0, 15.0]
    assert [backups_at_once(n) for n in (1, 39, 40, 1000)] == [1, 1, 2, 50]
