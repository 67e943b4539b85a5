"""In which order tasks are best run: the longest chains first, and what frees memory soonest.

In: the edges of a program. Out: each task's place in the order. Must not know durations or sizes.

The order is that of a walk in depth from the last tasks: the inputs of a task are made one after another,
the one at the end of the longest chain first, and the task itself as soon as the last of them is there.
So a reduction tree holds one branch a level, never all its leaves. Where a value has several readers and
all of them could run, they do, so that it can be let go (`x.sum()` and `x.mean()` share their blocks).
"""

from __future__ import annotations

import numpy as np

from graphlambda.compiler.program import Edges, Ids
from graphlambda.errors import RunError
from graphlambda.scheduler.edges import Readers, readers, rows, view

CLOSE_AT_MOST = 4
"""How many readers of one value are run early to let it go: each of them makes a value of its own.

Measured as the most values alive at once: with 4 as few as `dask.order` has, or fewer, on trees, rechunks,
overlaps, shuffles, groupbys and matrix products; from 8 on, products and shuffles hold twice as many.
"""

NARROW = 64
"""Waves of fewer tasks are stepped through in Python: NumPy's fixed cost a call would exceed theirs."""


def ranks(edges: Edges) -> Ids:
    """Return for each task its place in the order: 0 is first. A permutation, the same in every process.

    Raises:
        RunError: tasks wait for each other.
    """
    inner = _between_tasks(edges)
    back = readers(inner, len(inner.starts) - 1)
    depth = _depths(inner, back)
    order = np.array(_Walk(_deepest_last(inner, depth), back).order(_sinks(back, depth)), np.int64)
    place = np.empty_like(order)
    place[order] = np.arange(len(order), dtype=np.int64)
    return place


def _between_tasks(edges: Edges) -> Edges:
    """Return the edges that lead from task to task: data objects are always there."""
    keep = edges.ids < len(edges.starts) - 1
    if keep.all():
        return edges
    before = np.concatenate([[0], np.cumsum(keep)]).astype(np.int64)
    return Edges(before[edges.starts], edges.ids[keep])


def _depths(edges: Edges, back: Readers) -> Ids:
    """Return the length of the longest chain that ends in each task, wave by wave."""
    missing = np.diff(edges.starts)
    depth = np.full(len(missing), -1, np.int64)
    wave, level = np.flatnonzero(missing == 0), 0
    while len(wave):
        if len(wave) < NARROW:
            wave, level = _through_narrow(wave.tolist(), level, missing, depth, back)
        else:
            depth[wave] = level
            wave, level = _after(wave, missing, back), level + 1
    if circle := int(np.count_nonzero(depth < 0)):
        raise RunError(f"{circle} tasks wait for each other: the graph has a cycle, or needs what has one")
    return depth


def _after(wave: Ids, missing: Ids, back: Readers) -> Ids:
    """Return the tasks whose last input is in a wave."""
    first, counts = back.starts[wave], back.starts[wave + 1] - back.starts[wave]
    shift = np.repeat(first - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts)
    reached = back.tasks[np.arange(len(shift), dtype=np.int64) + shift]
    np.subtract.at(missing, reached, 1)
    return np.unique(reached[missing[reached] == 0])


def _through_narrow(wave: list[int], level: int, missing: Ids, depth: Ids, back: Readers) -> tuple[Ids, int]:
    """Go on from wave to wave while they are narrow; return the first one that is not, or an empty one."""
    left, depths, starts, tasks = view(missing), view(depth), view(back.starts), view(back.tasks)
    while wave and len(wave) < NARROW:
        reached = []
        for task in wave:
            depths[task] = level
            for position in range(starts[task], starts[task + 1]):
                reader = tasks[position]
                left[reader] -= 1
                if not left[reader]:
                    reached.append(reader)
        wave, level = reached, level + 1
    return np.array(wave, np.int64), level


def _deepest_last(edges: Edges, depth: Ids) -> Edges:
    """Return the edges with each task's inputs in the order in which a stack wants them: the first one last."""
    if len(edges.ids) == 0 or np.diff(edges.starts).max() == 1:
        return edges
    key = rows(edges.starts) * (depth.max() + 1) + depth[edges.ids]
    backwards = len(key) - 1 - np.argsort(key[::-1], kind="stable")  # of equal depth, the lowest id first
    return Edges(edges.starts, edges.ids[backwards])


def _sinks(back: Readers, depth: Ids) -> Ids:
    """Return the tasks that no task reads: deepest first, then by id."""
    sinks = np.flatnonzero(np.diff(back.starts) == 0)
    return sinks[np.argsort(-depth[sinks], kind="stable")]


class _Walk:
    """A walk in depth over all tasks, on plain lists: a million tasks are a second's matter."""

    __slots__ = ("_missing", "_placed", "_readers", "_reading", "_starts", "_unready", "_values")

    def __init__(self, edges: Edges, back: Readers) -> None:
        self._starts: list[int] = edges.starts.tolist()
        self._values: list[int] = edges.ids.tolist()
        self._readers: list[int] = back.starts.tolist()
        self._reading: list[int] = back.tasks.tolist()
        self._missing: list[int] = np.diff(edges.starts).tolist()
        self._unready: list[int] = np.diff(back.starts).tolist()
        self._placed = bytearray(len(self._missing))

    def order(self, sinks: Ids) -> list[int]:
        """Return all tasks, each after its inputs.

        A task that lacks inputs goes back onto the stack below them; one that lacks none is placed, and what
        can be run to let values go is put on top.
        """
        starts, values, readers_, reading = self._starts, self._values, self._readers, self._reading
        missing, placed = self._missing, self._placed
        order: list[int] = []
        stack: list[int] = sinks[::-1].tolist()
        while stack:
            task = stack.pop()
            if placed[task]:
                continue
            if missing[task]:
                stack.append(task)
                stack += values[starts[task] : starts[task + 1]]
                continue
            placed[task] = 1
            order.append(task)
            for reader in reading[readers_[task] : readers_[task + 1]]:
                missing[reader] -= 1
                if not missing[reader]:
                    stack += self._closing(reader)
        return order

    def _closing(self, reader: int) -> list[int]:
        """Return the readers of those values that can be let go, now that `reader` could run; the first last."""
        readers_, unready = self._readers, self._unready
        closing: list[int] = []
        for value in self._values[self._starts[reader] : self._starts[reader + 1]]:
            unready[value] -= 1
            if not unready[value]:
                first, stop = readers_[value], readers_[value + 1]
                closing += (reader,) if stop - first == 1 else self._unplaced(first, stop)
        return closing

    def _unplaced(self, first: int, stop: int) -> list[int]:
        """Return some readers that have not run, the first last; none where that would make too many values."""
        left = [task for task in self._reading[first:stop] if not self._placed[task]]
        return left[::-1] if len(left) <= CLOSE_AT_MOST else []
