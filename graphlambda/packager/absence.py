"""What of a distribution does not travel, short enough for a function's manifest, and why.

In: the paths that stay and those that do not, the recipe. Out: by reason, folders of which nothing travels, files,
and endings such as `*.h`. Pure. Must not decide what is left out: that is `prune`'s.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from graphlambda.packager.recipes import Recipe

LeftOut: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]
"""Reasons, sorted, each with what was left out for it, sorted."""

FOLDERS = "tests, examples, documents and headers: nothing that stays imports them"
SUFFIXES = "only compilers, linkers and type checkers read them"
UNASKED = "nothing that the function is known to need asks for it"
"""Where no rule of a recipe names a file."""


def left_out(paths: Iterable[str], stay: Collection[str], recipe: Recipe) -> LeftOut:
    """Return what is left out by reason; metadata, and sources whose byte code stays, do not count."""
    gone = [path for path in paths if not _is_metadata(path) and f"{path}c" not in stay]
    present = {str(parent) for path in stay for parent in PurePosixPath(path).parents}
    ranked: dict[str, tuple[int, str]] = {}
    for path in gone:
        name, why = _topmost(path, present), _reason(path, recipe)
        if name == path and why == (2, SUFFIXES):
            name = f"*{PurePosixPath(path).suffix}"
        ranked[name] = min(why, ranked.get(name, why))
    reasons = sorted({why for _, why in ranked.values()})
    return tuple((why, tuple(sorted(name for name in ranked if ranked[name][1] == why))) for why in reasons)


def _is_metadata(path: str) -> bool:
    return path.partition("/")[0].endswith(".dist-info")


def _topmost(path: str, present: Collection[str]) -> str:
    """Return the outermost folder around a path of which nothing travels, or the path itself."""
    outside = [str(parent) for parent in PurePosixPath(path).parents if str(parent) not in present]
    return outside[-1] if outside and outside[-1] != "." else path


def _reason(path: str, recipe: Recipe) -> tuple[int, str]:
    """Return why a path is left out, after how much the reason tells: a folder has the best of its files."""
    for part in recipe.parts:
        if any(fnmatchcase(path, pattern) for pattern in part.files):
            return 0, part.reason
    if not recipe.folders.isdisjoint(path.split("/")[1:-1]):
        return 1, FOLDERS
    return (2, SUFFIXES) if path.endswith(recipe.suffixes) else (3, UNASKED)
