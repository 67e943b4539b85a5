"""The noun of the packaging benchmark: one callable, and the arguments that it is called with.

In: a callable and arguments. Out: its operation, as the compiler makes it of a delayed call. Must not build.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dask import delayed

import graphlambda
from graphlambda.compiler.program import Input, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda import Program
    from graphlambda.compiler import Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One operation that users meet."""

    name: str
    family: str
    """`array`, `dataframe`, `ml` or `other`: who deploys together."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    imports: tuple[str, ...]
    """Modules that a script with such a call imports: what its environment must hold in a one-image peer."""

    def program(self) -> Program:
        """Return the program of one call."""
        return graphlambda.compile(delayed(self.function)(*self.arguments))


def operation_of(program: Program) -> Operation:
    """Return the one operation of a case's program."""
    (table,) = program.tables
    return table.operation


def bound(program: Program) -> list[Any]:
    """Return what the one task's ports are bound to: literals and data objects."""
    return [_value(binding, program) for binding in program.bindings(0)]


def _value(binding: Any, program: Program) -> Any:
    if isinstance(binding, Literal):
        return binding.value
    assert isinstance(binding, Input)
    return program.data[binding.id - program.task_count]
