"""A program in the making: tasks by signature, with provisional ids and keys.

In: walked tasks one by one, whole layers by rule, data objects, aliases. Out: groups of tasks with equal
signatures and their columns. Must not know Dask.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.columns import column
from graphlambda.errors import MissingKeyError, RefusedError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from graphlambda.compiler.program import Column, Ids

_WORTH_ARRAYS = 16
"""Fewer keys are looked up one by one."""

_TOLD_AT_MOST = 8
"""So many names of a cycle are told."""

_INTEGERS = frozenset({int, np.int64, np.int32})
"""Other numbers may be equal to an integer, and so the same key; they are looked up one by one."""


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks with one signature, and what they bind."""

    signature: tuple[Any, ...]
    tasks: Ids
    """Provisional ids."""

    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A layer by rule: its task at grid position c has the id `first` + ravel(c) and the key (name, *c)."""

    name: str
    shape: tuple[int, ...]
    first: int


class Draft:
    """Collects tasks; each gets the next provisional id."""

    def __init__(self) -> None:
        self.count = 0
        self.data: dict[int, Any] = {}
        self._ids: dict[Hashable, int] = {}
        self._alias_of: dict[Hashable, Hashable] = {}
        self._blocks: dict[Hashable, Block] = {}
        self._walked: dict[tuple[Any, ...], tuple[list[int], list[list[Any]]]] = {}
        self._by_rule: list[Group] = []
        self._kept: dict[int, int] = {}
        self._absent: dict[Hashable, int] = {}

    def add_task(self, key: Hashable, signature: tuple[Any, ...], leaves: list[Any]) -> None:
        """Note one task; a key that is known already means the same task."""
        if key in self._ids:
            return
        self._ids[key] = self.count
        tasks, rows = self._walked.setdefault(signature, ([], []))
        tasks.append(self.count)
        rows.append(leaves)
        self.count += 1

    def add_data(self, key: Hashable, value: Any) -> None:
        """Note a value that the client holds."""
        if key not in self._ids:
            self._ids[key] = self.keep(value)

    def add_alias(self, key: Hashable, target: Hashable) -> None:
        """Note that a key is another name of a value."""
        if key != target:
            self._alias_of[key] = target

    def add_block(self, name: str, shape: tuple[int, ...]) -> Block:
        """Reserve the ids of a layer by rule; its group follows when its inputs have ids."""
        block = self._blocks[name] = Block(name, shape, self.count)
        self.count += prod(shape)
        return block

    def add_group(self, group: Group) -> None:
        """Note the tasks of a layer by rule."""
        self._by_rule.append(group)

    def has_block(self, name: Hashable) -> bool:
        """Tell whether a layer by rule has this name."""
        return name in self._blocks

    def has_blocks(self, names: Iterable[Hashable]) -> bool:
        """Tell whether all of these are names of layers by rule."""
        return self._blocks.keys() >= set(names)

    def known(self) -> set[Hashable]:
        """Return the keys of all tasks and data objects so far, but for layers by rule."""
        return set(self._ids)

    def block(self, name: Hashable) -> Block | None:
        """Return the layer by rule of a name."""
        return self._blocks.get(name)

    def keep(self, value: Any) -> int:
        """Return the provisional id of a data object; one object has one id."""
        number = self._kept.get(id(value))
        if number is None:
            number = self._kept[id(value)] = self.count
            self.data[number] = value
            self.count += 1
        return number

    def refuse_absent(self, needed: NDArray[np.bool_]) -> None:
        """Raise for a key that the graph does not hold; `needed` tells, by provisional id, what outputs need.

        Raises:
            MissingKeyError: names it.
        """
        for key, number in self._absent.items():
            if needed[number]:
                message = f"The graph needs {key!r}, which it does not hold: a future or persisted value of another scheduler"
                raise MissingKeyError(
                    message, "Compute it there first, or build the collection anew from its source."
                )

    def lookup(self, key: Hashable) -> int:
        """Return the provisional id of a key's value; one that the graph lacks may be needed by nobody.

        Raises:
            RefusedError: the graph holds names that lead to each other.
        """
        met: dict[Hashable, None] = {}
        while True:
            found = self._ids.get(key)
            if found is not None:
                return found
            if key not in self._alias_of:
                return self._in_block(key)
            if key in met:
                names = " → ".join(map(repr, [*list(met)[-_TOLD_AT_MOST:], key]))
                raise RefusedError(f"The graph has a cycle of names: {names}", "Give one of them a value.")
            met[key] = None
            key = self._alias_of[key]

    def lookup_all(self, keys: Sequence[Hashable]) -> Ids:
        """Return the provisional ids of several keys' values.

        Raises:
            RefusedError: the graph holds names that lead to each other.
        """
        found: list[int | None] = list(map(self._ids.get, keys))
        missing = [place for place, number in enumerate(found) if number is None]
        if len(missing) < _WORTH_ARRAYS:
            for place in missing:
                found[place] = self.lookup(keys[place])
            return np.array(found, np.int64)
        ids = np.array([-1 if number is None else number for number in found], np.int64)
        ids[missing] = self._all_in_blocks([keys[place] for place in missing])
        return ids

    def groups(self) -> Iterator[Group]:
        """Yield all groups, once; those of layers by rule first."""
        yield from self._by_rule
        while self._walked:  # rows are let go as their columns are made: there may be a million
            signature, (tasks, rows) = self._walked.popitem()
            columns = tuple(column(leaves, self.lookup_all, self.keep) for leaves in zip(*rows, strict=True))
            del rows
            yield Group(signature, np.array(tasks, np.int64), columns)

    def keys(self) -> dict[int, Hashable]:
        """Return the key of every walked task and data object, by provisional id."""
        return {number: key for key, number in self._ids.items()}

    def blocks(self) -> list[Block]:
        """Return the layers by rule in the order of their ids."""
        return list(self._blocks.values())

    def _all_in_blocks(self, keys: list[Any]) -> Ids:
        """Return the ids of many keys; those of one layer by rule at a time, by arithmetic."""
        ids = np.empty(len(keys), np.int64)
        places_of: dict[Any, list[int]] = {}
        for place, key in enumerate(keys):
            kept = type(key) is tuple and key and key not in self._alias_of
            places_of.setdefault((key[0], len(key)) if kept else None, []).append(place)
        for name, places in places_of.items():
            block = self._blocks.get(name[0]) if name else None
            found = None if block is None else _positions(block.shape, [keys[place][1:] for place in places])
            if block is None or found is None:
                ids[places] = [self.lookup(keys[place]) for place in places]
            else:
                ids[places] = block.first + found
        return ids

    def _in_block(self, key: Any) -> int:
        block = (
            self._blocks.get(key[0]) if type(key) is tuple and key and isinstance(key[0], Hashable) else None
        )
        position = None if block is None else _position(block.shape, key[1:])
        if block is None or position is None:
            if key not in self._absent:
                self._absent[key] = self.count
                self.count += 1
            return self._absent[key]
        return block.first + position


def _positions(shape: tuple[int, ...], parts: list[tuple[Any, ...]]) -> Ids | None:
    """Return where many coordinates lie in a grid, by arithmetic; None where one is outside, or no integer."""
    if len(parts[0]) != len(shape) or not _INTEGERS.issuperset(map(type, chain.from_iterable(parts))):
        return None
    grid = np.array(parts)
    if not ((grid >= 0) & (grid < np.array(shape, np.int64))).all():
        return None
    strides = [prod(shape[axis + 1 :]) for axis in range(len(shape))]
    return grid.astype(np.int64) @ np.array(strides, np.int64)


def _position(shape: tuple[int, ...], parts: tuple[Any, ...]) -> int | None:
    """Return where coordinates lie in a grid; None if outside, or between."""
    if len(parts) != len(shape):
        return None
    number = 0
    for part, length in zip(parts, shape, strict=True):
        try:
            whole = int(part)
        except (TypeError, ValueError, OverflowError):
            return None
        if whole != part or not 0 <= whole < length:
            return None
        number = number * length + whole
    return number
