"""The edges of a program, from both ends, and sets of them.

In: the compressed rows of a `Program`. Out: who reads a value, and sets of edges.
Must not know what a task does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from graphlambda.compiler.program import Edges, Ids


@dataclass(frozen=True, slots=True)
class Readers:
    """The edges sorted by the value that they carry."""

    starts: Ids
    """Length values + 1: value v is read through positions `starts[v]` to `starts[v + 1]`."""

    tasks: Ids
    """The reading task at each position; ascending within a value."""

    edges: Ids
    """The same edge's position in the program's own rows."""

    positions: Ids
    """The inverse: for an edge of the program's rows, its position here."""

    def of(self, value: int) -> Ids:
        """Return the tasks that read one value."""
        return self.tasks[self.starts[value] : self.starts[value + 1]]


def readers(edges: Edges, values: int) -> Readers:
    """Return the edges from the values' end; `values` counts tasks and data objects."""
    by_value = np.argsort(edges.ids, kind="stable")
    positions = np.empty_like(by_value)
    positions[by_value] = np.arange(len(by_value), dtype=np.int64)
    starts = np.zeros(values + 1, np.int64)
    np.cumsum(np.bincount(edges.ids, minlength=values), out=starts[1:])
    return Readers(starts, rows(edges.starts)[by_value], by_value, positions)


def rows(starts: Ids) -> Ids:
    """Return for each entry of compressed rows the row that it stands in."""
    return np.repeat(np.arange(len(starts) - 1, dtype=np.int64), np.diff(starts))


def view(ids: Any) -> memoryview:
    """Return an array's own memory as something that gives and takes plain integers, three times as fast."""
    return memoryview(np.ascontiguousarray(ids, np.int64))  # type: ignore[arg-type]  # NumPy's stubs lack the protocol


class EdgeSet:
    """Edges in compressed rows, taken out and put back one by one; taking one twice is the same as once.

    A set, not a counter: a completion that is delivered twice must not stand for two inputs.
    One byte an edge; each row remembers where its first edge left is, so a row is looked through once
    in all, however wide it is, as long as nothing is put back.
    """

    __slots__ = ("_first", "_left", "_stops")

    def __init__(self, starts: Ids) -> None:
        self._left = bytearray(b"\1") * int(starts[-1])
        self._first = view(starts[:-1].copy())
        self._stops = view(starts[1:])

    def take(self, row: int, position: int) -> bool:
        """Take one edge out of a row; return whether the row is empty now."""
        self._left[position] = 0
        first, stop = self._first[row], self._stops[row]
        if position == first:
            first = self._left.find(1, position, stop)
            self._first[row] = first = stop if first < 0 else first
        return first == stop

    def put(self, row: int, position: int) -> None:
        """Put an edge back into its row; one that was not taken out stays where it is."""
        self._left[position] = 1
        self._first[row] = min(self._first[row], position)

    def __contains__(self, position: int) -> bool:
        """Whether an edge has not been taken out."""
        return bool(self._left[position])

    def left(self, row: int) -> int:
        """Return how many edges a row has left, at most 2: none, one, or more."""
        first, stop = self._first[row], self._stops[row]
        return 0 if first == stop else 1 if self._left.find(1, first + 1, stop) < 0 else 2

    def empty(self, row: int) -> bool:
        """Return whether a row has no edge left."""
        return self._first[row] == self._stops[row]
