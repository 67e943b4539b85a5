"""Projections: tasks that only pick a part of one other task's value, and so need no function of their own.

In: a program. Out: its projections, and whose value each is a part of. Derived from what an operation says, so that no
id depends on it and a program from a file has them, too. Must not run anything.

A projection is done by our runtime, in any function that can hold the value: that of the task which makes it. So the
task must be one of this program, and what is picked by must be a literal that this function can un-pickle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.evidence import value_modules
from graphlambda.compiler.program import Constant, Ids, Input, Inputs, Literal, Literals, Mixed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler.program import Column, Operation, Program, Table

_PICKERS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "from _operator import getitem|getitem(p0, p1)": ("item", ()),
    "from graphlambda_kernels.chunk import getitem|getitem(p0, p1)": ("block", ()),
    "from builtins import dict as dict_2 dict_get = dict_2.get|dict_get(p0, p1, {})": ("get", ({},)),
}
"""What an operation imports and calls: how our runtime names it, and what stands in its text alone."""


@dataclass(frozen=True, slots=True)
class Picker:
    """How a projection picks."""

    name: str
    """One of `runtime.picking.PICKERS`."""

    rest: tuple[Any, ...]
    """Its last arguments, which the operation's text spells out."""


@dataclass(frozen=True, slots=True)
class Projections:
    """The projections of a program."""

    pickers: Mapping[int, Picker]
    """By table: all its tasks are projections."""

    home_of: Ids
    """By task: the task whose value it is a part of, a part of a part, …; itself where it is no projection. Empty
    where the program has no projection."""

    def home(self, task: int) -> int:
        """Return the task in whose function a task runs: its own, but for a projection."""
        return int(self.home_of[task]) if len(self.home_of) else task


def picker_of(operation: Operation) -> Picker | None:
    """Return how an operation picks a part of its first input; None where it does anything else."""
    return _picker_in(operation.source)


@lru_cache(maxsize=1024)
def _picker_in(source: str) -> Picker | None:
    head, _, body = source.partition("def operation(p0, p1):")
    imports = " ".join(head.split('"""')[-1].split())
    lines = body.split("\n    ")[1:]
    if len(lines) != 2 or not lines[0].startswith("v0 = ") or lines[1].strip() != "return v0":
        return None
    found = _PICKERS.get(f"{imports}|{lines[0].removeprefix('v0 = ')}")
    return Picker(*found) if found else None


def projections_of(program: Program) -> Projections:
    """Return the projections of a program."""
    tables = program.tables
    sources = {number: found for number, table in enumerate(tables) if (found := _sources(table)) is not None}
    sources = {number: ids for number, ids in sources.items() if (ids < program.task_count).all()}
    while True:
        homes = _homes(program, sources)
        unfit = [number for number in sources if not _fits(program, tables[number], homes)]
        if not unfit:
            break
        for number in unfit:
            del sources[number]
    pickers = {number: picker for number in sources if (picker := picker_of(tables[number].operation))}
    return Projections(pickers, homes)


def called_operations(program: Program) -> tuple[Operation, ...]:
    """Return the operations that need a function, each once, in order: all but those that are only projections."""
    pickers = projections_of(program).pickers
    tables = (table for number, table in enumerate(program.tables) if number not in pickers)
    return tuple({table.operation.id: table.operation for table in tables}.values())


def _sources(table: Table) -> Ids | None:
    """Return the value that each row picks from; None where some row does anything else."""
    if picker_of(table.operation) is None or not all(map(_is_literal, table.columns[1:])):
        return None
    first = table.columns[0]
    if isinstance(first, Inputs):
        return first.ids
    if isinstance(first, Mixed):
        ids = [binding.id for binding in first.bindings if isinstance(binding, Input)]
        return np.array(ids, np.int64) if len(ids) == len(first.bindings) else None
    return None


def _is_literal(column: Column) -> bool:
    if isinstance(column, Mixed):
        return all(isinstance(binding, Literal) for binding in column.bindings)
    return isinstance(column, Constant | Literals)


def _homes(program: Program, sources: Mapping[int, Ids]) -> Ids:
    """Return for each task whose value it is a part of, in the end: half of the way is left after each step."""
    if not sources:
        return np.empty(0, np.int64)
    homes = np.arange(program.task_count, dtype=np.int64)
    for number, ids in sources.items():
        homes[program.tables[number].tasks] = ids
    while not np.array_equal(further := homes[homes], homes):
        homes = further
    return homes


def _fits(program: Program, table: Table, homes: Ids) -> bool:
    """Whether every function in which a table's tasks would run can un-pickle what they pick by."""
    needed = set(value_modules(table.columns[1:]))
    if not needed:
        return True
    makers = (
        program.tables[int(number)].operation for number in np.unique(program.table_of[homes[table.tasks]])
    )
    return all(needed <= {*maker.imports, *maker.value_imports} for maker in makers)
