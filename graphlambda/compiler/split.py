"""Split: from a draft to a Program, with one operation for all tasks that run the same code.

In: a draft, the walker's code constants, the keys wanted. Out: a Program, culled to what the outputs
need, tasks renumbered 0 … n - 1. Must not know Dask, packaging, AWS or time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.columns import concatenated, renumbered
from graphlambda.compiler.evidence import with_evidence
from graphlambda.compiler.exclusion import without_needless_locks
from graphlambda.compiler.fuse import fuse
from graphlambda.compiler.keys import Keys, KeysOfFused
from graphlambda.compiler.normal import normal_form
from graphlambda.compiler.operations import Operations
from graphlambda.compiler.paths import local_paths
from graphlambda.compiler.program import Column, Edges, Ids, Nested, Program, Table, flat

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from numpy.typing import NDArray

    from graphlambda.compiler.constants import CodeConstant
    from graphlambda.compiler.draft import Draft, Group
    from graphlambda.compiler.fuse import Fused
    from graphlambda.compiler.measured import Fusing
    from graphlambda.compiler.trees import Node


def split(
    draft: Draft,
    constants: list[CodeConstant],
    outputs: list[Any],
    finish: Callable[[list[Any]], Any],
    fusing: Fusing,
) -> Program:
    """Return the program that computes `outputs` (keys in nested lists), fused where that pays."""
    wanted = [_resolved(output, draft.lookup) for output in outputs]
    groups = list(draft.groups())
    renumbering = _cull(groups, draft, flat(wanted))
    data = tuple(draft.data[old] for old in renumbering.old_data)
    keys = Keys(renumbering.old_tasks, draft.keys(), draft.blocks())
    operations = Operations(constants)
    tables = _tables(groups, renumbering, operations, data, keys)
    named = [_mapped(output, renumbering.new_id) for output in wanted]
    fused = fuse(tables, operations, renumbering.task_count + len(data), flat(named), fusing)
    left = _left(fused, named, keys, len(data))
    count = len(left.keys)
    table_of, row_of = positions(left.tables, count)
    return Program(
        tables=with_evidence(left.tables, table_of, data),
        table_of=table_of,
        row_of=row_of,
        data=data,
        edges=_edges(((table.tasks, table.columns) for table in left.tables), count),
        outputs=tuple(left.outputs),
        wanted=tuple(outputs),
        finish=finish,
        paths=local_paths((column for table in left.tables for column in table.columns), data),
        key=left.keys,
        fusions=fused.fusions,
        absorbed=left.keys.absorbed,
    )


@dataclass(frozen=True, slots=True)
class _Left:
    """The tasks that fusion leaves, numbered anew."""

    tables: tuple[Table, ...]
    outputs: list[Nested]
    keys: Keys | KeysOfFused


def _left(fused: Fused, outputs: list[Nested], keys: Keys, data: int) -> _Left:
    if not fused.fusions:
        return _Left(fused.tables, outputs, keys)
    count = len(fused.into)
    kept = np.flatnonzero(fused.into == np.arange(count))
    new_id = np.full(count + data, -1, np.int64)
    new_id[kept] = np.arange(len(kept))
    new_id[count:] = np.arange(len(kept), len(kept) + data)
    tables = tuple(
        Table(
            table.operation,
            new_id[table.tasks],
            tuple(renumbered(column, None, new_id) for column in table.columns),
        )
        for table in fused.tables
    )
    return _Left(tables, [_mapped(output, new_id) for output in outputs], KeysOfFused(kept, fused.into, keys))


@dataclass(frozen=True, slots=True)
class _Renumbering:
    new_id: Ids
    """By provisional id; -1 where nothing needs the value."""

    old_tasks: Ids
    old_data: list[int]

    @property
    def task_count(self) -> int:
        return len(self.old_tasks)


def _resolved(keys: Any, lookup: Callable[[Hashable], int]) -> Nested:
    return [_resolved(key, lookup) for key in keys] if isinstance(keys, list) else lookup(keys)


def _mapped(nested: Nested, new_id: Ids) -> Nested:
    return [_mapped(member, new_id) for member in nested] if isinstance(nested, list) else int(new_id[nested])


def _cull(groups: list[Group], draft: Draft, wanted: list[int]) -> _Renumbering:
    """Keep what the outputs need; tasks are numbered in provisional order, data objects after them."""
    edges = _edges(((group.tasks, group.columns) for group in groups), draft.count)
    needed = _reached(edges, np.array(wanted, np.int64), draft.count)
    draft.refuse_absent(needed)
    is_data = np.zeros(draft.count, bool)
    is_data[list(draft.data)] = True
    old_tasks = np.flatnonzero(needed & ~is_data)
    old_data = np.flatnonzero(needed & is_data)
    new_id = np.full(draft.count, -1, np.int64)
    new_id[old_tasks] = np.arange(len(old_tasks))
    new_id[old_data] = np.arange(len(old_tasks), len(old_tasks) + len(old_data))
    return _Renumbering(new_id, old_tasks, [int(old) for old in old_data])


def _edges(bound: Iterable[tuple[Ids, tuple[Column, ...]]], count: int) -> Edges:
    parts = []
    for tasks, columns in bound:
        for column in columns:
            pairs = column.edges()
            if pairs is not None:
                parts.append((tasks[pairs[0]], pairs[1]))
    return _compressed(*concatenated(parts), count)


def _compressed(tasks: Ids, values: Ids, count: int) -> Edges:
    """Sort (task, value) pairs into compressed rows, each value once a task."""
    order = np.lexsort((values, tasks))
    tasks, values = tasks[order], values[order]
    first = np.ones(len(tasks), bool)
    first[1:] = (tasks[1:] != tasks[:-1]) | (values[1:] != values[:-1])
    tasks, values = tasks[first], values[first]
    starts = np.searchsorted(tasks, np.arange(count + 1)).astype(np.int64)
    return Edges(starts, values)


def _reached(edges: Edges, wanted: Ids, count: int) -> NDArray[np.bool_]:
    needed = np.zeros(count, bool)
    needed[wanted] = True
    front = np.unique(wanted)
    while len(front):
        values = edges.ids[_rows(edges.starts, front)]
        front = np.unique(values[~needed[values]])
        needed[front] = True
    return needed


def _rows(starts: Ids, rows: Ids) -> Ids:
    """Return the positions of all entries of some compressed rows."""
    counts = starts[rows + 1] - starts[rows]
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    shift: Ids = np.repeat(starts[rows] - (ends - counts), counts)
    return shift + np.arange(total, dtype=np.int64)


def _tables(
    groups: list[Group],
    renumbering: _Renumbering,
    operations: Operations,
    data: tuple[Any, ...],
    keys: Keys,
) -> tuple[Table, ...]:
    """Return a table for each group that has needed tasks; an error, be it the user's own, names one of them."""
    made = []
    for group in groups:
        tasks = renumbering.new_id[group.tasks]
        rows = None if (tasks >= 0).all() else np.flatnonzero(tasks >= 0)
        if rows is not None and not len(rows):
            continue
        tasks = tasks if rows is None else tasks[rows]
        columns = tuple(renumbered(column, rows, renumbering.new_id) for column in group.columns)
        try:
            tree = normal_form(group.signature)
            made.append(_table(tree, tasks, columns, data, renumbering.task_count, operations))
        except Exception as error:
            error.add_note(
                f"in task {keys(int(tasks[0]))!r} of the graph"
                + (", or one like it" if len(tasks) > 1 else "")
            )
            raise
    return tuple(made)


def _table(
    tree: Node,
    tasks: Ids,
    columns: tuple[Column, ...],
    data: tuple[Any, ...],
    count: int,
    operations: Operations,
) -> Table:
    columns = without_needless_locks(
        tree,
        columns,
        operations.constants,
        len(tasks),
        lambda value: data[value - count] if value >= count else None,
    )
    return Table(operations.of(tree, columns), tasks, columns)


def positions(tables: tuple[Table, ...], count: int) -> tuple[NDArray[np.int32], Ids]:
    """Return in which table, and in which row of it, each of `count` tasks is."""
    table_of = np.zeros(count, np.int32)
    row_of = np.zeros(count, np.int64)
    for number, table in enumerate(tables):
        table_of[table.tasks] = number
        row_of[table.tasks] = np.arange(len(table.tasks))
    return table_of, row_of
