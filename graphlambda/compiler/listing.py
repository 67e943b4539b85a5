"""A program as text.

In: a program. Out: its operations, for people. Must not show a value.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from graphlambda.compiler.projections import called_operations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.compiler.program import Fusion, Operation, Program


def listed(program: Program) -> str:
    """List the operations: name, id, tasks, requirements, source."""
    counts: Counter[str] = Counter()
    for table in program.tables:
        counts[table.operation.id] += len(table.tasks)
    operations = {table.operation.id: table.operation for table in program.tables}
    called = {operation.id for operation in called_operations(program)}
    lines = [f"Program: {program.task_count:,} tasks, {len(operations)} operations"]
    for operation in operations.values():
        needs = _needs(operation, program) if operation.id in called else _PICKED
        lines += ["", f"{operation.name}  {operation.id[:12]}  {counts[operation.id]:,} tasks  {needs}"]
        lines += _source(operation)
    if program.fusions:
        lines += ["", "Fused, where a task only fed one other:", *map(_fusion, program.fusions)]
    return "\n".join(lines)


_PICKED = "need no function: they are done where the value is made that they pick from"


def _needs(operation: Operation, program: Program) -> str:
    return "needs " + (", ".join(program.requirements.get(operation.id, ())) or "nothing but Python")


def _fusion(fusion: Fusion) -> str:
    return f"    {fusion.first}, then {fusion.then}: {fusion.tasks:,} tasks ({fusion.why})"


def _source(operation: Operation) -> Iterator[str]:
    return (f"    {line}".rstrip() for line in operation.source.splitlines())
