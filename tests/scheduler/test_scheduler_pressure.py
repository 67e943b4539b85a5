"""A run whose intermediates are larger than its store: what makes room goes first, and it always comes to its end."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.compiler.program import Gather
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import InvocationStarted, RunEnded, StoreOverfull
from graphlambda.scheduler.ledger import Ledger
from graphlambda.scheduler.pressure import Pressure
from graphlambda.scheduler.state import RunState
from graphlambda.scheduler.values import Place, Values
from graphlambda.testing.programs import Sums, program_of, programs, values_by_hand
from tests.scheduler.bench import KEY, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.invoke import Reply

CHUNK_BYTES = 20_000


class Measured:
    """The most bytes of values that a store's folder held after any invocation."""

    def __init__(self, bench: Bench) -> None:
        self.folder = bench.store.root / "r1"
        self.peak_bytes = 0

    def __call__(self, reply: Reply) -> Reply:
        """Look, and hand the reply on."""
        held_bytes = sum(path.stat().st_size for path in self.folder.glob("v-*"))
        self.peak_bytes = max(self.peak_bytes, held_bytes)
        return reply


def reduction(chunks: int, split_every: int = 8) -> Program:
    """Return chunks that are made, and added up by so many in a tree."""
    tasks: list[tuple[object, ...]] = [("f", i) for i in range(chunks)]
    level = list(range(chunks))
    while len(level) > 1:
        groups = [level[at : at + split_every] for at in range(0, len(level), split_every)]
        level = list(range(len(tasks), len(tasks) + len(groups)))
        tasks += [("g", Gather(list(group))) for group in groups]
    return program_of(tasks, [level[0]])


@pytest.fixture
def large(bench: Bench) -> Bench:
    bench.operations["gl-f"] = lambda number: number.to_bytes(CHUNK_BYTES, "little")
    bench.operations["gl-g"] = lambda parts: sum(int.from_bytes(p, "little") for p in parts).to_bytes(
        CHUNK_BYTES, "little"
    )
    return bench


@pytest.mark.parametrize("batch", [1, 5])
def test_a_reduction_completes_within_a_twentieth_of_what_it_makes(large: Bench, batch: int) -> None:
    program = reduction(640)
    bound_bytes = program.task_count * CHUNK_BYTES // 20
    measured = Measured(large)
    limits = Limits(batch=batch, concurrency=4, inline_bytes=1000, store_bytes=bound_bytes)
    (total,) = large.run(program, [measured] * 2000, limits=limits)
    assert int.from_bytes(total, "little") == sum(range(640))
    (ended,) = large.of(RunEnded)
    assert measured.peak_bytes <= bound_bytes
    assert bound_bytes / 2 < ended.stored_peak_bytes <= bound_bytes
    assert large.of(StoreOverfull) == []


def test_without_a_bound_the_same_reduction_stores_more(large: Bench) -> None:
    measured = Measured(large)
    large.run(reduction(640), [measured] * 2000, limits=Limits(batch=1, concurrency=64, inline_bytes=1000))
    assert measured.peak_bytes > 1_500_000


def test_where_nothing_makes_room_a_task_runs_beyond_the_bound_and_that_is_told(large: Bench) -> None:
    program = reduction(8)
    limits = Limits(batch=1, concurrency=4, inline_bytes=1000, store_bytes=3 * CHUNK_BYTES)
    large.run(program, limits=limits)
    assert len(large.of(StoreOverfull)) >= 4
    assert large.of(RunEnded)[0].stored_peak_bytes > 8 * CHUNK_BYTES


def test_what_makes_room_goes_before_what_comes_first(large: Bench) -> None:
    tasks = [("f", 1), ("f", 2), ("f", 3), ("g", Gather([0])), ("g", Gather([1, 3])), ("g", Gather([2, 4]))]
    limits = Limits(batch=1, concurrency=1, inline_bytes=1000, store_bytes=CHUNK_BYTES * 5 // 4)
    large.run(program_of(tasks, [5]), limits=limits)
    sent = [event.tasks[0] for event in large.of(InvocationStarted)]
    assert sent.index(3) < sent.index(1)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    program=programs(),
    bound_bytes=st.integers(0, 3000),
    batch=st.none() | st.integers(1, 4),
    inline_bytes=st.sampled_from([0, 65_536]),
)
def test_any_program_comes_to_its_end_under_any_bound(
    tmp_path: Path, program: Program, bound_bytes: int, batch: int | None, inline_bytes: int
) -> None:
    bench = Bench(tmp_path)
    limits = Limits(batch=batch, concurrency=3, inline_bytes=inline_bytes, store_bytes=bound_bytes)
    measured = Measured(bench)
    assert bench.run(program, [measured] * 99, limits=limits) == values_by_hand(program, Sums().callables())
    (ended,) = bench.of(RunEnded)
    assert measured.peak_bytes <= ended.stored_peak_bytes
    if not bench.of(StoreOverfull):
        assert ended.stored_peak_bytes <= bound_bytes or inline_bytes == 0


def test_what_lets_go_of_something_makes_room_though_nobody_has_measured_it(bench: Bench) -> None:
    program = program_of([("f", 1), ("f", 2), ("g", Gather([0, 1])), ("h", 3)], [2, 3])
    state = RunState(program, np.arange(4))
    place = Place(
        store=bench.store, run="r", key=KEY, keys_of=lambda _: KEY, dumps=pickle.dumps, limits=Limits()
    )
    values = Values(program, place)
    pressure = Pressure(place.ledger, values, state, 100 * CHUNK_BYTES)
    assert pressure.relieving() is None
    for task in state.take(0, 2):
        state.commit(task)
        values.receive(task, None, CHUNK_BYTES)
    assert pressure.relieving() == int(program.table_of[2])


def test_a_ledger_counts_each_frame_once_and_what_is_deleted_no_more() -> None:
    ledger = Ledger()
    for name, size_bytes in (("v-1", 10), ("v-2", 5), ("v-1", 10)):
        ledger.add(name, size_bytes)
    ledger.remove(["v-1", "v-1", "v-9"])
    assert (ledger.stored_bytes, ledger.peak_bytes) == (5, 15)
