"""What waits for itself is refused when it is compiled, and the message names the cycle; it never hangs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dask._task_spec import Alias, Task, TaskRef

from graphlambda.compiler import compile_graph
from graphlambda.compiler.program import Edges
from graphlambda.compiler.verify import _no_task_waits_for_itself
from graphlambda.errors import RefusedError, UnshippableError
from graphlambda.testing.inline import run_inline

MILLION = 1_000_000


def together(*values: Any) -> tuple[Any, ...]:
    return values


def refused(graph: dict[Any, Any], key: Any) -> str:
    with pytest.raises(RefusedError, match="cycle") as caught:
        compile_graph(graph, key)
    return caught.value.what


def test_names_that_lead_to_each_other_are_refused() -> None:
    graph: dict[Any, Any] = {"a": Alias("a", "b"), "b": Alias("b", "c"), "c": Alias("c", "b")}
    assert refused(graph, "a").endswith(": 'a' → 'b' → 'c' → 'b'")
    assert "'c' → 'b'" in refused({**graph, "t": Task("t", together, TaskRef("a"))}, "t")


def test_a_task_that_needs_itself_is_refused() -> None:
    assert refused({"a": Task("a", together, TaskRef("a"))}, "a") == "The graph has a cycle: 'a' needs 'a'"


@pytest.mark.parametrize("key", ["a", "b", "after"])
def test_two_tasks_that_need_each_other_are_refused(key: str) -> None:
    graph = {
        "before": Task("before", together, 1),
        "a": Task("a", together, TaskRef("b"), TaskRef("before")),
        "b": (together, "a"),
        "after": (together, "a", "before"),
    }
    assert refused(graph, key) in (
        "The graph has a cycle: 'a' needs 'b' needs 'a'",
        "The graph has a cycle: 'b' needs 'a' needs 'b'",
    )


def test_a_long_cycle_is_named_in_part() -> None:
    graph = {n: Task(n, together, TaskRef((n + 1) % 20)) for n in range(20)}
    what = refused(graph, 0)
    assert what.count("needs") == 8
    assert what.endswith("…")


def test_a_cycle_that_nothing_wants_does_no_harm() -> None:
    graph = {"a": Task("a", together, TaskRef("a")), "b": Task("b", together, 1)}
    assert run_inline(compile_graph(graph, "b")) == (1,)


def program(tasks: Any, values: Any) -> Any:
    """Make as much of a program as edges are."""
    order = np.argsort(tasks, kind="stable")
    starts = np.searchsorted(np.asarray(tasks)[order], np.arange(MILLION + 1)).astype(np.int64)
    return SimpleNamespace(
        task_count=MILLION, edges=Edges(starts, np.asarray(values)[order]), key=lambda task: f"t{task}"
    )


def shuffled() -> Any:
    return np.random.default_rng(0).permutation(MILLION)


@pytest.mark.parametrize("width", [10, 100, 10_000], ids="{} chains".format)
def test_a_million_tasks_in_any_order_are_seen_to_have_no_cycle(width: int) -> None:
    places = shuffled()
    _no_task_waits_for_itself(program(places[width:], places[:-width]))


def test_a_million_tasks_that_come_in_order_have_no_cycle() -> None:
    places = np.arange(MILLION)
    _no_task_waits_for_itself(program(places[1:], places[:-1]))
    _no_task_waits_for_itself(program(places[:-1], places[1:]))


def test_a_cycle_among_a_million_tasks_is_found() -> None:
    places = shuffled()
    tasks, values = np.append(places[100:], places[0]), np.append(places[:-100], places[300])
    with pytest.raises(RefusedError, match="cycle") as caught:
        _no_task_waits_for_itself(program(tasks, values))
    named = caught.value.what.split(": ")[1].split(" needs ")
    assert {int(name.strip("'t")) for name in named} == set(places[[0, 100, 200, 300]].tolist())


def self_referring(*members: Any) -> list[Any]:
    made = list(members)
    made.append({"within": made})
    return made


@pytest.mark.parametrize("kept", [list, tuple], ids=["list", "tuple"])
def test_a_container_that_holds_itself_and_code_cannot_travel(kept: Any) -> None:
    with pytest.raises(UnshippableError, match="holds itself"):
        compile_graph({"a": Task("a", together, kept(self_referring(lambda: 1)))}, "a")
    with pytest.raises(UnshippableError, match="holds itself"):
        compile_graph({"a": Task("a", together, kept([self_referring(), lambda: 1]))}, "a")


def test_what_is_held_twice_does_not_hold_itself() -> None:
    shared = [lambda: 1]
    (got,) = run_inline(compile_graph({"a": Task("a", together, [shared, {"k": shared}])}, "a"))
    assert [got[0][0](), got[1]["k"][0]()] == [1, 1]
