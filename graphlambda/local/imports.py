"""What a function imports when it starts, told from its byte code.

In: an unzipped package, its handler, the merged layers. Out: names of modules that lie in layers or the standard
library. Must not run anything, and name nothing that a function might not import: only what a module imports before
its first branch counts.
"""

from __future__ import annotations

import dis
import importlib.util
import itertools
import marshal
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import CodeType

_MODULES = 256
"""A package with more modules of its own is not looked through."""

_HEADER_BYTES = 16
"""What comes before the code in a `.pyc`."""

_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})


@dataclass(frozen=True, slots=True)
class Imports:
    """What a function surely imports."""

    layers: tuple[str, ...]
    """Modules of layers, sorted."""

    library: tuple[str, ...]
    """Modules of the standard library, sorted."""


def imports_of(task: Path, handler: str, layers: Path | None, runtime: Path) -> Imports | None:
    """Return what a function imports; None where a module of its own stands before another of the same name.

    Its handler's module and the modules beside it are looked at, and what they import from the package; `user/` is
    where our runtime finds the user's own modules.
    """
    sites = [] if layers is None else _sites(layers)
    theirs = _tops(sites)
    if _tops([task, task / "user"]) & (sys.stdlib_module_names | theirs | _tops([runtime])):
        return None
    ours = {**_modules(task / "user"), **_modules(task)}
    waiting = [
        handler.rpartition(".")[0].replace("/", "."),
        *(name for name, file in ours.items() if file.parent == task),
    ]
    seen: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in ours and name not in seen:
            package = name if ours[name].stem == "__init__" else name.rpartition(".")[0]
            waiting += _imported(_code(ours[name]), package)
        seen.add(name)
    tops = {name: name.partition(".")[0] for name in seen}
    return Imports(
        tuple(sorted(name for name, top in tops.items() if top in theirs and _is_there(name, sites))),
        tuple(sorted(name for name, top in tops.items() if name == top in sys.stdlib_module_names - theirs)),
    )


def _modules(folder: Path) -> dict[str, Path]:
    """Return the Python modules of a folder by their full names; none if it holds more than a package is worth."""
    found: dict[str, Path] = {}
    for path, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name.isidentifier()]
        above = Path(path).relative_to(folder).parts
        for name in names:
            stem, _, kind = name.partition(".")
            if kind in {"py", "pyc"} and stem.isidentifier():
                found[".".join(above if stem == "__init__" else (*above, stem))] = Path(path, name)
        if len(found) > _MODULES:
            return {}
    return found


def _code(file: Path) -> CodeType:
    """Return a module's code; what cannot be read imports nothing, and fails where it is imported."""
    cached = file if file.suffix == ".pyc" else file.parent / importlib.util.cache_from_source(file.name)
    try:
        if cached.is_file():
            code: CodeType = marshal.loads(cached.read_bytes()[_HEADER_BYTES:])
            return code
        return compile(file.read_bytes(), file.name, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, EOFError, TypeError):
        return compile("", file.name, "exec")


@lru_cache(maxsize=1024)
def _imported(code: CodeType, package: str) -> tuple[str, ...]:
    """Return what a module imports before its first branch, with what may be modules among its names."""
    steps = itertools.takewhile(lambda step: step.opcode not in _JUMPS, dis.get_instructions(code))
    return tuple(_statements([step for step in steps if step.opname != "EXTENDED_ARG"], package))


def _statements(steps: Sequence[dis.Instruction], package: str) -> Iterator[str]:
    for position, step in enumerate(steps):
        if step.opname != "IMPORT_NAME":
            continue
        level, names = steps[position - 2].argval, steps[position - 1].argval
        above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        name = ".".join([*above, *([step.argval] if step.argval else [])])
        yield name
        yield from (f"{name}.{member}" for member in names or () if member != "*")


def _is_there(name: str, sites: Iterable[Path]) -> bool:
    """Return whether a module lies in layers; a name in a module is none."""
    path = name.replace(".", "/")
    places = [site / f"{path}{suffix}" for site in sites for suffix in ("", ".py", ".pyc")]
    return any(place.exists() for place in places) or any(
        next(site.glob(f"{path}.*.so"), None) for site in sites
    )


def _sites(layers: Path) -> list[Path]:
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return [layers / "python" / "lib" / version / "site-packages", layers / "python"]


def _tops(folders: Iterable[Path]) -> frozenset[str]:
    """Return what can be imported from folders by a name without dots."""
    return frozenset(
        path.name.partition(".")[0]
        for folder in folders
        if folder.is_dir()
        for path in folder.iterdir()
        if path.is_dir() or path.suffix in {".py", ".pyc", ".so"}
    )
