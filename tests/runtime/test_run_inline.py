"""The oracle hands values over as our runtime does: a task's own, one object a value, iterators read or as they are."""

from __future__ import annotations

import itertools
from typing import Any

from graphlambda.compiler import compile_graph
from graphlambda.testing.inline import run_inline


def run(graph: dict[Any, Any], keys: Any) -> Any:
    return run_inline(compile_graph(graph, keys))


def made() -> list[int]:
    return [1]


def same(one: Any, other: Any, gathered: list[Any]) -> bool:
    return one is other is gathered[0]


def appended(values: list[int]) -> list[int]:
    values.append(2)
    return values


def squares(count: int) -> Any:
    return (number**2 for number in range(count))


def firsts(iterator: Any) -> list[int]:
    return list(itertools.islice(iterator, 3))


def test_a_value_at_several_ports_is_one_object() -> None:
    assert run({"a": (made,), "b": (same, "a", "a", ["a"])}, "b") is True


def test_each_task_has_values_of_its_own() -> None:
    graph = {"a": (made,), "b": (appended, "a"), "c": (appended, "a")}
    assert run(graph, ["a", "b", "c"]) == ([1], [1, 2], [1, 2])


def test_a_generator_is_read_once_for_all_its_readers() -> None:
    graph = {"a": (squares, 4), "b": (firsts, "a"), "c": (firsts, "a")}
    assert run(graph, ["b", "c"]) == ([0, 1, 4], [0, 1, 4])


def test_an_iterator_that_pickles_need_not_end() -> None:
    assert run({"a": (itertools.count, 5), "b": (firsts, "a")}, "b") == [5, 6, 7]
