"""Which operations a larger graph has that smaller ones had not, and why.

In: the operations of one workload at each scale. Out: the new ones, each with its reason. Must not compile.

The evidence is an operation's own source: the functions that it imports and calls.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.compiler.program import Operation

_REDUCTION = re.compile(r"combine|aggregate|_agg\b|_concatenate2", re.IGNORECASE)
"""Names of functions that join what a level below has made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """An operation that first occurs at a larger scale."""

    scale: int
    name: str
    reason: str


def new_operations(by_scale: Sequence[tuple[int, Sequence[Operation]]]) -> list[New]:
    """Return what each scale adds to all scales before it; the first adds nothing."""
    (_, first), *larger = by_scale
    known = {operation.id: operation for operation in first}
    found: list[New] = []
    for scale, operations in larger:
        added = [operation for operation in operations if operation.id not in known]
        found += [New(scale=scale, name=each.name, reason=reason(each, known.values())) for each in added]
        known |= {each.id: each for each in added}
    return found


def reason(operation: Operation, known: Iterable[Operation]) -> str:
    """Say what sets `operation` apart from those that are known."""
    known_calls = {each.name: called(each.source) for each in known}
    calls = called(operation.source)
    new_calls = calls - set().union(*known_calls.values())
    if new_calls:
        return f"another algorithm of Dask's: it calls {_listed(new_calls)} from this size on"
    if any(_REDUCTION.search(each) for each in calls):
        return f"a reduction level: it joins by {_listed(calls)}"
    like = [name for name, each in known_calls.items() if each == calls]
    return (
        f"as {like[0]}, called in another way"
        if like
        else f"another fusion of Dask's: {_listed(calls)} in one task"
    )


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def called(source: str) -> set[str]:
    """Return the names that an operation imports, and those it loads from its by-value code."""
    return {name for node in ast.walk(ast.parse(source)) for name in _names(node)} - {
        "function",
        "load",
        "method",
    }


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load":
        return [
            each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)
        ]
    return []
