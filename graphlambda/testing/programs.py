"""Programs made by hand, for tests of what runs them; and random ones.

In: tasks as (operation, arguments). Out: a `Program`, and what it gives when its operations are plain callables.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import getitem
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from hypothesis import strategies as st

from graphlambda.compiler.program import (
    Constant,
    Edges,
    Gather,
    Input,
    Literal,
    Mixed,
    Nested,
    Operation,
    Program,
    Table,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphlambda.compiler.program import Binding

Task: TypeAlias = "tuple[Any, ...]"
"""(operation's name, one argument a port): bindings, or anything else as a literal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sums:
    """Operations for tests, by name: each port's value, lists flattened, added up; `f` to `i` are alike.

    `halves` gives a list of two numbers, of which `pick` is a projection.
    """

    names: tuple[str, ...] = ("f", "g", "h", "i")

    def callables(self) -> dict[str, Callable[..., Any]]:
        """Return what each function calls, by function name."""
        return {f"gl-{name}": total for name in self.names} | {"gl-halves": halves, "gl-pick": getitem}


PICK = """
from _operator import getitem


def operation(p0, p1):
    v0 = getitem(p0, p1)
    return v0
"""


def halves(*arguments: Any) -> list[int]:
    """Return what `total` would in two parts."""
    whole = total(*arguments)
    return [whole // 2, whole - whole // 2]


def total(*arguments: Any) -> int:
    """Add up all integers in nested lists."""
    return 1 + sum(total(*part) - 1 if isinstance(part, list) else part for part in arguments)


def program_of(
    tasks: Sequence[Task],
    outputs: Sequence[Nested],
    *,
    data: Sequence[Any] = (),
    constants: dict[str, dict[int, Any]] | None = None,
) -> Program:
    """Return the program of some tasks; task t is `tasks[t]`, data object i is value `len(tasks) + i`.

    `constants` says, by operation and port, which literal is the same in all tasks: those say None there.
    """
    names = sorted({task[0] for task in tasks})
    rows = {name: [t for t, task in enumerate(tasks) if task[0] == name] for name in names}
    tables = [_table(name, rows[name], tasks, (constants or {}).get(name, {})) for name in names]
    table_of, row_of = np.zeros(len(tasks), np.int32), np.zeros(len(tasks), np.int64)
    for number, name in enumerate(names):
        table_of[rows[name]] = number
        row_of[rows[name]] = np.arange(len(rows[name]))
    return Program(
        tables=tuple(tables),
        table_of=table_of,
        row_of=row_of,
        data=tuple(data),
        edges=edges_of([_needed(task) for task in tasks]),
        outputs=tuple(outputs),
        wanted=tuple(outputs),
        finish=lambda values: values,
        key=lambda task: ("t", task),
    )


def edges_of(inputs: Sequence[Sequence[int]]) -> Edges:
    """Return the edges of tasks that need these values."""
    rows = [sorted(set(row)) for row in inputs]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Edges(starts, np.array([value for row in rows for value in row], np.int64))


def functions_of(program: Program) -> dict[str, str]:
    """Return a function's name for each operation."""
    return {table.operation.id: f"gl-{table.operation.name}" for table in program.tables}


def values_by_hand(program: Program, operations: dict[str, Callable[..., Any]]) -> list[Any]:
    """Return the outputs, computed one task after the other by the plainest means."""
    values: dict[int, Any] = {program.task_count + i: value for i, value in enumerate(program.data)}

    def value(ids: Nested) -> Any:
        if not isinstance(ids, int):
            return [value(part) for part in ids]
        if ids not in values:
            function = functions_of(program)[program.tables[program.table_of[ids]].operation.id]
            values[ids] = operations[function](*(bound(binding) for binding in program.bindings(ids)))
        return values[ids]

    def bound(binding: Binding) -> Any:
        if isinstance(binding, Input):
            return value(binding.id)
        return value(binding.ids) if isinstance(binding, Gather) else binding.value

    return [value(output) for output in program.outputs]


@st.composite
def programs(draw: st.DrawFn, most_tasks: int = 24) -> Program:
    """Draw a program of `Sums` operations: shared inputs, nested lists, data objects, several outputs."""
    count = draw(st.integers(1, most_tasks))
    data = draw(st.lists(st.integers(-5, 5), max_size=3))
    tasks: list[Task] = []
    for task in range(count):
        known = [*range(task), *range(count, count + len(data))]
        pairs = [number for number, made in enumerate(tasks) if made[0] == "halves"]
        name = draw(st.sampled_from([*Sums().names, "halves", *(["pick"] * 4 if pairs else [])]))
        if name == "pick":
            tasks.append((name, Input(draw(st.sampled_from(pairs))), draw(st.integers(0, 1))))
        else:
            tasks.append((name, *draw(_arguments(known))))
    wanted = draw(st.lists(st.integers(0, count + len(data) - 1), min_size=1, max_size=4))
    return program_of(tasks, [list(wanted), draw(st.sampled_from(wanted))], data=data)


def _arguments(known: list[int]) -> st.SearchStrategy[list[Any]]:
    literals = st.integers(-5, 5)
    if not known:
        return st.lists(literals, max_size=2)
    ids = st.sampled_from(known)
    nested: st.SearchStrategy[list[Any]] = st.lists(st.one_of(ids, st.lists(ids, max_size=3)), max_size=4)
    bound: st.SearchStrategy[Any] = st.one_of(literals, ids.map(Input), nested.map(Gather))
    return st.lists(bound, max_size=3)


def _table(name: str, rows: list[int], tasks: Sequence[Task], constants: dict[int, Any]) -> Table:
    ports = max(len(tasks[row]) - 1 for row in rows)
    source = PICK if name == "pick" else ""
    operation = Operation(id=f"{name}" * 8, name=name, source=source, ports=ports)
    columns = [
        Constant(constants[port])
        if port in constants
        else Mixed(
            tuple(
                _binding(tasks[row][1 + port]) if port < len(tasks[row]) - 1 else Literal(0) for row in rows
            )
        )
        for port in range(ports)
    ]
    return Table(operation, np.array(rows, np.int64), tuple(columns))


def _binding(argument: Any) -> Binding:
    return argument if isinstance(argument, Literal | Input | Gather) else Literal(argument)


def _needed(task: Task) -> list[int]:
    return [value for argument in task[1:] for value in values_of(_binding(argument))]
