"""Fusion changes how many tasks there are, and nothing else; what it makes depends on the graph and the measurements alone."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import dask._task_spec
import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask.local import get_sync
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.compiler import compile_collections, compile_graph
from graphlambda.compiler.measured import Fusing, Profile
from graphlambda.testing.graphs import Drawn, graphs
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical

ALWAYS = Fusing(always=True)


def inc(value: int) -> int:
    return value + 1


def double(value: int) -> int:
    return value * 2


def add(*values: int) -> int:
    return sum(values)


def negative(value: int) -> int:
    return -value


def alternating(count: int) -> Any:
    value = delayed(inc)(0)
    for number in range(count - 1):
        value = delayed(inc if number % 2 else double)(value)
    return value


def measured(program: Any, seconds: float, batch: float = 1.0, overhead_s: float = 0.01) -> Fusing:
    """Return measurements in which all of a program's tasks take as long."""
    profile = Profile(seconds=seconds, p95_s=seconds, value_bytes=100, batch=batch, count=10)
    forms = {table.operation.form for table in program.tables}
    return Fusing(profiles=dict.fromkeys(forms, profile), overhead_s=overhead_s)


@given(graphs(dask._task_spec, may_fail=False))
def test_a_fused_program_gives_what_dask_gives(drawn: Drawn) -> None:
    program = compile_graph(drawn.graph, drawn.wanted, fusing=ALWAYS)
    assert identical(run_inline(program), get_sync(drawn.graph, drawn.wanted))


@given(st.data(), graphs(dask._task_spec, may_fail=False))
def test_whatever_was_measured_the_values_are_the_same(data: st.DataObject, drawn: Drawn) -> None:
    plain = compile_graph(drawn.graph, drawn.wanted)
    seconds = st.sampled_from([0.0001, 0.01, 10.0])
    profiles = {
        table.operation.form: Profile(
            seconds=data.draw(seconds),
            p95_s=1.0,
            value_bytes=1,
            batch=data.draw(st.sampled_from([0.001, 1.0])),
            count=1,
        )
        for table in plain.tables
    }
    fused = compile_graph(drawn.graph, drawn.wanted, fusing=Fusing(profiles=profiles, overhead_s=0.01))
    assert fused.task_count + sum(fusion.tasks for fusion in fused.fusions) == plain.task_count
    assert identical(run_inline(fused), run_inline(plain))


