"""By-value code: what `operation.py` asks for by name, and how it becomes functions again.

In: `code.bin` beside `operation.py`. Out: code objects, classes, functions. Must not call the user's code.

Shipped code has no file names and no line tables: `co_filename` is `<16 digits>`, the fingerprint by
which the client finds the user's own source lines again.
"""

from __future__ import annotations

import builtins
import marshal
import os
import pickle
import sys
import types

_ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes})
"""Nobody can change their instances: most of what small tasks hand on."""

MISSING = object()
"""Stands in a closure for a cell that is empty."""

SENTINELS: dict[str, object] = {}
"""By mark: what stands here for a plain `object()` of the client, of which `is` is all that is ever asked."""


def load(beside: str, *names: str) -> list[object]:
    """Return code objects and un-pickled classes of the `code.bin` that lies beside a file.

    Its bytes are the function's own code: they come from the same zip as this module.
    """
    path = os.path.join(os.path.dirname(beside), "code.bin")  # noqa: PTH118, PTH120  (pathlib costs an import)
    with open(path, "rb") as file:  # noqa: PTH123
        table = marshal.load(file)
    return [_revive(table[name]) for name in names]


def function(
    code: types.CodeType,
    names: dict[str, object],
    defaults: tuple[object, ...] = (),
    keywords: dict[str, object] | None = None,
    closure: tuple[object, ...] = (),
) -> types.FunctionType:
    """Return a function of `code` that sees `names` as its globals."""
    cells = tuple(types.CellType() for _ in code.co_freevars) if code.co_freevars else None
    scope = {"__builtins__": builtins, "__name__": names.get("__name__", "__main__")}
    made = types.FunctionType(code, scope, None, None, cells)
    if names or defaults or keywords or closure:
        fill(made, names, defaults, keywords, closure)
    return made


def fill(
    made: types.FunctionType,
    names: dict[str, object],
    defaults: tuple[object, ...] = (),
    keywords: dict[str, object] | None = None,
    closure: tuple[object, ...] = (),
) -> None:
    """Give a function its globals, defaults and closure: later, where they refer to it."""
    made.__globals__.update(names)
    made.__defaults__ = defaults or None
    made.__kwdefaults__ = keywords or None
    for cell, value in zip(made.__closure__ or (), closure, strict=False):  # none yet: it is filled later
        if value is not MISSING:
            cell.cell_contents = value


def sentinel(mark: str) -> object:
    """Return the one object that has a mark, wherever it was pickled: in a value, a class, a closure."""
    return SENTINELS.setdefault(mark, object())


def module(name: str) -> types.ModuleType:
    """Return a module by its dotted name; `import a.b` alone would bind `a`."""
    __import__(name)
    return sys.modules[name]


def compose(first: types.FunctionType, *rest: types.FunctionType) -> object:
    """Return a callable that calls `first` and hands its result through the others."""

    def composed(*args: object, **keywords: object) -> object:
        value = first(*args, **keywords)
        for following in rest:
            value = following(value)
        return value

    return composed


def method(name: str) -> object:
    """Return a callable that calls a method of its first argument."""

    def call(receiver: object, *args: object, **keywords: object) -> object:
        return getattr(receiver, name)(*args, **keywords)

    return call


def own(value: object) -> object:
    """Return a value as another task would get it, to do with as it likes: between two operations that are one here."""
    if type(value) in _ATOMS:
        return value
    alone = (
        sys.getrefcount(value) == _ALONE
    )  # on a line of its own: a call that is being made refers to it, too
    from .handing import handed  # noqa: PLC0415  (few operations are fused)

    return handed(value, alone=alone)


def _references(value: object) -> int:
    return sys.getrefcount(value)


def _references_of_one_name() -> int:
    value = object()
    return _references(value)  # called as an operation calls `own`


_ALONE = _references_of_one_name()
"""How many references `own` sees where nothing but the one name in its operation holds a value."""


def _revive(entry: object) -> object:
    return pickle.loads(entry) if isinstance(entry, bytes) else entry
