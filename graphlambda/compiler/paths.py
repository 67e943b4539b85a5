"""Local paths that a graph names: local functions see them, a deployment on AWS refuses them.

In: the literals of columns and data objects. Out: absolute folders and files that exist here. Must not open
any of them.
"""

from __future__ import annotations

import os
import pickletools
from itertools import chain
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.constants import dumps
from graphlambda.compiler.program import Column, Constant, Kept, Literal, Literals, Mixed
from graphlambda.compiler.walk import is_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_ROWS = 100_000
_LONGEST = 4096
"""A longer text is no path."""

_OPENED: frozenset[type] = frozenset({tuple, list})
_NAMELESS = _OPENED | {int, float, complex, bool, type(None), slice, range, np.int64, np.float64}
"""What holds no text itself: columns of such are told apart at C speed."""

_DEEPEST = 8
"""What is nested deeper is looked at one by one."""


def local_paths(columns: Iterable[Column], data: Iterable[Any]) -> tuple[str, ...]:
    """Return the folders to see: of each named file its own, of each named folder itself; sorted."""
    named: set[str] = set()
    for column in columns:
        for literal in _literals(column):
            named.update(filter(_is_absolute, texts_in(literal)))
    for value in data:
        if not isinstance(value, Kept) and type(value).__module__.split(".")[0] not in ("numpy", "pandas"):
            named.update(filter(_is_absolute, texts_in(value)))
    folders = {_folder(Path(text.removeprefix("file://"))) for text in named}
    return tuple(sorted(folder for folder in folders if folder is not None))


def _literals(column: Column) -> Iterator[Any]:
    if isinstance(column, Constant):
        yield column.value
    elif isinstance(column, Literals):
        rows = [column.values[row] for row in range(min(len(column.values), _MOST_ROWS))]
        if may_name(rows):
            yield from rows
    elif isinstance(column, Mixed):
        yield from (binding.value for binding in column.bindings if isinstance(binding, Literal))


def may_name(literals: list[Any]) -> bool:
    """Tell, many at a time, whether there may be a text in literals, or in tuples and lists of them."""
    for _level in range(_DEEPEST):
        kinds = set(map(type, literals))
        if not kinds <= _NAMELESS:
            return True
        if kinds.isdisjoint(_OPENED):
            return False
        literals = list(chain.from_iterable(each for each in literals if type(each) in _OPENED))
    return True


def _is_absolute(text: str) -> bool:
    return (
        text.startswith(("/", "file:///")) and len(text) < _LONGEST and "\0" not in text and "\n" not in text
    )


def _folder(path: Path) -> str | None:
    """Return what to show for a path: itself or its parent, never a whole root or home."""
    try:
        shown = path if path.is_dir() else path.parent
        if not shown.is_dir():
            return None
    except OSError:
        return None
    text = os.path.normpath(shown)
    return None if text in ("/", str(Path.home()), "/tmp", "/usr", "/etc") else text  # noqa: S108  (not used as one)


def texts_in(literal: Any) -> Iterator[str]:
    """Yield the texts in a literal; of an object, those in its pickle."""
    waiting, met = [literal], set()
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, PurePath):
            yield str(each)
        elif isinstance(each, list | tuple | set | frozenset | dict):
            if id(each) not in met:  # one that holds itself is looked at once
                met.add(id(each))
                waiting += [*each.keys(), *each.values()] if isinstance(each, dict) else each
        elif not is_plain((each,)) and _may_hold_texts(type(each)):
            yield from _texts_of_pickle(each)


def _texts_of_pickle(thing: Any) -> Iterator[str]:
    return (argument for _, argument, _ in pickletools.genops(dumps(thing)) if isinstance(argument, str))


def _may_hold_texts(kind: type) -> bool:
    return str(kind.__module__).split(".")[0] not in ("numpy", "pandas", "builtins")
