"""Split: from a draft to a Program, with one operation for all tasks that run the same code.

In: a draft, the walker's code constants, the keys wanted. Out: a Program, culled to what the outputs
need, tasks renumbered 0 … n - 1. Must not know Dask, packaging, AWS or time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.columns import concatenated, renumbered
from graphlambda.compiler.emit import emit
from graphlambda.compiler.evidence import value_modules, with_evidence
from graphlambda.compiler.exclusion import without_needless_locks
from graphlambda.compiler.normal import Node, constants_in, normal_form, operation_id
from graphlambda.compiler.paths import local_paths
from graphlambda.compiler.program import Column, Edges, Ids, Nested, Operation, Program, Table, flat
from graphlambda.compiler.words import words_of_code, words_of_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from numpy.typing import NDArray

    from graphlambda.compiler.constants import CodeConstant
    from graphlambda.compiler.draft import Block, Draft, Group

_DULL_WORDS = frozenset({"getitem", "apply", "partial", "_getitem", "operator"})
_NAME_LENGTH = 32


def split(
    draft: Draft, constants: list[CodeConstant], outputs: list[Any], finish: Callable[[list[Any]], Any]
) -> Program:
    """Return the program that computes `outputs` (keys in nested lists)."""
    wanted = [_resolved(output, draft.lookup) for output in outputs]
    groups = list(draft.groups())
    renumbering = _cull(groups, draft, flat(wanted))
    data = tuple(draft.data[old] for old in renumbering.old_data)
    keys = Keys(renumbering.old_tasks, draft.keys(), draft.blocks())
    tables = _tables(groups, renumbering, constants, data, keys)
    table_of, row_of = _positions(tables, renumbering.task_count)
    return Program(
        tables=with_evidence(tables, table_of, data),
        table_of=table_of,
        row_of=row_of,
        data=data,
        edges=_edges(((table.tasks, table.columns) for table in tables), renumbering.task_count),
        outputs=tuple(_mapped(output, renumbering.new_id) for output in wanted),
        wanted=tuple(outputs),
        finish=finish,
        paths=local_paths((column for table in tables for column in table.columns), data),
        key=keys,
    )


class Keys:
    """The Dask key of a task, by id."""

    def __init__(self, old: Ids, walked: dict[int, Hashable], blocks: list[Block]) -> None:
        self._old = old
        self._walked = walked
        self._blocks = blocks
        self._firsts = np.array([block.first for block in blocks], np.int64)

    def __call__(self, task: int) -> Hashable:
        """Return the key of one task."""
        old = int(self._old[task])
        known = self._walked.get(old)
        if known is not None:
            return known
        block = self._blocks[int(np.searchsorted(self._firsts, old, side="right")) - 1]
        position = np.unravel_index(old - block.first, block.shape) if block.shape else ()
        return (block.name, *(int(part) for part in position))


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
    constants: list[CodeConstant],
    data: tuple[Any, ...],
    keys: Keys,
) -> tuple[Table, ...]:
    """Return a table for each group that has needed tasks; an error, be it the user's own, names one of them."""
    made = []
    operations: dict[str, Operation] = {}
    for group in groups:
        tasks = renumbering.new_id[group.tasks]
        rows = None if (tasks >= 0).all() else np.flatnonzero(tasks >= 0)
        if rows is not None and not len(rows):
            continue
        tasks = tasks if rows is None else tasks[rows]
        columns = tuple(renumbered(column, rows, renumbering.new_id) for column in group.columns)
        try:
            made.append(
                _table(normal_form(group.signature), tasks, columns, constants, data, renumbering, operations)
            )
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
    constants: list[CodeConstant],
    data: tuple[Any, ...],
    renumbering: _Renumbering,
    operations: dict[str, Operation],
) -> Table:
    count = renumbering.task_count
    columns = without_needless_locks(
        tree,
        columns,
        constants,
        len(tasks),
        lambda value: data[value - count] if value >= count else None,
    )
    return Table(_operation(tree, columns, constants, operations), tasks, columns)


def _operation(
    tree: Node,
    columns: tuple[Column, ...],
    constants: list[CodeConstant],
    known: dict[str, Operation],
) -> Operation:
    number = operation_id(tree, constants)
    if number not in known:
        emitted = emit(tree, len(columns), constants, f"Operation {number[:12]}, as graphlambda compiled it.")
        known[number] = Operation(
            id=number,
            name=_name(emitted.words),
            source=emitted.source,
            ports=len(columns),
            code=emitted.code,
            imports=emitted.imports,
            words=tuple(sorted(words_of_code(constants[each] for each in set(constants_in(tree))))),
        )
    more = {*known[number].value_imports, *value_modules(columns)}
    words = {*known[number].words, *words_of_columns(columns)}
    known[number] = replace(known[number], value_imports=tuple(sorted(more)), words=tuple(sorted(words)))
    return known[number]


def _name(words: tuple[str, ...]) -> str:
    telling = [
        re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words if word not in _DULL_WORDS
    ]
    telling = list(dict.fromkeys(word for word in telling if word)) or ["collect"]
    name = telling.pop()
    while telling and len(telling[-1]) + 1 + len(name) <= _NAME_LENGTH and name.count("-") < 4:
        name = f"{telling.pop()}-{name}"
    return name[:_NAME_LENGTH].strip("-")


def _positions(tables: tuple[Table, ...], count: int) -> tuple[NDArray[np.int32], Ids]:
    table_of = np.zeros(count, np.int32)
    row_of = np.zeros(count, np.int64)
    for number, table in enumerate(tables):
        table_of[table.tasks] = number
        row_of[table.tasks] = np.arange(len(table.tasks))
    return table_of, row_of
