"""What was set on a function that its code alone does not give.

In: functions. Out: attributes by name. Must not run any of it.

Decorators leave such things (`functools.wraps`: `__wrapped__`, names, the docstring), and so does
`f.limit = 5`. Most functions have none of it.
"""

from __future__ import annotations

import types
from functools import lru_cache
from typing import Any


def extras(function: types.FunctionType) -> dict[str, Any]:
    """Return what `setattr` has to set on a function that is made from its code, in a stable order."""
    code = function.__code__
    found: dict[str, Any] = {}
    if function.__name__ != code.co_name:
        found["__name__"] = function.__name__
    if function.__qualname__ != code.co_qualname:
        found["__qualname__"] = function.__qualname__
    if function.__doc__ != _docstring(code):
        found["__doc__"] = function.__doc__
    if function.__module__ != function.__globals__.get("__name__", "__main__"):
        found["__module__"] = function.__module__
    if function.__annotations__:
        found["__annotations__"] = function.__annotations__
    return {**found, **function.__dict__}


@lru_cache(maxsize=4096)
def _docstring(code: types.CodeType) -> str | None:
    """Return the docstring that a function of this code is made with."""
    return types.FunctionType(code, {}, closure=tuple(types.CellType() for _ in code.co_freevars)).__doc__


_READERS = frozenset({"__annotations__", "get_annotations", "get_type_hints", "getfullargspec", "signature"})


@lru_cache(maxsize=4096)
def reads_annotations(code: types.CodeType) -> bool:
    """Tell whether code, or code inside it, names what gives a function's annotations."""
    return not _READERS.isdisjoint(code.co_names) or any(
        reads_annotations(const) for const in code.co_consts if isinstance(const, types.CodeType)
    )
