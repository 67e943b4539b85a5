"""Tasks whose values one task gathers become part of it, where the values take long to move and cores stay busy."""

from __future__ import annotations

import heapq
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
from graphlambda.compiler.measured import Fusing, Joining, Profile
from graphlambda.testing.graphs import Drawn, graphs
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical

MOVING = Profile(seconds=0.5, p95_s=0.6, value_bytes=1e8, batch=1, count=1, reading_s=0.05, sending_s=0.05)
"""Of half a second, a fifth goes into handing values on."""


def product() -> Any:
    first, second = (da.random.default_rng(seed).random((40, 40), chunks=20) for seed in (1, 2))
    return first @ second


def measured(collections: Any, at_once: int = 2, profile: Profile = MOVING) -> Fusing:
    """Return measurements in which the tasks of all operations take the same."""
    forms = {table.operation.form for table in compile_collections(collections).tables}
    return Fusing(profiles=dict.fromkeys(forms, profile), overhead_s=0.001, at_once=at_once)


def plus(values: list[int]) -> int:
    return sum(values)


def inc(value: int) -> int:
    return value + 1


def sums(readers: int, makers: int) -> Any:
    return [
        delayed(plus)([delayed(inc)(makers * reader + number) for number in range(makers)])
        for reader in range(readers)
    ]


def test_the_products_that_a_sum_gathers_become_part_of_it() -> None:
    plain, fused = compile_collections(product()), compile_collections(product(), fusing=measured(product()))
    assert identical(run_inline(fused), run_inline(plain))
    assert [(fusion.then, fusion.tasks) for fusion in fused.fusions] == [("chunk-sum", 8)]
    (table,) = [table for table in fused.tables if table.operation.source.count("_matmul(") == 2]
    assert len(table.tasks) == 4
    lines = [line.strip() for line in table.operation.source.partition("def ")[2].splitlines()[1:]]
    assert [line.partition("(")[0] for line in lines] == [
        *("v0 = _matmul", "v1 = _chunk_sum", "del v0", "v2 = own", "del v1"),
        *("v3 = _matmul", "v4 = _chunk_sum", "del v3", "v5 = own", "del v4"),
        *("v6 = _chunk_sum", "return v6"),
    ]


@pytest.mark.parametrize(
    ("readers", "makers", "at_once", "left"),
    [
        (4, 2, 2, 4),
        (4, 2, 4, 4),
        (4, 4, 2, 4),
        (4, 5, 2, 24),  # too many values at once
        (4, 2, 8, 12),  # cores would wait
        (5, 2, 4, 15),  # four at once, and then one alone
        (4, 2, 0, 12),  # nobody knows how many run at once
        (1, 2, 1, 3),  # not worth a function
    ],
)
def test_makers_are_fused_only_where_cores_stay_as_busy(
    readers: int, makers: int, at_once: int, left: int
) -> None:
    values = sums(readers, makers)
    fused = compile_collections(values, fusing=measured(values, at_once))
    assert fused.task_count == left
    assert run_inline(fused) == run_inline(compile_collections(values))


def test_values_that_move_fast_stay_values() -> None:
    fast = replace(MOVING, reading_s=0.005, sending_s=0.005)
    assert compile_collections(sums(40, 2), fusing=measured(sums(40, 2), profile=fast)).task_count == 120


def test_makers_that_share_an_input_stay_apart() -> None:
    shared = [delayed(inc)(number) for number in range(4)]
    values = [delayed(plus)([delayed(inc)(one), delayed(inc)(one)]) for one in shared]
    fused = compile_collections(values, fusing=measured(values))
    assert (fused.task_count, run_inline(fused)) == (16, run_inline(compile_collections(values)))


def test_a_task_that_gathers_from_others_too_stays_apart() -> None:
    values = [
        delayed(plus)([delayed(inc)(number), delayed(inc)(-number), delayed(abs)(number)])
        for number in range(4)
    ]
    fused = compile_collections(values, fusing=measured(values))
    assert (fused.task_count, run_inline(fused)) == (16, run_inline(compile_collections(values)))


def append(values: list[int]) -> list[int]:
    values.append(len(values))
    return values


def joined(members: list[list[int]]) -> list[list[int]]:
    members[0].append(-1)
    return members


def test_makers_that_are_one_task_now_change_nothing_of_each_other() -> None:
    literals = [[7, number] for number in range(4)]
    values = [delayed(joined)([delayed(append)(each), delayed(append)(each)]) for each in literals]
    fused = compile_collections(values, fusing=measured(values))
    assert fused.task_count == 4
    assert run_inline(fused) == ([[[7, number, 2, -1], [7, number, 2]] for number in range(4)],)


@given(st.data(), graphs(dask._task_spec, may_fail=False))
def test_whatever_was_measured_the_values_are_those_of_dask(data: st.DataObject, drawn: Drawn) -> None:
    plain = compile_graph(drawn.graph, drawn.wanted)
    way_s = st.sampled_from([0.0, 0.1, 0.4])
    profiles = {
        table.operation.form: replace(MOVING, reading_s=data.draw(way_s), sending_s=data.draw(way_s))
        for table in plain.tables
    }
    fusing = Fusing(profiles=profiles, overhead_s=0.3, at_once=data.draw(st.integers(1, 3)))
    fused = compile_graph(drawn.graph, drawn.wanted, fusing=fusing)
    assert fused.task_count + sum(fusion.tasks for fusion in fused.fusions) == plain.task_count
    assert identical(run_inline(fused), get_sync(drawn.graph, drawn.wanted))


def ends_s(seconds: list[float], at_once: int) -> float:
    """Return when tasks that wait for nothing have ended, each of which the first free core takes."""
    free_s = [0.0] * at_once
    for each in seconds:
        heapq.heappush(free_s, heapq.heappop(free_s) + each)
    return max(free_s)


@given(
    makers=st.integers(2, 4),
    readers=st.integers(1, 50),
    at_once=st.integers(1, 20),
    moving_s=st.floats(0, 0.25),
)
def test_what_is_fused_ends_no_later_by_what_was_measured(
    makers: int, readers: int, at_once: int, moving_s: float
) -> None:
    profile = replace(MOVING, reading_s=moving_s, sending_s=moving_s)
    joining = Joining(profile, profile, readers, makers)
    if joining.keeps_cores_busy(at_once):
        fused = [joining.joined.seconds - joining.way_s] * readers
        assert ends_s(fused, at_once) <= ends_s([0.5] * (makers + 1) * readers, at_once) + 1e-9
        apart_s = readers * (makers + 1) * profile.seconds / at_once
        assert np.ceil(readers / at_once) * (joining.joined.seconds - joining.way_s) <= apart_s
