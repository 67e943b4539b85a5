"""Tasks of one operation that are to run on functions with different settings become tasks of several operations.

In: a program, what its tasks were annotated with. Out: the same tasks; by operation id, what was said of it. Must not
change what an operation does: only its id tells one of these from another.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.marks import settings_of
from graphlambda.compiler.program import Table
from graphlambda.compiler.split import positions

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from graphlambda.compiler.marks import Mark
    from graphlambda.compiler.program import Operation, Program


def set_apart(program: Program, marks: Mapping[Hashable, Mark]) -> Program:
    """Return a program in which each operation has the settings of all its tasks; where nothing was said, as it is.

    Raises:
        RefusedError: what is done in one was annotated with settings that contradict each other.
    """
    said = [json.dumps(settings_of(task, program, marks), sort_keys=True) for task in _tasks(program, marks)]
    if not any(words != _NOTHING for words in said):
        return program
    of_operation: dict[str, set[str]] = {}
    for table in program.tables:
        of_operation.setdefault(table.operation.id, set()).update(said[task] for task in table.tasks.tolist())
    given: dict[str, Mapping[str, Any]] = {}
    tables = []
    for table in program.tables:
        is_mixed = len(of_operation[table.operation.id]) > 1
        for part, words in _parts(table, said, is_mixed=is_mixed):
            tables.append(part)
            if words != _NOTHING:
                given[part.operation.id] = json.loads(words)
    table_of, row_of = positions(tuple(tables), program.task_count)
    return replace(program, tables=tuple(tables), table_of=table_of, row_of=row_of, given=given)


_NOTHING = "{}"


def _tasks(program: Program, marks: Mapping[Hashable, Mark]) -> range:
    """Return the tasks to look at: none where nobody said anything."""
    return range(program.task_count if marks else 0)


def _parts(table: Table, said: list[str], *, is_mixed: bool) -> Iterator[tuple[Table, str]]:
    """Yield the tables that a table becomes, each with what was said of its tasks, in the order in which they are met."""
    words = [said[task] for task in table.tasks.tolist()]
    for each in dict.fromkeys(words):
        rows = np.array([row for row, of_row in enumerate(words) if of_row == each], np.int64)
        operation = _apart(table.operation, each) if is_mixed and each != _NOTHING else table.operation
        columns = (
            table.columns if len(rows) == len(words) else tuple(each.take(rows) for each in table.columns)
        )
        yield Table(operation, table.tasks[rows], columns), each


def _apart(operation: Operation, words: str) -> Operation:
    """Return an operation that does the same under another id."""
    return replace(operation, id=hashlib.sha256(f"{operation.id} {words}".encode()).hexdigest())
