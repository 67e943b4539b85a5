"""Random Dask graphs: every kind of node that a scheduler is ever handed, in every place where it may stand.

In: Dask's module of graph nodes (this package imports Dask in its reader alone). Out: Hypothesis strategies that
draw a graph and the keys wanted of it. Must not draw what Dask itself leaves undefined, such as cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Hashable


@dataclass(frozen=True, slots=True)
class Drawn:
    """A graph, and what is wanted of it."""

    graph: dict[Hashable, Any]
    wanted: Any
    """A key, or keys in nested lists; repeats included."""


@dataclass(frozen=True, slots=True)
class Large:
    """A literal that says it is large, so that it becomes a data object, and compares like any other."""

    nbytes: int = 100_000


class RefusalToComputeError(Exception):
    """Raised by tasks that were drawn to fail."""


def record(*arguments: Any, **keywords: Any) -> tuple[Any, ...]:
    """Return what a task was called with: any mistake in an argument shows in the result."""
    return ("record", arguments, keywords)


def pair(first: Any, second: Any = None) -> tuple[Any, Any]:
    """Return both."""
    return (second, first)


def nothing(*_arguments: Any) -> None:
    """Return None, which is a value like any other."""


def refuse(*arguments: Any) -> None:
    """Fail."""
    raise RefusalToComputeError(repr(arguments))


@cache  # a strategy costs more to make than to draw from
def keys() -> st.SearchStrategy[Hashable]:
    """Draw keys as Dask's own collections make them, and as only users do.

    NumPy's numbers stand behind a name of their own, for Dask cannot sort them among tuples.
    """
    plain = st.one_of(
        st.text("abz-", min_size=1, max_size=3),
        st.integers(-2, 3),
        st.sampled_from([0.9, -1.5, b"bytes", b""]),
    )
    numpy = st.sampled_from([np.int64(7), np.int64(0), np.float64(2.5)])
    return st.one_of(
        plain,
        st.tuples(st.text("ab", min_size=1, max_size=2), plain),
        st.tuples(plain, st.tuples(plain)),
        st.tuples(st.just("numpy"), numpy),
    )


@cache
def literals() -> st.SearchStrategy[Any]:
    """Draw values that are not tasks; many of them are false, and some look like keys."""
    atoms = st.one_of(
        st.sampled_from(
            [None, False, True, 0, 0.0, 1, "", "a", b"", (), [], {}, slice(1, None), frozenset()]
        ),
        st.integers(-3, 3),
        st.sampled_from([Large(), 2**70, 1j, np.int64(3), np.float32(0.5)]),
    )
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.tuples(inner, inner),
            st.dictionaries(st.sampled_from(["k", 1, None]), inner, max_size=2),
        ),
        max_leaves=5,
    )


@st.composite
def graphs(draw: st.DrawFn, nodes: Any, *, most_nodes: int = 12, may_fail: bool = True) -> Drawn:
    """Draw a graph of nodes of `dask._task_spec` (or a stand-in for it) and keys of it."""
    names = draw(st.lists(keys(), min_size=1, max_size=most_nodes, unique=True))
    graph: dict[Hashable, Any] = {}
    for number, name in enumerate(names):
        known = names[:number]
        kinds = [_data, _raw, _task, _legacy, _fused] + ([_alias, _alias_chain] if known else [])
        graph[name] = draw(draw(st.sampled_from(kinds))(nodes, name, known))
    if may_fail and draw(st.booleans()):
        failing = draw(st.sampled_from(names))
        graph[failing] = nodes.Task(failing, refuse, draw(literals()))
    shuffled = draw(st.permutations(names))
    wanted = st.recursive(st.sampled_from(names), lambda inner: st.lists(inner, max_size=3), max_leaves=6)
    return Drawn({name: graph[name] for name in shuffled}, draw(wanted))


def _data(nodes: Any, name: Hashable, _known: list[Hashable]) -> st.SearchStrategy[Any]:
    return literals().map(lambda value: nodes.DataNode(name, value))


def _raw(_nodes: Any, _name: Hashable, _known: list[Hashable]) -> st.SearchStrategy[Any]:
    """Draw a bare value, as `from_array` and persisted collections put it into graphs: never one that is a key."""
    return st.sampled_from([None, 17, 3.25, [17, [None]], {"k": 17}])


def _alias(nodes: Any, name: Hashable, known: list[Hashable]) -> st.SearchStrategy[Any]:
    return st.sampled_from(known).map(lambda target: nodes.Alias(name, target))


def _alias_chain(nodes: Any, name: Hashable, known: list[Hashable]) -> st.SearchStrategy[Any]:
    """Draw an alias of the newest value, so that aliases of aliases are common."""
    return st.just(nodes.Alias(name, known[-1]))


def _task(nodes: Any, name: Hashable, known: list[Hashable]) -> st.SearchStrategy[Any]:
    arguments = st.lists(_arguments(nodes, known), max_size=3)
    keywords = st.dictionaries(st.sampled_from(["k", "if", "other"]), _arguments(nodes, known), max_size=2)
    return st.builds(
        lambda given, named: nodes.Task(name, record, *given, **named), arguments, keywords
    ) | st.builds(lambda value: nodes.Task(name, nothing, value), _arguments(nodes, known))


def _legacy(_nodes: Any, _name: Hashable, known: list[Hashable]) -> st.SearchStrategy[Any]:
    """Draw a task as a tuple: what equals a key in it is a reference, so no literal here may be a later key."""
    plain = st.sampled_from([None, 17, "plain", [], {}, (), slice(1, None), Large()])
    leaves = st.one_of(st.sampled_from(known), plain) if known else plain
    inner = st.recursive(leaves, lambda below: st.lists(below, max_size=3), max_leaves=5)
    call = st.tuples(st.just(pair), inner)
    return st.one_of(st.tuples(st.just(record), inner, inner), st.tuples(st.just(pair), call, inner))


def _fused(nodes: Any, name: Hashable, known: list[Hashable]) -> st.SearchStrategy[Any]:
    """Draw a chain of tasks that Dask fused into one; its inner keys are in no graph."""

    def chain(arguments: list[Any]) -> Any:
        steps = [nodes.Task(("inner", 0), record, arguments[0])]
        for number, argument in enumerate(arguments[1:], 1):
            given = (nodes.TaskRef(("inner", number - 1)), argument, nodes.TaskRef(("inner", number - 1)))
            steps.append(nodes.Task(("inner", number), record, *given))
        return nodes.Task.fuse(*steps, key=name)

    return st.lists(_arguments(nodes, known), min_size=2, max_size=4).map(chain)


def _arguments(nodes: Any, known: list[Hashable]) -> st.SearchStrategy[Any]:
    """Draw an argument of a task: a literal, a reference, or a container or a task that holds such."""
    leaves = literals().map(lambda value: nodes.DataNode(None, value))
    if known:
        leaves = st.one_of(leaves, st.sampled_from(known).map(nodes.TaskRef))
    names = st.lists(st.sampled_from(["k", 1, None, "z"]), unique=True, max_size=2)

    def holding(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, max_size=3)
        return st.one_of(
            several.map(lambda members: nodes.List(*members)),
            several.map(lambda members: nodes.Tuple(*members)),
            st.tuples(names, inner).map(lambda drawn: nodes.Dict(dict.fromkeys(drawn[0], drawn[1]))),
            inner.map(lambda value: nodes.Set(nodes.Task(None, repr, value))),
            several.map(lambda members: nodes.Task(None, record, *members)),
        )

    return st.one_of(literals(), st.recursive(leaves, holding, max_leaves=6))
