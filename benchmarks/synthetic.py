"""Programs of any size that are made of nothing but columns, for measuring what runs them.

In: a size. Out: a `Program` whose tasks do nothing that anybody knows of. Dask is not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from graphlambda.compiler.program import Constant, Edges, Inputs, Literals, Operation, Program, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.compiler.program import Column, Ids

    Rows: TypeAlias = tuple[Ids, tuple[Column, ...]]
    """A table's tasks and its columns."""


def independent(tasks: int) -> Program:
    """Return tasks that wait for nothing, and of which the last is wanted."""
    return _program([(np.arange(tasks, dtype=np.int64), (Literals(range(tasks)), Constant("c")))], tasks)


def reduction(leaves: int) -> Program:
    """Return leaves, a task on each of them, and these in pairs down to one: three tasks a leaf, nearly."""
    ids = np.arange(3 * leaves - 1, dtype=np.int64)
    joined = ids[leaves:-1]
    tables: list[Rows] = [
        (ids[:leaves], (Literals(range(leaves)),)),
        (ids[leaves : 2 * leaves], (Inputs(ids[:leaves]), Constant(0.5))),
        (ids[2 * leaves :], (Inputs(joined[::2]), Inputs(joined[1::2]))),
    ]
    return _program(tables, len(ids))


def chains(count: int, length: int) -> Program:
    """Return chains that go through two operations in turn, so that no task may follow another in its invocation."""
    ids = np.arange(count * length, dtype=np.int64)
    later = ids[count:]
    odd = later // count % 2 == 1
    tables: list[Rows] = [
        (ids[:count], (Literals(range(count)),)),
        (later[odd], (Inputs(later[odd] - count),)),
        (later[~odd], (Inputs(later[~odd] - count),)),
    ]
    return _program(tables, len(ids), outputs=count)


def _program(tables: Sequence[Rows], tasks: int, *, outputs: int = 1) -> Program:
    """Return the program whose tables hold these tasks; the last `outputs` tasks are wanted."""
    table_of, row_of = np.zeros(tasks, np.int32), np.zeros(tasks, np.int64)
    for number, (ids, _) in enumerate(tables):
        table_of[ids], row_of[ids] = number, np.arange(len(ids))
    wanted = tuple(range(tasks - outputs, tasks))
    return Program(
        tables=tuple(
            Table(
                Operation(id=f"{number:064x}", name=f"op-{number}", source="", ports=len(columns)),
                ids,
                columns,
            )
            for number, (ids, columns) in enumerate(tables)
        ),
        table_of=table_of,
        row_of=row_of,
        data=(),
        edges=_edges(tables, tasks),
        outputs=wanted,
        wanted=wanted,
        finish=list,
        key=lambda task: ("t", task),
    )


def _edges(tables: Sequence[Rows], tasks: int) -> Edges:
    pairs = [
        (ids[edges[0]], edges[1])
        for ids, columns in tables
        for column in columns
        if (edges := column.edges())
    ]
    readers = np.concatenate([np.empty(0, np.int64), *(readers for readers, _ in pairs)])
    values = np.concatenate([np.empty(0, np.int64), *(values for _, values in pairs)])
    order = np.lexsort((values, readers))
    starts = np.concatenate([[0], np.cumsum(np.bincount(readers, minlength=tasks))]).astype(np.int64)
    return Edges(starts, values[order])