ARRAYS: dict[str, Any] = {
    "svd": lambda: da.linalg.svd(da.random.default_rng(1).random((80, 10), chunks=(20, 10))),
    "overlap": lambda: da.random.default_rng(1).random((40, 40), chunks=20).map_overlap(np.negative, depth=1),
    "inverse": lambda: da.linalg.inv(da.eye(30, chunks=10) * 3 + 0.1),
    "mean": lambda: (da.random.default_rng(1).random((40, 40), chunks=10) + 1).mean(axis=0),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_the_same_to_the_bit(name: str) -> None:
    collections = ARRAYS[name]()
    fused, plain = compile_collections(collections, fusing=ALWAYS), compile_collections(collections)
    assert fused.task_count < plain.task_count
    assert identical(run_inline(fused), run_inline(plain))


def test_a_chain_of_two_operations_becomes_a_chain_of_one() -> None:
    program = compile_collections(alternating(100), fusing=ALWAYS)
    ((table,), (fusion,)) = program.tables, program.fusions
    assert (len(table.tasks), fusion.first, fusion.then, fusion.tasks) == (50, "inc", "double", 50)
    assert run_inline(program) == run_inline(compile_collections(alternating(100)))
    body = table.operation.source.partition("def operation(p0):\n")[2].split("\n    ")
    calls = ["inc = function(inc_code, {})", "v0 = inc(p0)", "v1 = own(v0)", "del v0", "v2 = double(v1)"]
    assert [line.strip() for line in body if "function(double" not in line] == [*calls, "return v2"]


def test_the_operation_that_fusion_makes_is_the_same_under_any_hash_seed() -> None:
    script = (
        "from dask import delayed\nfrom graphlambda.compiler import compile_collections\n"
        "from graphlambda.compiler.measured import Fusing\nimport dask.array as da\n"
        "x = da.random.default_rng(1).random((80, 10), chunks=(20, 10))\n"
        "program = compile_collections(da.linalg.svd(x), fusing=Fusing(always=True))\n"
        "print(sorted((table.operation.id, table.operation.source, len(table.tasks)) for table in program.tables))\n"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=100,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(told) == 1


def test_short_tasks_are_fused_and_long_ones_are_not() -> None:
    plain = compile_collections(alternating(100))
    assert compile_collections(alternating(100), fusing=measured(plain, 0.001)).task_count == 50
    assert compile_collections(alternating(100), fusing=measured(plain, 1.0)).task_count == 100


def test_a_fusion_that_brings_little_gets_no_function() -> None:
    plain = compile_collections(alternating(100))
    assert (
        compile_collections(alternating(100), fusing=measured(plain, 0.001, overhead_s=0.002)).task_count
        == 100
    )
    assert compile_collections(alternating(100), fusing=measured(plain, 0.001, batch=50)).task_count == 100
    assert compile_collections(alternating(40), fusing=measured(plain, 0.001, overhead_s=1)).task_count == 40


def test_what_is_not_measured_is_not_fused() -> None:
    fusing = Fusing(profiles={"0" * 64: Profile(0.001, 0.001, 1, 1.0, 1)}, overhead_s=1.0)
    assert compile_collections(alternating(100), fusing=fusing).task_count == 100


def test_what_is_fused_already_stays_so_although_measurements_change() -> None:
    plain = compile_collections(alternating(100))
    fused = compile_collections(alternating(100), fusing=measured(plain, 0.001))
    both = {**measured(plain, 0.2).profiles, **measured(fused, 0.4).profiles}
    again = Fusing(profiles=both, overhead_s=0.01)
    assert compile_collections(alternating(100), fusing=again).task_count == 50
    assert compile_collections(alternating(100), fusing=measured(plain, 0.2)).task_count == 100


def test_a_long_task_keeps_a_short_one_with_it_where_nobody_waits_for_that() -> None:
    values = [delayed(double)(delayed(inc)(number)) for number in range(100)]
    plain = compile_collections(values)
    profiles = {
        table.operation.form: Profile(1.0 if table.operation.name == "inc" else 0.001, 1.0, 1, 1.0, 1)
        for table in plain.tables
    }
    fused = compile_collections(values, fusing=Fusing(profiles=profiles, overhead_s=0.01))
    assert fused.task_count == 100
    joined = [delayed(add)(delayed(inc)(number), delayed(inc)(-number)) for number in range(100)]
    profiles |= {
        table.operation.form: Profile(0.001, 0.001, 1, 1.0, 1)
        for table in compile_collections(joined).tables
        if table.operation.name == "add"
    }
    wide = compile_collections(joined, fusing=Fusing(profiles=profiles, overhead_s=0.01))
    assert wide.task_count == 300


def pairs(count: int, *, moving_s: float, overhead_s: float = 0.001) -> Any:
    """Return pairs of tasks of half a second each, and measurements in which a value's way takes so long."""
    values = [delayed(double)(delayed(inc)(number)) for number in range(count)]
    profile = Profile(
        seconds=0.5,
        p95_s=0.6,
        value_bytes=1,
        batch=1,
        count=1,
        reading_s=moving_s / 2,
        sending_s=moving_s / 2,
    )
    forms = [table.operation.form for table in compile_collections(values).tables]
    return values, Fusing(profiles=dict.fromkeys(forms, profile), overhead_s=overhead_s)


def test_long_tasks_are_fused_where_their_values_take_long_to_move() -> None:
    for moving_s, tasks in ((0.1, 8), (0.04, 16), (0.0, 16)):
        values, fusing = pairs(8, moving_s=moving_s)
        assert compile_collections(values, fusing=fusing).task_count == tasks
    values, fusing = pairs(8, moving_s=0.1)
    assert compile_collections(values, fusing=replace(fusing, longest_s=1.0)).task_count == 16


def test_what_moves_little_in_all_gets_no_function() -> None:
    values, fusing = pairs(2, moving_s=0.1)
    assert compile_collections(values, fusing=fusing).task_count == 4


def test_a_task_that_waits_for_several_is_not_fused_with_a_long_one_however_long_values_move() -> None:
    joined = [delayed(add)(delayed(inc)(number), delayed(double)(number)) for number in range(20)]
    _, fusing = pairs(20, moving_s=0.4)
    (profile, *_) = fusing.profiles.values()
    profiles = {table.operation.form: profile for table in compile_collections(joined).tables}
    assert compile_collections(joined, fusing=replace(fusing, profiles=profiles)).task_count == 60


def test_what_takes_the_place_of_a_new_function_need_not_save_another() -> None:
    values, fusing = pairs(8, moving_s=0.1)
    longer = [delayed(negative)(value) for value in values]
    short = Profile(seconds=0.0005, p95_s=0.0005, value_bytes=1, batch=1, count=1)
    profiles = {table.operation.form: short for table in compile_collections(longer).tables}
    both = replace(fusing, profiles={**profiles, **fusing.profiles})
    assert compile_collections(longer, fusing=both).task_count == 8


def append(values: list[int], value: int) -> list[int]:
    values.append(value)
    return values


def both(first: list[int], second: list[int]) -> tuple[list[int], list[int]]:
    first.append(0)
    return first, second


def an_input_of_both() -> Any:
    made = delayed(list, pure=True)((7,))
    return delayed(both)(delayed(append)(made, 1), made)


def a_literal_of_both() -> Any:
    shared = [7]
    return delayed(both)(delayed(append)(shared, 1), shared)


def a_value_that_outlives_its_task() -> Any:
    return [delayed(both)(delayed(kept)(number), number) for number in range(2)]


@pytest.mark.parametrize(
    ("make", "wanted"),
    [
        (an_input_of_both, ([7, 1, 0], [7])),
        (a_literal_of_both, ([7, 1, 0], [7])),
        (a_value_that_outlives_its_task, [([0], 0), ([0], 1)]),
    ],
)
def test_what_a_task_does_to_its_inputs_is_seen_by_nobody_else(make: Any, wanted: Any) -> None:
    program = compile_collections(make(), fusing=ALWAYS)
    assert run_inline(program) == (wanted,)


def kept(_value: int, memory: list[int] = []) -> list[int]:  # noqa: B006  (that is the point)
    return memory


def test_outputs_and_values_with_two_readers_stay() -> None:
    first = delayed(inc)(1)
    second = delayed(double)(first)
    assert compile_collections(first, second, fusing=ALWAYS).task_count == 2
    third = delayed(add)(first, second)
    program = compile_collections(third, fusing=ALWAYS)
    assert (program.task_count, run_inline(program)) == (3, (6,))
    twice = delayed(add)(first, first)
    assert compile_collections(twice, fusing=ALWAYS).task_count == 2


def test_both_keys_are_told_of_a_fused_task() -> None:
    value = delayed(double, name="then")(delayed(inc, name="first")(1, dask_key_name="a"), dask_key_name="b")
    program = compile_collections(value, fusing=ALWAYS)
    assert (program.key(0), program.absorbed(0), program.called(0)) == ("b", ("a",), "b ← a")
    assert sorted(map(compile_collections(value).called, (0, 1))) == ["a", "b"]


def test_a_chain_of_many_operations_makes_some_that_can_be_read() -> None:
    value = delayed(inc)(0)
    for number in range(60):
        value = delayed(exec_function(f"step_{number}"))(value)
    program = compile_collections(value, fusing=ALWAYS)
    assert run_inline(program) == (61,)
    assert 4 <= program.task_count < 12


def exec_function(name: str) -> Any:
    scope: dict[str, Any] = {}
    exec(f"def {name}(value):\n    return value + 1\n", scope)
    return scope[name]
