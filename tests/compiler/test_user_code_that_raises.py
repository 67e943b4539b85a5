"""The user's own methods run while a graph is read: whatever they raise is coped with, or said with the task's key."""

from __future__ import annotations

import functools
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask._task_spec import Task

from graphlambda.compiler import compile_graph
from graphlambda.errors import UnshippableError
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from collections.abc import Callable


class OwnError(Exception):
    """Of the user's own."""


def odd(name: str, raised: Exception | None = None) -> Any:
    """Return an object of a new class whose method `name` raises."""

    def method(*_: Any) -> Any:
        raise raised or OwnError(name)

    return type("Odd", (), {name: method, "__module__": __name__})()


def kind_of(thing: Any) -> str:
    return type(thing).__name__


def wholly(value: Any) -> Any:
    return value


HARMLESS = [
    "__getattr__",
    "__eq__",
    "__hash__",
    "__len__",
    "__bool__",
    "__iter__",
    "__contains__",
    "__repr__",
]


@pytest.mark.parametrize("name", HARMLESS)
def test_a_method_that_raises_does_no_harm_where_the_value_travels_without_it(name: str) -> None:
    one, other = odd(name), odd(name)
    graph = {
        "argument": Task("argument", kind_of, one),
        "alike": Task("alike", kind_of, other),
        "held": Task("held", len, [one, {"k": other}]),
        "closure": Task("closure", lambda: kind_of(one)),
        "attribute": Task("attribute", type("Holder", (), {"held": one, "__module__": "__main__"})),
        "cached": Task("cached", functools.lru_cache(lambda held=one: kind_of(held))),
    }
    *got, holder, cached = run_inline(compile_graph(graph, list(graph)))
    assert [*got, kind_of(holder), cached] == ["Odd", "Odd", 2, "Odd", "Holder", "Odd"]


@pytest.mark.parametrize(
    "name", HARMLESS[1:]
)  # Dask itself asks each member of a tuple's lists for an attribute
def test_a_method_that_raises_does_no_harm_in_a_legacy_task(name: str) -> None:
    assert run_inline(compile_graph({"t": (len, [odd(name), odd(name), 1])}, "t")) == 3


def test_values_whose_comparison_is_an_array_are_told_apart() -> None:
    class Series:
        def __init__(self, values: list[int]) -> None:
            self.values = values

        def __eq__(self, other: object) -> Any:
            return np.array(self.values) == other

        __hash__ = None  # type: ignore[assignment]

    graph = {str(n): Task(str(n), vars, Series([n, n])) for n in range(3)}
    assert run_inline(compile_graph(graph, list(graph))) == tuple({"values": [n, n]} for n in range(3))


PLACES: dict[str, Callable[[Any], Any]] = {
    "argument": lambda value: Task("t", wholly, value),
    "list": lambda value: Task("t", wholly, [value, {"k": 1}]),
    "legacy": lambda value: (wholly, {"k": value}),
    "closure": lambda value: Task("t", lambda: value),
    "class": lambda value: Task("t", type("Holder", (), {"held": value, "__module__": "__main__"})),
    "cached": lambda value: Task("t", functools.lru_cache(lambda held=value: held)),
    "method": lambda value: Task("t", MethodType(wholly, value)),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", ["__reduce__", "__reduce_ex__", "__getstate__"])
def test_what_does_not_pickle_is_unshippable_and_its_task_is_named(place: str, name: str) -> None:
    raised = OwnError("not me")
    with pytest.raises(UnshippableError, match="cannot travel to a function: not me") as caught:
        compile_graph({"t": PLACES[place](odd(name, raised))}, "t")
    assert caught.value.__cause__ is raised
    assert caught.value.__notes__ == ["in task 't' of the graph"]


def test_a_value_that_shows_and_pickles_badly_is_named_by_its_type() -> None:
    value = odd("__repr__")
    type(value).__reduce__ = type(value).__repr__
    with pytest.raises(UnshippableError, match=rf"^An object of {__name__}\.Odd cannot travel"):
        compile_graph({"t": Task("t", wholly, value)}, "t")


def test_one_of_many_tasks_alike_is_named() -> None:
    graph = {f"t{n}": Task(f"t{n}", wholly, odd("__reduce__")) for n in range(3)}
    with pytest.raises(UnshippableError) as caught:
        compile_graph(graph, list(graph))
    assert caught.value.__notes__ == ["in task 't0' of the graph, or one like it"]


def test_what_dask_raises_of_a_users_method_comes_as_itself_with_the_task() -> None:
    raised = OwnError("no attributes")
    with pytest.raises(OwnError) as caught:
        compile_graph({"t": (wholly, odd("__getattr__", raised))}, "t")
    assert caught.value is raised
    assert raised.__notes__ == ["in task 't' of the graph"]


class Mine:
    """Of no module that a function has."""

    def __init__(self) -> None:
        self.value = 1


def within_itself(*members: Any) -> list[Any]:
    made: list[Any] = [*members]
    made.append({"within": made})
    return made


def test_a_container_that_holds_itself_and_data_travels_as_it_is() -> None:
    graph = {
        "t": Task("t", wholly, within_itself(1, "text")),
        "u": Task("u", wholly, within_itself(2, Mine())),
    }
    first, second = run_inline(compile_graph(graph, ["t", "u"]))
    assert (first[:2], first[2]["within"] is first) == ([1, "text"], True)
    assert (second[0], second[1].value, second[2]["within"] is second) == (2, 1, True)


def test_keys_are_found_in_a_container_that_holds_itself() -> None:
    from graphlambda.compiler.credentials import texts_of_plain

    assert list(texts_of_plain(within_itself("one", ("two", b"three")))) == ["one", "two", "three", "within"]


def test_a_container_too_deep_to_pickle_is_unshippable() -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(UnshippableError, match=r"^(An object of builtins\.list|\[+) cannot travel"):
        compile_graph({"t": Task("t", len, deep)}, "t")
