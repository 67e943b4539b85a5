"""Decide which files of a distribution travel.

In: its paths, its recipe, the modules that are wanted in any case. Out: the paths that stay. Pure: the text
of a file comes from a callable.
"""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from graphlambda.packager.installed import module_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphlambda.packager.recipes import Recipe

_METADATA = frozenset({"METADATA", "entry_points.txt", "top_level.txt"})
"""What `importlib.metadata` needs; without it `version("numpy")` fails, and xarray with it."""


def left_out(paths: Sequence[str], recipe: Recipe) -> frozenset[str]:
    """Return the paths that a recipe leaves out when no evidence names them."""
    return frozenset(path for path in paths if _pruned(path, recipe) or _in_parts(path, recipe, ()))


def spared(paths: tuple[str, ...], recipe: Recipe, evidence: Iterable[str]) -> tuple[str, ...]:
    """Return the modules among the evidence that the recipe would leave out: they make a tree of its own."""
    wanted = _lost(paths, recipe).intersection(evidence)
    wanted |= {name for part in recipe.parts for name in part.unless if any(map(_within(name), evidence))}
    return tuple(sorted(wanted))


def kept(
    paths: Sequence[str], recipe: Recipe, wanted: Sequence[str], read: Callable[[str], bytes]
) -> tuple[str, ...]:
    """Return the paths that travel: all but what the recipe leaves out, and what those import of the rest."""
    lost = {path for path in paths if _pruned(path, recipe)}
    dropped = {path for path in paths if _in_parts(path, recipe, wanted)}
    modules = {module: path for path in lost - dropped if (module := module_of(path))}
    stay = set(paths) - lost - dropped
    stay |= _reached(stay, modules, recipe.folders, wanted, read)
    return tuple(sorted(stay))


@lru_cache(maxsize=1024)
def _lost(paths: tuple[str, ...], recipe: Recipe) -> frozenset[str]:
    """Return the modules of what a recipe leaves out; asked for each operation, the same for all."""
    return frozenset(module for path in left_out(paths, recipe) if (module := module_of(path)))


def _pruned(path: str, recipe: Recipe) -> bool:
    *folders, name = path.split("/")
    if folders and folders[0].endswith(".dist-info"):
        return len(folders) > 1 or name not in _METADATA
    if any(fnmatchcase(path, pattern) for pattern in recipe.keep):
        return False
    return path.endswith(recipe.suffixes) or not recipe.folders.isdisjoint(folders[1:])


def _in_parts(path: str, recipe: Recipe, wanted: Sequence[str]) -> bool:
    return any(
        fnmatchcase(path, pattern)
        for part in recipe.parts
        if not set(part.unless) & set(wanted)
        for pattern in part.files
    )


def _within(parent: str) -> Callable[[str], bool]:
    return lambda module: module == parent or module.startswith(f"{parent}.")


def _reached(
    stay: set[str],
    modules: dict[str, str],
    folders: frozenset[str],
    wanted: Sequence[str],
    read: Callable[[str], bytes],
) -> set[str]:
    """Return the paths of pruned modules that files which stay import, and what those import in turn.

    numpy 2.0 to 2.2 import `numpy._core.tests._natype` from `numpy.testing`; botocore imports its `docs`.
    """
    if not modules:
        return set()
    mention = _mention(folder for path in modules.values() for folder in folders & set(path.split("/")[1:-1]))
    found: set[str] = set()
    pending = [path for path in sorted(stay) if path.endswith(".py")]
    asked = list(wanted)
    while pending or asked:
        if pending:
            path = pending.pop()
            asked += _imports(path, None if path in found else mention, read)
        new = {modules[name] for module in asked for name in _lineage(module) if name in modules} - found
        pending += sorted(path for path in new if path.endswith(".py"))
        found |= new
        asked = []
    return found


def _lineage(module: str) -> list[str]:
    parts = module.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _mention(folders: Iterable[str]) -> re.Pattern[bytes]:
    """Match an import statement that names one of the folders: few files do, and parsing all takes seconds."""
    names = "|".join(sorted({re.escape(folder) for folder in folders}))
    line = rf"^[ \t]*(?:from|import)\b[^\n]*\b(?:{names})\b"
    lines = rf"\bimport\s*\([^)]*\b(?:{names})\b"
    return re.compile(f"{line}|{lines}".encode(), re.MULTILINE)


def _imports(path: str, mention: re.Pattern[bytes] | None, read: Callable[[str], bytes]) -> list[str]:
    source = read(path)
    if mention and not mention.search(source):
        return []
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []  # a template, or another Python's: nobody imports it
    package = (module_of(path) or "").split(".")
    if not path.endswith("__init__.py"):
        package = package[:-1]
    return [name for node in ast.walk(tree) for name in _names(node, package)]


def _names(node: ast.AST, package: list[str]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*above, *([node.module] if node.module else [])])
        return [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return []
