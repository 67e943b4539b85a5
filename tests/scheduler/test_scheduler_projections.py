"""Projections: they cost no task and no function, in the graphs that are full of them; faults change nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed

from graphlambda.compiler import called_operations, compile_collections
from graphlambda.compiler.measured import Fusing
from graphlambda.compiler.program import Input
from graphlambda.compiler.projections import projections_of
from graphlambda.scheduler import Limits, execute
from graphlambda.scheduler.events import InvocationStarted, TasksDone
from graphlambda.store.file import FileStore
from graphlambda.testing.clock import FakeClock
from graphlambda.testing.inline import load_operation
from graphlambda.testing.invokers import InProcessInvoker, ScriptedInvoker, halved, lost
from graphlambda.testing.programs import Sums, functions_of, program_of
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.testing.invokers import Fault

KEY = bytes(range(32))


class Bench:
    """Runs programs in this process: a function for each operation that is called, and for no other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = FileStore(folder / "values")
        self.events: list[Event] = []

    def run(self, program: Program, script: list[Fault] | None = None, **limits: Any) -> Any:
        names = {operation.id: f"gl-{operation.id[:20]}" for operation in called_operations(program)}
        loaded = {
            names[operation.id]: load_operation(operation, self.folder)
            for operation in called_operations(program)
        }
        return program.finish(self.ran(program, names, loaded, script, **limits))

    def sums(self, program: Program, script: list[Fault] | None = None, **limits: Any) -> list[Any]:
        callables = {name: call for name, call in Sums().callables().items() if name != "gl-pick"}
        return self.ran(program, functions_of(program), callables, script, **limits)

    def ran(
        self,
        program: Program,
        names: dict[str, str],
        callables: dict[str, Callable[..., Any]],
        script: list[Fault] | None,
        **limits: Any,
    ) -> list[Any]:
        invoker = ScriptedInvoker(InProcessInvoker(callables), script or [])
        done = execute(
            program, names, invoker=invoker, store=self.store, run="r1", clock=FakeClock(), key=KEY,
            listeners=[self.events.append], limits=Limits(**{"batch": 1, **limits}),
        )  # fmt: skip
        return asyncio.run(done).values  # noqa: PD011  (not pandas)

    def done(self) -> dict[int, int]:
        """Return the bytes of each value, by task; a task that is done twice is an error."""
        sizes = [
            pair for event in self.of(TasksDone) for pair in zip(event.tasks, event.value_bytes, strict=True)
        ]
        assert len(dict(sizes)) == len(sizes)
        return dict(sizes)

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


matrix = da.random.default_rng(1).random((60, 60), chunks=20)
table = pd.DataFrame({"a": np.arange(60) % 7, "b": np.arange(60) / 7})


def pieces(number: int) -> tuple[int, dict[str, list[int]]]:
    return number, {"square": [number**2, number**3]}


def nested() -> Any:
    made = [delayed(pieces, pure=True)(number) for number in range(5)]
    return [[each[1]["square"][0], each[0]] for each in made]


GRAPHS: dict[str, tuple[Callable[[], Any], float]] = {
    "svd": (lambda: list(da.linalg.svd(da.random.default_rng(1).random((80, 10), chunks=(20, 10)))), 0.4),
    "rechunk": (lambda: [matrix.rechunk((7, 60))], 0.5),
    "overlap": (lambda: [matrix.map_overlap(lambda block: block + 1, depth=1)], 0.5),
    "fft": (lambda: [da.fft.fft(matrix.rechunk((60, 7)), axis=0)], 0.5),
    "shuffle": (lambda: [dd.from_pandas(table, npartitions=4).shuffle("a")], 0.6),
    "groupby": (lambda: [db.from_sequence(range(40), npartitions=4).groupby(lambda i: i % 3, shuffle="tasks")], 0.5),
    "nested": (nested, 0.8),
}  # fmt: skip
"""Collections, and at least how much of their tasks are projections."""


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("inline_bytes", [0, 65536], ids=["stored", "inline"])
def test_a_projection_is_in_no_invocation_of_its_own(bench: Bench, name: str, inline_bytes: int) -> None:
    made, share = GRAPHS[name]
    collections = made()
    program = compile_collections(collections)
    got = bench.run(program, inline_bytes=inline_bytes)
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        (wanted,) = dask.compute(collections, scheduler="sync")
    assert all(identical(ours, theirs) for ours, theirs in zip(got[0], wanted, strict=True))
    free = sum(len(program.tables[number].tasks) for number in projections_of(program).pickers)
    assert free >= share * program.task_count
    assert len(bench.of(InvocationStarted)) == program.task_count - free
    assert sorted(bench.done()) == list(range(program.task_count))
    assert bench.store.runs() == {}


