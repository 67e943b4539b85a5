"""A run from end to end: values, faults, bounds, and what is left behind."""

from __future__ import annotations

import asyncio
import pickle
from threading import Barrier
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.compiler.program import Gather, Input, Kept
from graphlambda.errors import (
    AuthenticationError,
    EnvironmentLostError,
    InvokeError,
    MissingModuleError,
    OutOfMemoryError,
    ResultTooLargeError,
    RunError,
    StoreError,
    ThrottledError,
    TimedOutError,
    UnshippableError,
)
from graphlambda.scheduler import Limits
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.events import (
    InvocationEnded,
    InvocationStarted,
    RunEnded,
    RunStarted,
    TaskOutput,
    TaskRetried,
    TasksDone,
    ValuesReleased,
)
from graphlambda.store.file import FileStore
from graphlambda.testing.invokers import (
    doubled,
    ended,
    function_error,
    halved,
    lost,
    refusal,
)
from graphlambda.testing.programs import (
    Sums,
    edges_of,
    program_of,
    programs,
    total,
    values_by_hand,
)
from tests.scheduler.bench import DEAD, KEY, KILLED, LATE, THROTTLED, WIDE_12, Bench, wide

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.testing.invokers import Fault

# ---- values ----------------------------------------------------------------------------------------------------


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=programs(), batch=st.none() | st.integers(1, 5), inline_bytes=st.sampled_from([0, 100, 65536]))
def test_random_programs_give_what_they_give_by_hand(
    tmp_path: Path, program: Program, batch: int | None, inline_bytes: int
) -> None:
    bench = Bench(tmp_path)
    values = bench.run(program, limits=Limits(batch=batch, inline_bytes=inline_bytes, concurrency=3))
    assert values == values_by_hand(program, Sums().callables())
    assert sorted(bench.done) == list(range(program.task_count))
    assert bench.store.runs() == {}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    program=programs(),
    script=st.lists(
        st.sampled_from(
            [None, None, THROTTLED, DEAD, KILLED, lost, halved, doubled, ConnectionResetError("cut")]
        ),
        max_size=12,
    ),
)
def test_random_faults_never_change_a_value(tmp_path: Path, program: Program, script: list[Fault]) -> None:
    bench = Bench(tmp_path)
    try:
        values = bench.run(program, script, limits=Limits(concurrency=3, batch=4))
    except (EnvironmentLostError, OutOfMemoryError, InvokeError):
        assert len(script) - script.count(None) > 0
    else:
        assert values == values_by_hand(program, Sums().callables())
        assert sorted(bench.done) == list(range(program.task_count))
    assert bench.store.runs() == {}


def test_what_rode_only_to_a_task_that_the_reply_leaves_out_is_made_again(bench: Bench) -> None:
    chain = program_of([("f", 1), *[("f", Input(task)) for task in range(5)]], [5])
    assert bench.run(chain, [halved], limits=Limits(batch=6)) == [7]


def test_an_empty_program_gives_its_data(bench: Bench) -> None:
    assert bench.run(program_of([], [[0, 1], 0], data=["a", None])) == [["a", None], "a"]


