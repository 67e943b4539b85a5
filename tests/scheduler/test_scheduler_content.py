"""What runs share in a namespace: nothing of it runs twice, nothing planted is loaded, nothing lost is a failure."""

from __future__ import annotations

import math
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.compiler.program import Gather, Input, Kept, Program
from graphlambda.runtime.frame import encode
from graphlambda.runtime.wire import context
from graphlambda.scheduler import Limits, Namespace
from graphlambda.scheduler.events import InvocationStarted, TasksSpared
from graphlambda.scheduler.journal import committed, place_in, records_of, segment
from graphlambda.testing.programs import Sums, program_of, programs, values_by_hand
from graphlambda.testing.stores import FaultyStore, Passing
from tests.scheduler.bench import KEY, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.scheduler.invoke import Reply
    from graphlambda.store.namespaces import Held

OURS = Namespace(run="shared-ours", bound_bytes=1_000_000, least_s=-math.inf)
"""Takes everything, however cheap."""

STORED = Limits(batch=1, concurrency=1, inline_bytes=0)


def key_of(run: str) -> bytes:
    return blake2b(run.encode(), key=KEY).digest()[:32]


def pure(program: Program) -> Program:
    """Return the program with operations that are known to be pure, but for projections: those are."""
    source = "def operation(*ports):\n    v0 = sum(ports)\n    return v0\n"
    tables = (
        table if table.operation.source else replace(table, operation=replace(table.operation, source=source))
        for table in program.tables
    )
    return replace(program, tables=tuple(tables))


CHAIN = pure(program_of([("f", 1), ("g", Input(0)), ("h", Input(1)), ("i", Input(2))], [3]))


def ran(bench: Bench, program: Program, run: str, script: Any = (), **given: Any) -> list[Any]:
    """Return the outputs; the bench tells of this run alone."""
    bench.events.clear()
    given = {"namespace": OURS, "limits": STORED, "keys_of": key_of, "key": key_of(run), **given}
    return bench.run(program, script, run=run, **given)


def sent(bench: Bench) -> list[int]:
    return [task for event in bench.of(InvocationStarted) for task in event.tasks]


def shared(bench: Bench) -> list[str]:
    """Return the names in the namespace, the oldest first."""
    folder = bench.store.root / OURS.run
    return [path.name for path in sorted(folder.glob("v-*"), key=lambda path: path.stat().st_mtime_ns)]


def test_a_second_run_executes_nothing_that_the_first_has_left(bench: Bench) -> None:
    assert ran(bench, CHAIN, "r1") == [5]
    assert (sent(bench), len(shared(bench)), list(bench.store.runs())) == ([0, 1, 2, 3], 4, [OURS.run])
    assert ran(bench, CHAIN, "r2") == [5]
    assert sent(bench) == []
    assert sorted(task for event in bench.of(TasksSpared) for task in event.tasks) == [0, 1, 2, 3]


def test_only_what_changed_and_what_reads_it_runs(bench: Bench) -> None:
    ran(bench, CHAIN, "r1")
    tasks = [
        ("f", 1),
        ("g", Input(0)),
        ("h", Input(1), 7),
        ("i", Input(2)),
        ("f", 9),
        ("g", Gather([3, 4, 1])),
    ]
    assert ran(bench, pure(program_of(tasks, [5])), "r2") == [12 + 10 + 3 + 1]
    assert sorted(sent(bench)) == [2, 3, 4, 5]


def test_nothing_is_shared_without_a_namespace_nor_with_another(bench: Bench) -> None:
    ran(bench, CHAIN, "r1")
    for number, namespace in enumerate([None, replace(OURS, run="shared-theirs")]):
        assert ran(bench, CHAIN, f"r2{number}", namespace=namespace) == [5]
        assert sent(bench) == [0, 1, 2, 3]


def test_what_is_not_known_to_be_pure_is_never_shared(bench: Bench) -> None:
    impure = program_of([("f", 1), ("g", Input(0))], [1])
    for run in ("r1", "r2"):
        assert ran(bench, impure, run) == [3]
        assert (sent(bench), shared(bench)) == ([0, 1], [])


def test_what_costs_less_than_it_saves_is_not_shared(bench: Bench) -> None:
    ran(bench, CHAIN, "r1", namespace=replace(OURS, least_s=1000.0))
    assert shared(bench) == []


