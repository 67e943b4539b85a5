"""From the leaves of equal signatures to columns (anti-unification).

In: one row of leaves a task. Out: one column a port: a constant where all rows agree, else literals,
inputs, gathers. Must not know what a reference is: it is told by type and by a lookup.

`1`, `True` and `1.0` are equal and yet not the same, nor are 0.0 and -0.0; NaN is the same as itself.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np

from graphlambda.compiler.program import (
    Binding,
    Column,
    Constant,
    Gather,
    Gathers,
    Ids,
    Input,
    Inputs,
    Literal,
    Literals,
    Mixed,
    Nested,
)

Lookup: TypeAlias = Callable[[Sequence[Hashable]], Ids]
"""Value ids of keys; asked for many at once, which costs far less than one by one."""

_EXACT = frozenset({int, bool, type(None), str, bytes})
"""Of these types, what is equal is the same."""

_SCALARS = _EXACT | {float, complex}
_SMALL_OBJECT_BYTES = 4096

_MADE_IN_PYTHON = 1 << 9
"""CPython's Py_TPFLAGS_HEAPTYPE: the class was made by a `class` statement."""


class Reference:
    """A leaf that names another task's value."""

    __slots__ = ("key",)

    def __init__(self, key: Hashable) -> None:
        self.key = key


class Many:
    """A leaf: nested lists of keys, handed to the operation as lists of values."""

    __slots__ = ("keys",)

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys


def column(leaves: Sequence[Any], lookup: Lookup, keep: Callable[[Any], int]) -> Column:
    """Return the column of one port.

    `lookup` gives the ids of keys' values; `keep` notes a large literal as a data object and gives its id.
    """
    kinds = set(map(type, leaves))
    if kinds == {Reference}:
        return Inputs(lookup([leaf.key for leaf in leaves]))
    if kinds == {Many}:
        return _gathers([leaf.keys for leaf in leaves], lookup)
    if kinds & {Reference, Many}:
        return Mixed(tuple(_binding(leaf, lookup) for leaf in leaves))
    if all_same(leaves):
        return Constant(leaves[0])
    large = [size_bytes(leaf) > _SMALL_OBJECT_BYTES for leaf in leaves]
    if all(large):
        return Inputs(np.fromiter(map(keep, leaves), np.int64, len(leaves)))
    if any(large):
        pairs = zip(leaves, large, strict=True)
        return Mixed(tuple(Input(keep(leaf)) if is_large else Literal(leaf) for leaf, is_large in pairs))
    return Literals(list(leaves))


def all_same(leaves: Sequence[Any]) -> bool:
    """Tell whether all literals of a column are the same; False where that is costly to know."""
    first = leaves[0]
    return all(leaf is first or same(first, leaf) for leaf in leaves)


def same(one: Any, other: Any, depth: int = 6) -> bool:
    """Tell whether two literals are the same in type and value; False also means: not known."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other) or kind is object or depth == 0:  # a sentinel is only itself
        return False
    if kind in _EXACT:
        return bool(one == other)
    if kind in _SCALARS:  # as text, zeros differ by their sign, and NaN is NaN; most need none
        return bool(kind is float and one == other != 0.0) or repr(one) == repr(other)
    if kind in (tuple, list):
        return len(one) == len(other) and all(same(a, b, depth - 1) for a, b in zip(one, other, strict=True))
    if kind is dict:
        pairs = zip(one.items(), other.items(), strict=True)
        return len(one) == len(other) and all(same(a, b, depth) for a, b in pairs)
    if kind is slice:
        return same((one.start, one.stop, one.step), (other.start, other.stop, other.step), depth)
    if kind is np.ndarray:
        return _same_array(one, other)
    return _same_object(one, other, depth)


def size_bytes(literal: Any) -> int:
    """Return about how many bytes a literal takes; 0 where its type does not say."""
    kind = type(literal)
    if kind in (bytes, str):
        return len(literal)
    if kind in _SCALARS or kind in (tuple, slice, list, dict):
        return 0
    try:
        usage = getattr(literal, "memory_usage", None)
        if callable(usage) and kind.__module__.startswith("pandas."):
            return int(np.sum(usage()))
        nbytes = getattr(literal, "nbytes", 0)
    except Exception:  # noqa: BLE001  (the user's `__getattr__` may raise anything)
        return 0
    return nbytes if isinstance(nbytes, int) else 0


def concatenated(parts: list[tuple[Ids, Ids]]) -> tuple[Ids, Ids]:
    """Join (row, value) pairs."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return np.concatenate([rows for rows, _ in parts]), np.concatenate([ids for _, ids in parts])


