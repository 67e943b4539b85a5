"""Find state that functions by value would share here and not in a function of Lambda.

In: the functions by value that a graph reaches. Out: nothing, or `RefusedError` before anything runs. Must not call
them.

Each function travels with globals and closure cells of its own. That is right for whoever reads them. Where one
function writes a global or a `nonlocal` that another one uses, the other would never see it.
"""

from __future__ import annotations

import dis
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    import types
    from collections.abc import Sequence

_WRITES = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF"})


class Sharing:
    """Who uses which global or cell, and who writes it."""

    def __init__(self) -> None:
        self._users: dict[Any, set[int]] = {}
        self._writers: dict[Any, tuple[str, str]] = {}

    def note(self, function: types.FunctionType, names: Sequence[str]) -> None:
        """Note a function and the globals that it names."""
        code = function.__code__
        written = written_names(code)
        for name in names:
            self._use((id(function.__globals__), name), id(code), name, function, written)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            self._use(id(cell), id(function), name, function, written)

    def refuse(self) -> None:
        """Raise for state that one function writes and another uses.

        Raises:
            RefusedError: names both, and the remedy.
        """
        for key, (writer, name) in self._writers.items():
            if len(self._users[key]) > 1:
                raise RefusedError(
                    f"{writer} writes the variable {name!r}, which another function of the graph uses, too: each has its "
                    "own in a function of Lambda",
                    "Return the new value instead of writing it, or move both functions into a module of your own "
                    "and call them through it (`import helpers; helpers.f(x)`).",
                )

    def _use(self, key: Any, user: int, name: str, function: Any, written: frozenset[str]) -> None:
        self._users.setdefault(key, set()).add(user)
        if name in written:
            self._writers[key] = (function.__qualname__, name)


@lru_cache(maxsize=4096)
def written_names(code: types.CodeType) -> frozenset[str]:
    """Return the globals and outer variables that a code object, or one inside it, writes."""
    outer = {*code.co_freevars}
    found = {
        step.argval
        for step in dis.get_instructions(code)
        if step.opname in _WRITES and (step.opname.endswith("GLOBAL") or step.argval in outer)
    }
    for const in code.co_consts:
        if hasattr(const, "co_code"):
            found |= {name for name in written_names(const) if name not in code.co_cellvars}
    return frozenset(found)
