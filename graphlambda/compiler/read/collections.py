"""Dask's collections: which of them a call's arguments hold, what graph they make, how they are put together.

In: the user's arguments. Out: a program that ends before finalisation: that happens on the client, where
the result is wanted, and not in one function that would have to hold all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from dask._expr import HLGExpr, _ExprSequence
from dask.base import collections_to_expr, named_schedulers, unpack_collections
from dask.core import flatten

from graphlambda.compiler.read.layers import Final, Finisher, Layers, Stage

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: keys in nested lists, one entry a collection, and how each becomes its result."""

    keys: list[Any]
    finishers: list[Callable[[Any], Any]]

    declared_bytes: int = 0
    """What the collections say that their results take; see `_declared_bytes`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """Makes what the user asked for from the values of all outputs."""

    finishers: tuple[Callable[[Any], Any], ...]
    repack: Callable[[list[Any]], Any]

    def __call__(self, values: Sequence[Any]) -> Any:
        """Return what was asked for."""
        return self.repack([finish(value) for finish, value in zip(self.finishers, values, strict=True)])


def register(name: str, get: Callable[..., Any]) -> None:
    """Make a scheduler known to Dask by name: `scheduler="name"`, in its configuration and in DASK_SCHEDULER."""
    named_schedulers[name] = get


def collections_in(
    arguments: tuple[Any, ...], *, traverse: bool
) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """Return the collections that arguments hold, and what puts results in their place."""
    collections, repack = unpack_collections(*arguments, traverse=traverse)
    return collections, repack


def meta_of(collection: Any) -> Any:
    """Return the empty value of the kind that a collection's chunks are; None where it knows none."""
    return getattr(collection, "_meta", None)


def read_collections(
    collections: Sequence[Any], layers: Layers, stage: Stage, *, optimize_graph: bool
) -> Wanted:
    """Add the graphs of collections to `layers` and return what is wanted of them.

    Graphs of layers and expressions are optimised apart, so that mixing them materialises neither.
    """
    wanted: dict[int, tuple[Any, Callable[[Any], Any]]] = {}
    kinds: dict[bool, list[int]] = {}
    expressions = [collections_to_expr(collection, optimize_graph) for collection in collections]
    for position, expression in enumerate(expressions):
        kinds.setdefault(isinstance(expression, HLGExpr), []).append(position)
    for positions in kinds.values():
        with stage("dask"):
            joined = _ExprSequence(*(expressions[position] for position in positions)).optimize()
        keys = list(joined.__dask_keys__())
        layers.add(joined, list(flatten(keys)))
        for position, key in zip(positions, keys, strict=True):
            wanted[position] = (key, _postcompute(collections[position]))
    ordered = [wanted[position] for position in range(len(collections))]
    declared_bytes = sum(map(_declared_bytes, collections))
    return Wanted([keys for keys, _ in ordered], [finish for _, finish in ordered], declared_bytes)


def read_graph(graph: Any, keys: Any, layers: Layers) -> Wanted:
    """Add what a scheduler is handed to `layers`; tasks that only finalise are left to the client."""
    flat = list(dict.fromkeys(flatten([keys])))
    layers.add(graph, flat, finalize_here=True)
    final = [layers.finalizers.get(key, Final(key, Finisher(_itself, ()))) for key in flat]
    return Wanted([found.keys for found in final], [found.finisher for found in final])


@dataclass(frozen=True, slots=True)
class Nested:
    """Puts values in the places of their keys: a list of keys becomes a tuple of values."""

    keys: Any

    def __call__(self, values: list[Any]) -> Any:
        """Return the values, nested as the keys are."""
        found = dict(zip(dict.fromkeys(flatten([self.keys])), values, strict=True))
        return _in_place(self.keys, found)


def _in_place(keys: Any, found: dict[Hashable, Any]) -> Any:
    return tuple(_in_place(key, found) for key in keys) if isinstance(keys, list) else found[keys]


def _itself(value: Any) -> Any:
    return value


def _declared_bytes(collection: Any) -> int:
    """Return what an array of NumPy's says that it takes, by shape and dtype; 0 where it does not know, and of all others."""
    found = collection.nbytes if isinstance(meta_of(collection), np.ndarray) else 0  # not finite: not known
    return int(found) if isinstance(found, Integral) else 0


def _postcompute(collection: Any) -> Finisher:
    function, arguments = collection.__dask_postcompute__()
    return Finisher(function, tuple(arguments))