def renumbered(one: Column, rows: Ids | None, new_id: Ids) -> Column:
    """Return a column of some rows (None: of all) with every value id replaced."""
    taken = one if rows is None else one.take(rows)
    if isinstance(taken, Inputs):
        return Inputs(new_id[taken.ids])
    if isinstance(taken, Gathers):
        return Gathers(taken.starts, new_id[taken.ids], taken.shapes, taken.shape_of)
    if isinstance(taken, Mixed):
        return Mixed(tuple(_renumbered(binding, new_id) for binding in taken.bindings))
    return taken


def _renumbered(binding: Binding, new_id: Ids) -> Binding:
    if isinstance(binding, Input):
        return Input(int(new_id[binding.id]))
    if isinstance(binding, Gather):
        return Gather(_mapped(binding.ids, lambda value: int(new_id[value])))
    return binding


def _binding(leaf: Any, lookup: Lookup) -> Binding:
    if type(leaf) is Reference:
        return Input(int(lookup([leaf.key])[0]))
    if type(leaf) is Many:
        return Gather(_mapped(leaf.keys, lambda key: int(lookup([key])[0])))
    return Literal(leaf)


def _mapped(nested: list[Any], change: Callable[[Any], int]) -> list[Nested]:
    return [_mapped(member, change) if type(member) is list else change(member) for member in nested]


def _gathers(rows: list[list[Any]], lookup: Lookup) -> Column:
    numbers: dict[Any, int] = {}
    shape_of = []
    keys: list[Any] = []
    starts = [0]
    for row in rows:
        nesting = _flattened(row, keys)
        shape_of.append(numbers.setdefault(0 if type(nesting) is int else nesting, len(numbers)))
        starts.append(len(keys))
    ids = lookup(keys)
    nestings = None if len(numbers) == 1 else np.array(shape_of, np.int32)
    return Gathers(np.array(starts, np.int64), ids, tuple(map(_shape, numbers)), nestings)


def _flattened(nested: list[Any], keys: list[Any]) -> Any:
    """Append the keys of nested lists to `keys` and return the nesting: the count if flat, -1 for a key."""
    if list not in map(type, nested):
        keys.extend(nested)
        return len(nested)
    shape = []
    for member in nested:
        if type(member) is list:
            shape.append(_flattened(member, keys))
        else:
            keys.append(member)
            shape.append(-1)
    return tuple(shape)


def _shape(nesting: Any) -> Any:
    """Return nested lists of positions; None for a flat list."""
    return None if isinstance(nesting, int) else _positions(nesting, itertools.count())


def _positions(nesting: Any, count: Iterator[int]) -> Any:
    if nesting == -1:
        return next(count)
    if isinstance(nesting, int):
        return [next(count) for _ in range(nesting)]
    return [_positions(member, count) for member in nesting]


def _same_array(one: Any, other: Any) -> bool:
    if (one.shape, one.strides, one.dtype) != (
        other.shape,
        other.strides,
        other.dtype,
    ) or one.dtype.hasobject:
        return False
    return bool(one.nbytes <= _SMALL_OBJECT_BYTES and one.tobytes() == other.tobytes())


def _same_object(one: Any, other: Any, depth: int) -> bool:
    kind = type(one)
    try:
        if _is_plain_class(kind):  # type: ignore[arg-type]  # a class has a hash
            return same(vars(one), vars(other), depth - 1)
        if kind.__module__.startswith("pandas.") and not (len(one) == 0 == len(other)):
            return False
        return pickle.dumps(one, 5) == pickle.dumps(other, 5)
    except Exception:  # noqa: BLE001  (the user's `__reduce__` may raise anything: then it is not known)
        return False


@lru_cache(maxsize=1024)
def _is_plain_class(kind: type) -> bool:
    """Tell whether instances are described by their `__dict__` alone and pickle the default way.

    A subclass of a built-in (a list of files, say) is not: what it holds is not in its `__dict__`.
    """
    return (
        all(base.__flags__ & _MADE_IN_PYTHON for base in kind.__mro__[:-1])
        and not any("__reduce__" in vars(base) or "__reduce_ex__" in vars(base) for base in kind.__mro__[:-1])
        and not any(getattr(base, "__slots__", ()) for base in kind.__mro__)
        and not hasattr(kind, "__getnewargs__")
        and not hasattr(kind, "__getnewargs_ex__")
        and kind.__dictoffset__ != 0
    )
