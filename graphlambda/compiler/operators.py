"""Python's operators, for calls of what the module `operator` names: `sin(p0) * p1 + p2` instead of three lines.

In: a node of a tree. Out: the operator that it applies. Must not write text.

This is more than spelling: what only an expression holds is let go as soon as it was used, and NumPy computes large
intermediate results in place where nobody else can see them. A chain of ufuncs on large arrays takes a third less time.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from graphlambda.compiler.constants import Import
from graphlambda.compiler.trees import Call, Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.compiler.constants import CodeConstant
    from graphlambda.compiler.trees import Node

_BINARY = {
    "add": "+", "and_": "&", "eq": "==", "floordiv": "//", "ge": ">=", "gt": ">", "le": "<=", "lshift": "<<", "lt": "<",
    "matmul": "@", "mod": "%", "mul": "*", "ne": "!=", "or_": "|", "pow": "**", "rshift": ">>", "sub": "-",
    "truediv": "/", "xor": "^",
}  # fmt: skip
_UNARY = {"inv": "~", "invert": "~", "neg": "-", "pos": "+"}
_BY_ARGUMENTS = MappingProxyType({1: _UNARY, 2: _BINARY})
_MODULES = frozenset({"_operator", "operator"})


def applied_by(node: Node, constants: Sequence[CodeConstant]) -> tuple[str, str] | None:
    """Return the operator that a node applies to its arguments, and the name of that in `operator`; None for all else."""
    if not isinstance(node, Call) or node.keywords or not isinstance(node.called, Code):
        return None
    constant = constants[node.called.constant]
    if not isinstance(constant, Import) or constant.module not in _MODULES:
        return None
    symbol = _BY_ARGUMENTS.get(len(node.arguments), {}).get(constant.name)
    return (symbol, constant.name) if symbol else None
