"""Graphs for runs under faults: every value depends on which task made it, and of what.

In: a seeded `Random` and Dask's module of graph nodes (this package imports Dask in its reader alone). Out: a graph
and the keys wanted of it. A value that was made of wrong inputs differs from the right one in every element.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from random import Random

    Inputs = list[int]

SHAPES = ("random", "chain", "tree", "wide", "alternating", "parts")
SIZES = (2, 20, 600, 12_000)
"""Elements of a value: 8 bytes each, so that some ride inline and some take the store."""


@dataclass(frozen=True, slots=True)
class Graph:
    """A Dask graph and what is wanted of it."""

    graph: dict[Hashable, Any]
    wanted: list[Hashable]


def first(number: int, elements: int, *inputs: Any) -> Any:
    """Return the value of a task."""
    return _value(1, number, elements, inputs)


def second(number: int, elements: int, *inputs: Any) -> Any:
    """Return the value of a task, by another operation."""
    return _value(2, number, elements, inputs)


def third(number: int, elements: int, *inputs: Any) -> Any:
    """Return the value of a task, by a third one."""
    return _value(3, number, elements, inputs)


def halves(number: int, elements: int, *inputs: Any) -> list[Any]:
    """Return two parts of a task's value; readers take one each."""
    value = _value(4, number, elements, inputs)
    return [value, np.append(value, value)]


def draw(random: Random, nodes: Any, shape: str, tasks: int) -> Graph:
    """Draw a graph of so many tasks, and of picks of their parts."""
    graph: dict[Hashable, Any] = {}
    for number in range(tasks):
        function, arguments = _DRAWN[shape](random, nodes, number)
        key = ("t", number)
        graph[key] = nodes.Task(key, function, number, random.choice(SIZES), *arguments)
        if function is halves:
            for side in (0, 1):
                part = ("part", number, side)
                graph[part] = nodes.Task(part, getitem, nodes.TaskRef(key), side)
    last = ("t", tasks - 1)
    return Graph(graph, [last, *random.sample(sorted(graph, key=repr), min(3, len(graph)))])


def _value(salt: int, number: int, elements: int, inputs: tuple[Any, ...]) -> Any:
    total = crc32(repr((salt, number, elements)).encode())
    for each in _flat(list(inputs)):
        total = crc32(each, total)
    return np.arange(elements, dtype=np.int64) * 7919 + total


def _flat(inputs: list[Any]) -> list[Any]:
    return [each for part in inputs for each in (_flat(part) if isinstance(part, list) else [part])]


def _random(random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    inputs = random.sample(range(number), random.randint(0, min(number, 4)))
    refs = [nodes.TaskRef(("t", each)) for each in inputs]
    cut = random.randint(0, len(refs))
    arguments = [*refs[:cut], nodes.List(*refs[cut:])] if cut < len(refs) else refs
    return random.choice((first, second, third)), arguments


def _chain(_random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    return first, [nodes.TaskRef(("t", number - 1))] if number else []


def _alternating(_random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    return (first, second)[number % 2], [nodes.TaskRef(("t", number - 1))] if number else []


def _tree(_random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    """Task n reads the two of the heap below it, counted from the end: leaves come first."""
    below = [each for each in (2 * number - 64, 2 * number - 63) if 0 <= each < number]
    return (second if below else first), [nodes.TaskRef(("t", each)) for each in below]


def _wide(_random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    """Every eighth task reads the seven before it, in one list."""
    if number % 8 != 7:
        return first, []
    return third, [nodes.List(*[nodes.TaskRef(("t", each)) for each in range(number - 7, number)])]


def _parts(random: Random, nodes: Any, number: int) -> tuple[Callable[..., Any], list[Any]]:
    """Every third task gives two parts; the two after it read one each."""
    if number % 3 == 0:
        before = [nodes.TaskRef(("t", number - 1))] if number and random.random() < 0.5 else []
        return halves, before
    return second, [nodes.TaskRef(("part", number - number % 3, number % 3 - 1))]


_DRAWN = {
    "random": _random,
    "chain": _chain,
    "tree": _tree,
    "wide": _wide,
    "alternating": _alternating,
    "parts": _parts,
}
