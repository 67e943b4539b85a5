"""The recipes of `layers/*.toml`: what of a distribution may be left out, and what proves it.

In: a folder of TOML files. Out: a `Recipe` by distribution. Must not know how files are copied.

`default.toml` holds for every distribution; a file of its own adds to it::

    distribution = "pyarrow"
    proof = ["pyarrow.parquet"]               # must import from the slim tree
    checks = ["assert pyarrow.array([1])…"]   # must run in it: what importing does not show
    [[leave_out]]
    files = ["pyarrow/libarrow_flight.so*"]   # as in fnmatch: `*` crosses slashes
    unless = ["pyarrow.flight"]               # evidence that keeps them
    reason = "…"
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Files of a distribution that most operations can do without."""

    files: tuple[str, ...]
    """Patterns as in fnmatch: `*` crosses slashes."""

    unless: tuple[str, ...]
    """Modules; an operation that names one, or a module below it, gets the files."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a distribution is made small."""

    folders: frozenset[str]
    """Names of folders inside a package that are left out, save the modules that others import."""

    suffixes: tuple[str, ...]
    """Endings of files that only compilers and type checkers read."""

    keep: tuple[str, ...]
    """Patterns of files that stay, whatever `folders` and `suffixes` say."""

    parts: tuple[Part, ...]
    proof: tuple[str, ...]
    """Modules that must import from the slim tree."""

    checks: tuple[str, ...]
    """Statements that must run in it; reviewed, ours, run by tests only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipes:
    """All recipes."""

    default: Recipe
    special: Mapping[str, Recipe]
    """By distribution, its own merged with the default."""

    digest: str
    """SHA-256 of the files and of the code that follows them: what was made by others is made again."""

    def of(self, distribution: str) -> Recipe:
        """Return the recipe of a distribution."""
        return self.special.get(distribution, self.default)


def recipes_folder() -> Path:
    """Return where the recipes are: inside an installed graphlambda, or at the top of a checkout."""
    inside = _HERE / "layers"
    return inside if inside.is_dir() else _HERE.parents[1] / "layers"


@lru_cache(maxsize=4)
def read_recipes(folder: Path) -> Recipes:
    """Return the recipes of a folder."""
    files = {path.stem: path.read_bytes() for path in sorted(folder.glob("*.toml"))}
    parsed = {stem: tomllib.loads(content.decode()) for stem, content in files.items()}
    default = parsed.pop("default")
    return Recipes(
        default=_recipe(default, {}),
        special={own["distribution"]: _recipe(default, own) for own in parsed.values()},
        digest=_digest(files),
    )


def _recipe(default: Mapping[str, Any], own: Mapping[str, Any]) -> Recipe:
    return Recipe(
        folders=frozenset(default["folders"]),
        suffixes=tuple(default["suffixes"]),
        keep=(*default["keep"], *own.get("keep", ())),
        parts=tuple(
            Part(files=tuple(part["files"]), unless=tuple(part["unless"]), reason=part["reason"])
            for part in own.get("leave_out", ())
        ),
        proof=tuple(own.get("proof", ())),
        checks=tuple(own.get("checks", ())),
    )


def _digest(files: Mapping[str, bytes]) -> str:
    code = {path.name: path.read_bytes() for path in sorted(_HERE.rglob("*.py"))}
    digest = hashlib.sha256()
    for name, content in (*files.items(), *code.items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()