def test_an_output_that_occurs_twice_is_one_object(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda: [1]
    first, second = bench.run(program_of([("f",)], [0, [0]]))
    assert first is second[0]


def test_large_values_go_through_the_store_and_are_dropped_with_their_last_reader(bench: Bench) -> None:
    bench.operations["gl-f"] = np.ones
    bench.operations["gl-g"] = lambda array: float(array.sum())
    program = program_of([("f", 50_000), ("g", Input(0)), ("f", 60_000), ("g", Input(2))], [1, 3])
    assert bench.run(program, limits=Limits(batch=1)) == [50_000.0, 60_000.0]
    assert [done.tasks for done in bench.of(TasksDone) if done.inline == (False,)] == [(0,), (2,)]
    assert [event.values for event in bench.of(ValuesReleased)] == [(0,), (2,)]


def test_data_objects_travel_inline_when_small_and_once_through_the_store_when_large(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda data, factor: float(np.sum(data)) * factor
    tasks = [("f", Input(8 + i % 2), i) for i in range(8)]
    program = program_of(tasks, [list(range(8))], data=[np.ones(10), np.ones(100_000)])
    values = bench.run(program, limits=Limits(batch=1))
    assert values == [[0.0, 100_000.0, 20.0, 300_000.0, 40.0, 500_000.0, 60.0, 700_000.0]]
    assert max(size for _, size in bench.inner.requests) < 10_000


def test_run_constants_are_sent_in_the_request_or_stored_once_when_large(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda constant, own: len(constant) + own
    for size in (10, 100_000):
        program = program_of(
            [("f", None, i) for i in range(4)], [[0, 1, 2, 3]], constants={"f": {0: bytes(size)}}
        )
        assert bench.run(program, run=f"r{size}", limits=Limits(batch=1)) == [[size + i for i in range(4)]]
    assert max(size for _, size in bench.inner.requests) < 10_000


def test_a_request_never_exceeds_its_bound_however_wide_the_fan_in(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda i: bytes([i]) * 3000
    bench.operations["gl-g"] = lambda parts: sum(len(part) for part in parts)
    values = bench.run(wide(200), limits=Limits(request_bytes=400_000, batch=50))
    assert values == [600_000]
    assert max(size for _, size in bench.inner.requests) <= 400_000


def test_large_literals_are_stored_when_their_batch_does_not_fit(bench: Bench) -> None:
    bench.operations["gl-f"] = len
    program = program_of([("f", bytes(300_000 + i)) for i in range(3)], [[0, 1, 2]])
    assert bench.run(program, limits=Limits(request_bytes=200_000, batch=3)) == [[300_000, 300_001, 300_002]]
    assert max(size for _, size in bench.inner.requests) <= 200_000


def test_values_beyond_what_the_client_may_hold_are_stored(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda i: bytes(1000 + i)
    bench.operations["gl-g"] = lambda parts: sum(map(len, parts))
    assert bench.run(wide(20), limits=Limits(held_bytes=5000, batch=1)) == [20_190]


def test_tasks_that_change_their_inputs_change_nobody_elses(bench: Bench) -> None:
    def grow(numbers: list[int]) -> int:
        numbers.append(1)
        return len(numbers)

    bench.operations["gl-f"] = list
    bench.operations["gl-g"] = grow
    program = program_of([("f",), *[("g", Input(0))] * 4, *[("g", [5])] * 2], [[1, 2, 3, 4, 5, 6]])
    assert bench.run(program, limits=Limits(batch=6)) == [[1, 1, 1, 1, 2, 2]]


# ---- keeping ---------------------------------------------------------------------------------------------------


def test_kept_outputs_stay_alone_in_the_store_and_are_read_by_a_later_run(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda own: np.full(20_000, own)
    bench.operations["gl-g"] = lambda parts: float(sum(np.sum(part) for part in parts))
    made = program_of([("f", 1), ("f", 2), ("g", Gather([0, 1]))], [[0, 2], 3], data=["d"])
    kept = bench.run(made, run="old", keep=True)
    address = bench.store.address
    assert kept == [
        [Kept(run="old", id=0, store=address), Kept(run="old", id=2, store=address)],
        Kept(run="old", id=3, store=address),
    ]
    names = sorted(
        path.name for path in (bench.store.root / "old").iterdir() if not path.name.startswith(".")
    )
    assert names == ["v-0", "v-2", "v-3"]
    later = program_of([("g", Gather([1, 1, 2]))], [[0, 2, 3]], data=[kept[0][0], kept[0][1], kept[1]])
    assert bench.run(later, run="new", keys_of=lambda _run: KEY) == [[100_000.0, 60_000.0, "d"]]
    assert set(bench.store.runs()) == {"old"}


class Meeting(FileStore):
    """Tells a size where another one is asked for at the same time."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._both = Barrier(2, timeout=20.0)

    def size(self, run: str, name: str) -> int | None:
        self._both.wait()
        return super().size(run, name)


def test_of_outputs_that_an_earlier_run_kept_several_sizes_are_asked_for_at_once(bench: Bench) -> None:
    kept = bench.run(program_of([("f", 1), ("f", 2)], [0, 1]), run="old", keep=True)
    bench.store = Meeting(bench.store.root)
    later = program_of([("f", 5)], [0, 1, 2], data=kept)
    assert bench.run(later, run="new", keys_of=lambda _run: KEY) == [6, 2, 3]


class Strict:
    """Pickles, and cannot be rebuilt: its class asks for what its pickle lacks."""

    def __new__(cls, _value: int) -> Self:
        return super().__new__(cls)


@pytest.mark.parametrize("inline_bytes", [0, 65536], ids=["stored", "inline"])
def test_a_result_that_cannot_be_rebuilt_raises_what_pickle_does_and_says_whose_it_is(
    bench: Bench, inline_bytes: int
) -> None:
    """As of Dask's processes, where nothing says whose it was."""
    bench.operations["gl-f"] = Strict
    with pytest.raises(TypeError) as wanted:
        pickle.loads(pickle.dumps(Strict(1)))
    with pytest.raises(TypeError) as got:
        bench.run(program_of([("f", 1)], [0]), limits=Limits(inline_bytes=inline_bytes))
    assert str(got.value) == str(wanted.value)
    assert got.value.__notes__ == ["while the result of task ('t', 0) was un-pickled"]


def test_values_kept_in_another_store_are_refused(bench: Bench) -> None:
    program = program_of([("f", Input(1))], [0], data=[Kept(run="old", id=0, store="file:/elsewhere")])
    with pytest.raises(StoreError, match="file:/elsewhere"):
        bench.run(program)


def test_a_result_larger_than_memory_is_refused_before_it_is_downloaded(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda: np.ones(100_000)
    with pytest.raises(ResultTooLargeError, match=r"to_zarr.*persist"):
        bench.run(program_of([("f",)], [0]), free_bytes=lambda: 700_000)


# ---- faults ----------------------------------------------------------------------------------------------------


def test_throttling_charges_nobody_and_ends(bench: Bench) -> None:
    assert bench.run(wide(12), [THROTTLED] * 9, limits=Limits(batch=1, concurrency=4)) == WIDE_12
    assert {event.attempt for event in bench.of(InvocationStarted)} == {1}
    assert bench.clock.slept_s == sorted(bench.clock.slept_s)


def test_throttling_without_end_is_an_error_after_the_bound(bench: Bench) -> None:
    started_s = bench.clock.now_s
    with pytest.raises(ThrottledError, match="ConcurrentInvocationLimitExceeded"):
        bench.run(wide(3), [THROTTLED] * 10_000, limits=Limits(stall_s=60))
    assert 60 < bench.clock.now_s - started_s < 90


def test_a_lost_environment_of_a_batch_charges_nobody_and_its_tasks_run_singly(bench: Bench) -> None:
    assert bench.run(wide(12), [lost], limits=Limits(batch=12, concurrency=1)) == WIDE_12
    sizes = [len(event.tasks) for event in bench.of(InvocationStarted)]
    assert sizes == [12, *[1] * 12, 1]
    assert {event.attempt for event in bench.of(InvocationStarted)} == {1}
    assert len(bench.of(TaskRetried)) == 12


def test_a_batch_half_told_runs_only_its_other_half_again(bench: Bench) -> None:
    assert bench.run(wide(12), [halved], limits=Limits(batch=12, concurrency=1)) == WIDE_12
    assert [len(event.tasks) for event in bench.of(InvocationStarted)] == [12, *[1] * 6, 1]


def test_tasks_that_a_function_did_not_begin_since_the_run_seemed_over_share_an_invocation_again(
    bench: Bench,
) -> None:
    assert bench.run(wide(12), [ended], limits=Limits(batch=12, concurrency=1, idempotent=False)) == WIDE_12
    assert [len(event.tasks) for event in bench.of(InvocationStarted)] == [12, 6, 1]


def test_outcomes_told_twice_are_committed_once(bench: Bench) -> None:
    assert bench.run(wide(12), [doubled] * 20, limits=Limits(batch=3)) == WIDE_12
    assert sorted(bench.done) == list(range(13))


@pytest.mark.parametrize(
    ("fault", "error", "said", "invocations"),
    [
        (DEAD, EnvironmentLostError, "exit status 1", 3),
        (TimeoutError("no answer"), EnvironmentLostError, "no answer", 3),
        (refusal(500, "ServiceException"), InvokeError, "ServiceException", 5),
        (refusal(403, "ExpiredTokenException"), InvokeError, "aws sso login", 2),
        (refusal(502, "InvalidZipFileException"), InvokeError, "Deploy the program again", 1),
        (LATE, TimedOutError, "timeout_s=", 1),
        (KILLED, OutOfMemoryError, "memory_mb=", 1),
        (
            function_error("Runtime.ImportModuleError", "No module named 'x'"),
            MissingModuleError,
            "requirements=",
            1,
        ),
        (function_error("FrameError", "damaged"), AuthenticationError, "damaged", 2),
        (function_error("ValueStoreError", "gone"), StoreError, "gone", 8),
    ],
)
def test_what_does_not_pass_is_tried_so_often_and_named(
    bench: Bench, fault: Fault, error: type[Exception], said: str, invocations: int
) -> None:
    with pytest.raises(error, match=said) as raised:
        bench.run(program_of([("f", 1)], [0]), [fault] * 99)
    assert "task ('t', 0) of operation f (function gl-f)" in str(raised.value)
    assert len(bench.of(InvocationStarted)) == invocations
    assert bench.store.runs() == {}
    assert bench.inner.closed


class Twins:
    """Makes twins of functions, so many in all."""

    def __init__(self, bench: Bench, most: int) -> None:
        self.bench, self.most, self.asked = bench, most, list[tuple[str, ...]]()

    async def larger(self, operation: str, function: str) -> str | None:
        return await self._twin("larger", operation, function)

    async def with_module(self, operation: str, function: str, module: str) -> str | None:
        return await self._twin("with_module", operation, function, module)

    async def _twin(self, *asked: str) -> str | None:
        await asyncio.sleep(0)
        self.asked.append(asked)
        if len(self.asked) > self.most:
            return None
        self.bench.operations[f"{asked[2]}+"] = self.bench.operations[asked[2]]
        return f"{asked[2]}+"


def test_out_of_memory_runs_the_task_again_on_a_larger_twin_that_the_operation_keeps(bench: Bench) -> None:
    twins = Twins(bench, 1)
    script = [KILLED, KILLED]
    assert bench.run(wide(12), script, provisioner=twins, limits=Limits(batch=1, concurrency=2)) == WIDE_12
    assert twins.asked == [("larger", "ffffffff", "gl-f")]
    assert [function for function, _ in bench.inner.requests] == [*["gl-f+"] * 12, "gl-g"]


def test_out_of_memory_ends_where_there_is_no_larger_twin(bench: Bench) -> None:
    with pytest.raises(OutOfMemoryError):
        bench.run(wide(2), [KILLED] * 99, provisioner=Twins(bench, 2), limits=Limits(batch=1, concurrency=1))


def test_a_module_missing_at_run_time_is_asked_for_once(bench: Bench) -> None:
    def needy(own: int) -> int:
        if len(bench.inner.requests) == 1:
            raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
        return own

    twins = Twins(bench, 1)
    bench.operations["gl-f"] = needy
    assert bench.run(program_of([("f", 5)], [0]), provisioner=twins) == [5]
    assert twins.asked == [("with_module", "ffffffff", "gl-f", "scipy")]


# ---- the user's errors -----------------------------------------------------------------------------------------


class OwnError(ValueError):
    """Of the user."""


def test_a_tasks_own_exception_ends_the_run_as_itself(bench: Bench) -> None:
    def fail(own: int) -> int:
        if own == 5:
            raise OwnError(own)
        return own

    bench.operations["gl-f"] = fail
    with pytest.raises(OwnError) as raised:
        bench.run(wide(12), limits=Limits(batch=1, concurrency=1))
    assert raised.value.args == (5,)
    assert raised.value.__notes__[0] == "in task ('t', 5) of operation f (function gl-f)"
    assert len(bench.inner.requests) == 6
    assert bench.events[-1].failure == "OwnError"  # type: ignore[union-attr]
    assert bench.store.runs() == {}


def test_a_task_that_raises_runs_again_as_often_as_asked(bench: Bench) -> None:
    calls: list[int] = []

    def shaky() -> int:
        calls.append(1)
        if len(calls) < 3:
            raise OwnError
        return 7

    bench.operations["gl-f"] = shaky
    assert bench.run(program_of([("f",)], [0]), limits=Limits(retries=2)) == [7]
    assert [event.attempt for event in bench.of(InvocationStarted)] == [1, 2, 3]


def test_a_literal_that_does_not_pickle_is_named(bench: Bench) -> None:
    with pytest.raises(UnshippableError, match="generator"):
        bench.run(program_of([("f", (i for i in range(3)))], [0]))


def test_tasks_that_wait_for_each_other_are_an_error_not_a_wait(bench: Bench) -> None:
    program = program_of([("f", Input(1)), ("f", Input(0)), ("f",)], [0])
    with pytest.raises(RunError, match="2 tasks wait for each other"):
        bench.run(program)
    assert bench.inner.closed
    assert [type(event) for event in bench.events] == [RunStarted, RunEnded]


# ---- events, batches, cancelling ---------------------------------------------------------------------------------


def test_a_run_tells_its_events_in_order(bench: Bench) -> None:
    def speak(own: int) -> int:
        print("hello", own)
        return own

    bench.operations["gl-f"] = speak
    bench.run(program_of([("f", 5), ("g", Input(0))], [1]))
    assert [type(event) for event in bench.events] == [
        RunStarted, InvocationStarted, InvocationEnded, TaskOutput, TasksDone,
        InvocationStarted, InvocationEnded, TasksDone, ValuesReleased, RunEnded,
    ]  # fmt: skip
    started, output = bench.events[0], bench.of(TaskOutput)[0]
    assert (started.tasks, started.operations) == (2, (("ffffffff", "f", 1), ("gggggggg", "g", 1)))  # type: ignore[union-attr]
    assert (output.key, output.stdout) == ("('t', 0)", "hello 5\n")


def test_a_listener_that_raises_is_dropped_with_a_warning(bench: Bench) -> None:
    told: list[Event] = []

    def broken(event: Event) -> None:
        told.append(event)
        raise OwnError("listener")

    with pytest.warns(RuntimeWarning, match="OwnError: listener"):
        assert bench.run(wide(12), listeners=[broken, bench.events.append]) == WIDE_12
    assert len(told) == 1
    assert isinstance(bench.events[-1], RunEnded)


def test_batch_one_is_one_task_an_invocation_and_concurrency_is_kept(bench: Bench) -> None:
    bench.run(wide(30), limits=Limits(batch=1, concurrency=3))
    assert {len(event.tasks) for event in bench.of(InvocationStarted)} == {1}
    assert bench.inner.most_in_flight == 3


def test_short_tasks_share_invocations_by_default(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert bench.run(wide(2000), limits=Limits(concurrency=2), clock=SystemClock()) == [
        1 + sum(i + 1 for i in range(2000))
    ]
    assert len(bench.inner.requests) < 100


def test_a_chain_of_one_operation_shares_an_invocation(bench: Bench) -> None:
    program = program_of([("f", 0), *[("f", Input(t)) for t in range(99)]], [99])
    assert bench.run(program, limits=Limits(batch=50)) == [100]
    assert [len(event.tasks) for event in bench.of(InvocationStarted)] == [50, 50]


def test_of_a_chain_that_shares_an_invocation_only_the_last_value_travels(bench: Bench) -> None:
    program = program_of([("f", 0), *[("f", Input(t)) for t in range(99)]], [99])
    assert bench.run(program, limits=Limits(batch=100)) == [100]
    (done,) = bench.of(TasksDone)
    assert [task for task, inline in zip(done.tasks, done.inline, strict=True) if inline] == [99]


class Stuck:
    """Never answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.closed = False

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Any:
        self.asked.set()
        await asyncio.Event().wait()

    async def close(self) -> None:
        self.closed = True


def test_a_cancelled_run_ends_at_once_and_leaves_nothing(bench: Bench) -> None:
    async def cancel() -> tuple[bool, int]:
        stuck = Stuck()
        running = asyncio.create_task(bench.execute(wide(50), stuck, limits=Limits(concurrency=5)))
        await stuck.asked.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        return stuck.closed, len(asyncio.all_tasks())

    assert asyncio.run(cancel()) == (True, 1)
    assert bench.store.runs() == {}
    assert bench.events[-1].failure == "RunCancelledError"  # type: ignore[union-attr]


def test_an_invoker_that_never_answers_does_not_hang_the_run(bench: Bench) -> None:
    running = bench.execute(program_of([("f", 1)], [0]), Stuck(), limits=Limits(invoke_timeout_s=0.01))
    with pytest.raises(EnvironmentLostError, match="no answer"):
        asyncio.run(asyncio.wait_for(running, 10))
    assert len(bench.of(InvocationStarted)) == 3


def test_the_same_run_tells_the_same_story(tmp_path: Path) -> None:
    def told(name: str) -> list[Any]:
        bench = Bench(tmp_path / name)
        bench.run(wide(40), [None, THROTTLED, lost, DEAD, doubled], limits=Limits(batch=4, concurrency=3))
        return [
            (type(event), getattr(event, "tasks", getattr(event, "task", None))) for event in bench.events
        ]

    assert told("a") == told("b")


def test_a_reply_without_a_tasks_outcome_is_an_attempt_of_a_single_task(bench: Bench) -> None:
    with pytest.raises(EnvironmentLostError, match="does not tell of it"):
        bench.run(program_of([("f", 1)], [0]), [halved] * 9)
    assert len(bench.inner.requests) == 3


def test_hand_made_sums_are_what_they_say() -> None:
    assert (total(), total(1, [2, [3]], 4)) == (1, 11)
    assert edges_of([[2, 1, 2]]).ids.tolist() == [1, 2]
