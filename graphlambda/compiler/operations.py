"""Makes operations, each once: from an expression tree to an `Operation` with its text.

In: trees in normal form, what tasks bind. Out: operations, and what was made by which tree. Must not know tasks.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from graphlambda.compiler.emit import emit
from graphlambda.compiler.evidence import value_modules
from graphlambda.compiler.normal import operation_id
from graphlambda.compiler.program import Operation
from graphlambda.compiler.trees import constants_in
from graphlambda.compiler.words import words_of_code, words_of_columns

if TYPE_CHECKING:
    from graphlambda.compiler.constants import CodeConstant
    from graphlambda.compiler.program import Column
    from graphlambda.compiler.trees import Node

_DULL_WORDS = frozenset({"getitem", "apply", "partial", "_getitem", "operator"})
_NAME_LENGTH = 32


class Operations:
    """The operations of one program in the making; evidence is added as more tasks are seen."""

    def __init__(self, constants: list[CodeConstant]) -> None:
        self.constants = constants
        self.trees: dict[str, Node] = {}
        """By form."""

        self._known: dict[str, Operation] = {}

    def of(self, tree: Node, columns: tuple[Column, ...]) -> Operation:
        """Return the operation of a tree, of which some tasks bind these columns."""
        form = operation_id(tree, self.constants)
        known = self._known.get(form) or self._made(form, tree, len(columns))
        more = {*known.value_imports, *value_modules(columns)}
        words = {*known.words, *words_of_columns(columns)}
        self._known[form] = replace(known, value_imports=tuple(sorted(more)), words=tuple(sorted(words)))
        return self._known[form]

    def _made(self, form: str, tree: Node, ports: int) -> Operation:
        self.trees[form] = tree
        emitted = emit(tree, ports, self.constants, f"Operation {form[:12]}, as graphlambda compiled it.")
        code = (self.constants[each] for each in set(constants_in(tree)))
        return Operation(
            id=form,
            form=form,
            name=_name(emitted.words),
            source=emitted.source,
            ports=ports,
            code=emitted.code,
            imports=emitted.imports,
            words=tuple(sorted(words_of_code(code))),
        )


def _name(words: tuple[str, ...]) -> str:
    telling = [
        re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words if word not in _DULL_WORDS
    ]
    telling = list(dict.fromkeys(word for word in telling if word)) or ["collect"]
    name = telling.pop()
    while telling and len(telling[-1]) + 1 + len(name) <= _NAME_LENGTH and name.count("-") < 4:
        name = f"{telling.pop()}-{name}"
    return name[:_NAME_LENGTH].strip("-")