@pytest.mark.parametrize("name", GRAPHS)
def test_fused_tasks_and_their_projections_give_the_same_whatever_is_lost(bench: Bench, name: str) -> None:
    collections = GRAPHS[name][0]()
    program = compile_collections(collections, fusing=Fusing(always=True))
    got = bench.run(program, [lost, None, halved, None, lost], batch=4)
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        (wanted,) = dask.compute(collections, scheduler="sync")
    assert all(identical(ours, theirs) for ours, theirs in zip(got[0], wanted, strict=True))
    assert sorted(bench.done()) == list(range(program.task_count))


def test_what_only_projections_read_is_sent_nowhere(bench: Bench) -> None:
    program = program_of([("halves", 5), ("pick", Input(0), 0), ("pick", Input(0), 1)], [1, 2])
    assert bench.sums(program, inline_bytes=0) == [3, 3]
    assert [size > 0 for _, size in sorted(bench.done().items())] == [False, True, True]


def test_what_others_read_too_is_sent(bench: Bench) -> None:
    program = program_of([("halves", 5), ("pick", Input(0), 0), ("f", Input(0))], [1, 2])
    assert bench.sums(program, inline_bytes=0) == [3, 7]
    assert all(bench.done().values())


def test_a_lost_environment_takes_the_projections_of_its_task_with_it(bench: Bench) -> None:
    tasks = [*[("halves", i) for i in range(3)], *[("pick", Input(t), 0) for t in range(3)]]
    assert bench.sums(program_of(tasks, [3, 4, 5]), [lost, lost], batch=3) == [0, 1, 1]
    sizes = [len(event.tasks) for event in bench.of(InvocationStarted)]
    assert sizes == [6, 2, 2, 2, 2]


def test_a_value_whose_parts_did_not_all_arrive_is_made_again(bench: Bench) -> None:
    program = program_of([("halves", 5), *[("pick", Input(0), 0)] * 5], [1, 2, 3, 4, 5])
    assert bench.sums(program, [halved]) == [3] * 5
    assert sorted(bench.done()) == list(range(6))


def test_a_projection_that_fails_is_the_tasks_own_error_and_names_it(bench: Bench) -> None:
    program = program_of([("halves", 5), ("pick", Input(0), 0), ("pick", Input(0), 7)], [1, 2])
    with pytest.raises(IndexError) as raised:
        bench.sums(program)
    assert any("('t', 2)" in note for note in raised.value.__notes__)


def test_a_projection_that_fails_is_tried_alone_in_the_function_of_its_value(bench: Bench) -> None:
    program = program_of([("halves", 5), ("pick", Input(0), 0), ("pick", Input(0), 7)], [1, 2])
    with pytest.raises(IndexError):
        bench.sums(program, retries=2, inline_bytes=0)
    assert [(event.function, event.tasks) for event in bench.of(InvocationStarted)] == [
        ("gl-halves", (0, 1, 2)),
        ("gl-halves", (2,)),
        ("gl-halves", (2,)),
    ]


def test_parts_of_what_the_client_holds_need_a_function_as_any_task(bench: Bench) -> None:
    program = program_of([("pick", Input(2), 1), ("pick", Input(2), 0)], [0, 1], data=[[1, 2]])
    assert [operation.name for operation in called_operations(program)] == ["pick"]
    assert bench.ran(program, functions_of(program), Sums().callables(), None) == [2, 1]
