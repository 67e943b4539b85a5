"""Whatever graph Dask's nodes can spell, its program gives what Dask gives: the values, or the error."""

from __future__ import annotations

from typing import Any

import dask._task_spec
import pytest
from dask.core import flatten
from dask.local import get_sync
from hypothesis import given

from graphlambda.compiler import compile_graph
from graphlambda.testing.graphs import Drawn, RefusalToComputeError, graphs
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical


def outcome(call: Any) -> tuple[str, Any]:
    try:
        return "value", call()
    except Exception as error:  # noqa: BLE001  (whatever a drawn task raises is compared)
        return "error", (type(error), error.args)


def values_asked_for(drawn: Drawn) -> tuple[str, Any]:
    return outcome(lambda: get_sync(drawn.graph, drawn.wanted))


@given(graphs(dask._task_spec))
def test_a_program_gives_what_dask_gives(drawn: Drawn) -> None:
    kind, want = values_asked_for(drawn)
    got_kind, got = outcome(lambda: run_inline(compile_graph(drawn.graph, drawn.wanted)))
    assert got_kind == kind, (got, want)
    if kind == "value":
        assert identical(got, want)
    else:
        assert got[0] is want[0]


@given(graphs(dask._task_spec, may_fail=False))
def test_tasks_that_nothing_wants_are_not_in_the_program(drawn: Drawn) -> None:
    program = compile_graph(drawn.graph, drawn.wanted)
    graph = dask._task_spec.convert_legacy_graph(drawn.graph)
    needed = dask._task_spec.cull(graph, set(flatten([drawn.wanted])))
    tasks = {key for key, node in needed.items() if isinstance(node, dask._task_spec.Task)}
    assert {program.key(task) for task in range(program.task_count)} <= tasks


@given(graphs(dask._task_spec, may_fail=False))
def test_the_same_graph_in_another_order_has_the_same_operations(drawn: Drawn) -> None:
    other = Drawn(dict(sorted(drawn.graph.items(), key=repr)), drawn.wanted)
    assert operations(drawn) == operations(other)


def operations(drawn: Drawn) -> dict[str, int]:
    program = compile_graph(drawn.graph, drawn.wanted)
    counts: dict[str, int] = {}
    for table in program.tables:
        counts[table.operation.id] = counts.get(table.operation.id, 0) + len(table.tasks)
    return counts


def test_a_failing_task_that_is_wanted_raises_its_own_error() -> None:
    graph = {"a": (fails, 1)}
    with pytest.raises(RefusalToComputeError, match="1"):
        run_inline(compile_graph(graph, "a"))


def fails(value: object) -> None:
    raise RefusalToComputeError(value)
