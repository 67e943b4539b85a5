"""What a run does where its store has lost a value, or gives back another one: it makes that again, so often."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.compiler.program import Gather, Input
from graphlambda.errors import AuthenticationError, LostValueError
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import InvocationStarted, TaskUndone
from graphlambda.testing.programs import Sums, program_of, programs, values_by_hand
from tests.scheduler.bench import KEY, Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.invoke import Reply

STORED = Limits(batch=1, concurrency=1, inline_bytes=0)
"""Every value goes through the store, one invocation after the other."""

CHAIN = program_of([("f", 1), ("g", Input(0)), ("h", Input(1)), ("i", Input(2))], [3])


def losing(bench: Bench, *names: str, run: str = "r1") -> Callable[[Reply], Reply]:
    """Return what loses values from the store once an invocation is done."""

    def lose(reply: Reply) -> Reply:
        for name in names:
            (bench.store.root / run / name).unlink()
        return reply

    return lose


def damaging(bench: Bench, name: str) -> Callable[[Reply], Reply]:
    """Return what flips a bit of a value in the store once an invocation is done."""

    def damage(reply: Reply) -> Reply:
        path = bench.store.root / "r1" / name
        frame = bytearray(path.read_bytes())
        frame[-1] ^= 1
        path.write_bytes(frame)
        return reply

    return damage


def tasks_sent(bench: Bench) -> list[int]:
    return [task for event in bench.of(InvocationStarted) for task in event.tasks]


def test_a_lost_value_and_what_was_released_on_the_way_to_it_is_made_again(bench: Bench) -> None:
    assert bench.run(CHAIN, [None, None, losing(bench, "v-2")], limits=STORED) == [5]
    assert tasks_sent(bench) == [0, 1, 2, 3, 0, 1, 2, 3]
    assert [event.task for event in bench.of(TaskUndone)] == [2, 1, 0]
    assert bench.store.runs() == {}


def test_only_what_is_needed_is_made_again(bench: Bench) -> None:
    tasks = [("f", 1), ("f", 2), ("g", Gather([0, 1])), ("h", Gather([0, 2]))]
    script = [None, None, losing(bench, "v-2")]
    assert bench.run(program_of(tasks, [3]), script, limits=STORED) == [9]
    assert tasks_sent(bench) == [0, 1, 2, 3, 1, 2, 3]


def test_all_that_a_task_misses_is_found_out_at_once(bench: Bench) -> None:
    program = program_of([*[("f", i) for i in range(9)], ("g", Gather(list(range(9))))], [9])
    script = [*[None] * 8, losing(bench, *[f"v-{i}" for i in range(1, 9)])]
    assert bench.run(program, script, limits=STORED) == [46]
    assert tasks_sent(bench) == [*range(10), *range(1, 10)]


def test_a_lost_data_object_is_stored_again(bench: Bench) -> None:
    bench.operations["gl-f"] = lambda array, factor: float(array.sum()) * factor
    program = program_of([("f", Input(2), 1), ("f", Input(2), 2)], [[0, 1]], data=[np.ones(50_000)])
    script = [losing(bench, "v-2")]
    assert bench.run(program, script, limits=Limits(batch=1, concurrency=1)) == [[50_000.0, 100_000.0]]
    assert tasks_sent(bench) == [0, 1, 1]


def test_lost_run_constants_are_stored_again(bench: Bench) -> None:
    def lose(reply: Reply) -> Reply:
        (constants,) = (bench.store.root / "r1").glob("c-*")
        constants.unlink()
        bench.inner.restart()
        return reply

    bench.operations["gl-f"] = lambda constant, own: len(constant) + own
    program = program_of([("f", None, i) for i in range(2)], [[0, 1]], constants={"f": {0: bytes(100_000)}})
    assert bench.run(program, [lose], limits=STORED) == [[100_000, 100_001]]


def test_an_output_that_is_lost_before_it_is_fetched_is_made_again(bench: Bench) -> None:
    assert bench.run(CHAIN, [None, None, None, losing(bench, "v-3")], limits=STORED) == [5]
    assert tasks_sent(bench) == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_damaged_value_is_made_again(bench: Bench) -> None:
    assert bench.run(CHAIN, [None, None, damaging(bench, "v-2")], limits=STORED) == [5]
    assert tasks_sent(bench) == [0, 1, 2, 3, 0, 1, 2, 3]


def test_a_damaged_output_is_made_again(bench: Bench) -> None:
    assert bench.run(CHAIN, [None, None, None, damaging(bench, "v-3")], limits=STORED) == [5]


def test_a_value_that_is_lost_again_and_again_ends_the_run_by_its_name(bench: Bench) -> None:
    program = program_of([("f", 1), ("g", Input(0))], [1])
    with pytest.raises(LostValueError, match=r"value v-0 of run r1 was lost by file:\S+ 3 times"):
        bench.run(program, [losing(bench, "v-0"), None] * 9, limits=STORED)
    assert tasks_sent(bench) == [0, 1] * 3
    assert bench.store.runs() == {}


def test_a_value_that_is_damaged_again_and_again_ends_the_run_by_its_name(bench: Bench) -> None:
    program = program_of([("f", 1), ("g", Input(0))], [1])
    with pytest.raises(
        AuthenticationError, match=r"value v-0 of run r1 came back damaged from file:\S+ 3 times"
    ):
        bench.run(program, [damaging(bench, "v-0"), None] * 9, limits=STORED)
    assert tasks_sent(bench) == [0, 1] * 3


def test_an_output_that_is_lost_again_and_again_ends_the_run(bench: Bench) -> None:
    with pytest.raises(LostValueError, match="v-0"):
        bench.run(program_of([("f", 1)], [0]), [losing(bench, "v-0")] * 9, limits=STORED)
    assert tasks_sent(bench) == [0, 0, 0]


def test_a_kept_value_that_is_lost_says_what_to_persist_again(bench: Bench) -> None:
    kept = bench.run(program_of([("f", 1)], [0]), run="old", keep=True)
    (bench.store.root / "old" / "v-0").unlink()
    later = program_of([("g", Input(1))], [0], data=kept)
    with pytest.raises(LostValueError, match="persist that again") as raised:
        bench.run(later, run="new", keys_of=lambda _run: KEY)
    assert (raised.value.run, raised.value.name, len(tasks_sent(bench))) == ("old", "v-0", 2)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    program=programs(),
    seed=st.integers(0, 2**32),
    batch=st.integers(1, 4),
    inline_bytes=st.sampled_from([0, 65536]),
)
def test_a_store_that_forgets_and_damages_changes_no_value(
    tmp_path: Path, program: Program, seed: int, batch: int, inline_bytes: int
) -> None:
    bench = Bench(tmp_path)
    limits = Limits(batch=batch, concurrency=3, inline_bytes=inline_bytes)
    with suppress(LostValueError, AuthenticationError):  # one value three times: the bound
        values = bench.run(program, [forgetting(bench, random.Random(seed))] * 12, limits=limits)
        assert values == values_by_hand(program, Sums().callables())
        assert len(bench.done) - len(bench.of(TaskUndone)) == program.task_count
    assert bench.store.runs() == {}


def forgetting(bench: Bench, chance: random.Random) -> Callable[[Reply], Reply]:
    """Return what may lose or damage one value in the store once an invocation is done."""

    def forget(reply: Reply) -> Reply:
        names = sorted(path.name for path in (bench.store.root / "r1").glob("v-*"))
        if not names or chance.random() < 0.6:
            return reply
        name = chance.choice(names)
        return losing(bench, name)(reply) if chance.random() < 0.5 else damaging(bench, name)(reply)

    return forget