def test_outputs_that_stay_in_the_store_are_the_runs_own(bench: Bench) -> None:
    for run, tasks in [("r1", [0, 1, 2, 3]), ("r2", [3])]:
        assert ran(bench, CHAIN, run, keep=True) == [Kept(run=run, id=3, store=bench.store.address)]
        assert (sent(bench), len(shared(bench))) == (tasks, 3)


class Evicting(Passing):
    """Loses all that lies in a run once it has told of it."""

    def values(self, run: str) -> dict[str, Held]:
        held = super().values(run)
        self.delete(run, held)
        return held


def test_what_was_evicted_is_made_again(bench: Bench) -> None:
    ran(bench, CHAIN, "r1")
    bench.store = Evicting(bench.store, lambda _: None)  # type: ignore[assignment]
    assert ran(bench, CHAIN, "r2") == [5]
    assert sent(bench) == [0, 1, 2, 3]


@pytest.mark.parametrize("bound_to", ["another key", "another run", "another number", "a flipped bit"])
def test_what_was_planted_or_damaged_is_never_loaded(bench: Bench, bound_to: str) -> None:
    ran(bench, CHAIN, "r1")
    name = shared(bench)[-1]
    path = bench.store.root / OURS.run / name
    planted = {
        "another key": encode(666, key=bytes(32), context=context(OURS.run, name)),
        "another run": encode(666, key=key_of("r1"), context=context("r1", "v-3")),
        "another number": (path.parent / shared(bench)[0]).read_bytes(),
        "a flipped bit": path.read_bytes()[:-1] + b"\0",
    }
    path.write_bytes(planted[bound_to])
    assert ran(bench, CHAIN, "r2") == [5]
    assert sent(bench) == [0, 1, 2, 3]
    assert not path.exists()
    reader = pure(
        program_of([*[("fghi"[n], Input(n - 1) if n else 1) for n in range(4)], ("f", Input(3))], [4])
    )
    path.write_bytes(planted[bound_to])
    assert ran(bench, reader, "r3") == [6]  # a function reads it here, and the client above


def test_a_namespace_that_goes_during_a_run_is_no_failure(bench: Bench) -> None:
    def drop(reply: Reply) -> Reply:
        bench.store.drop(OURS.run)
        return reply

    assert ran(bench, CHAIN, "r1", [None, drop]) == [5]
    assert sent(bench) == [0, 1, 2, 0, 1, 2, 3]
    assert bench.store.runs() == {}


def test_a_store_that_does_not_tell_what_it_holds_shares_nothing(bench: Bench) -> None:
    ran(bench, CHAIN, "r1")
    bench.store = FaultyStore(bench.store, lambda method, _: method == "values")  # type: ignore[assignment]
    assert ran(bench, CHAIN, "r2") == [5]
    assert sent(bench) == [0, 1, 2, 3]


def test_a_namespace_is_bounded_and_what_was_used_last_stays(bench: Bench) -> None:
    ran(bench, CHAIN, "r1")
    size = next(iter(bench.store.values(OURS.run).values())).size_bytes
    other = pure(program_of([("f", 3), ("g", 4)], [0, 1]))
    ran(bench, other, "r2", namespace=replace(OURS, bound_bytes=3 * size))
    assert len(shared(bench)) == 3
    assert ran(bench, other, "r3") == [4, 5]
    assert sent(bench) == []


def test_the_journal_tells_where_a_shared_value_lies() -> None:
    place = Kept(run=OURS.run, id=(1 << 255) + 7, store="")
    record = committed(3, None, 812, place)
    (told,) = records_of([b"".join(segment([record], 1, run="r1", key=KEY))], run="r1", key=KEY)
    assert (told, place_in(told), place_in(committed(3, None, 812))) == (record, place, None)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    program=programs(most_tasks=12),
    fates=st.lists(st.sampled_from(["there", "gone", "damaged"])),
    wide=st.booleans(),
)
def test_whatever_is_there_of_it_a_run_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, program: Program, fates: list[str], wide: bool
) -> None:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    wanted = values_by_hand(program, Sums().callables())
    limits = Limits(concurrency=2, inline_bytes=0) if wide else STORED
    assert ran(bench, pure(program), "r1", limits=limits) == wanted
    for name, fate in zip(shared(bench), fates, strict=False):
        spoil(bench.store.root / OURS.run / name, fate)
    assert ran(bench, pure(program), "r2", limits=limits) == wanted


def spoil(path: Path, fate: str) -> None:
    if fate == "gone":
        path.unlink()
    elif fate == "damaged":
        path.write_bytes(path.read_bytes()[:-1] + b"\0")
