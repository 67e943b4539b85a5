"""The user's local modules as files that travel.

In: names of modules. Out: the files of those that are not installed (their byte code without file names
and line tables, the data files that they name), and the installed modules that they import. Must not
import or run anything: what an import statement would do is read from byte code.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from graphlambda.compiler import code as codes
from graphlambda.compiler import kernels
from graphlambda.compiler.program import LocalFile
from graphlambda.compiler.words import texts_of_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_DATA_FILE_BYTES = 20_000_000
"""Larger data files beside a local module do not travel with it: they belong into a store."""

_WITHOUT_REFERENCES = 2
"""A version of marshal's format. Later ones mark shared objects, and what is shared differs between processes."""

_HEADER = importlib.util.MAGIC_NUMBER + b"\x01\x00\x00\x00" + bytes(8)
"""Of an unchecked hash-based `.pyc`: what lies in an artifact is never compared with a source."""


@dataclass(frozen=True, slots=True)
class _Source:
    """What one module's file says, as long as it does not change."""

    file: LocalFile
    imports: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    """Its constants that may name files beside it, sorted."""


@dataclass(frozen=True, slots=True)
class Module:
    """What one local module brings."""

    files: tuple[LocalFile, ...]
    """Its own, then the data files that it names."""

    imports: tuple[str, ...]
    """What it imports, and the packages around it."""

    texts: tuple[str, ...]
    """Its constants that may name files beside it, sorted."""


@dataclass(frozen=True, slots=True)
class Reached:
    """The user's own files that some modules lead to, and what these lead to in turn."""

    files: tuple[LocalFile, ...]
    """Sorted by path."""

    imports: tuple[str, ...]
    """The installed modules among the modules and what the files import, sorted."""

    texts: frozenset[str]
    """The constants of the files."""


def local_files(modules: Iterable[str], look: Callable[[str], Module | None]) -> Reached:
    """Return the files of local modules and of the local modules they import, and their installed imports.

    `look` is `looked_at`, or what remembers its answers for one compilation.
    """
    files: dict[str, LocalFile] = {}
    installed: set[str] = set()
    texts: set[str] = set()
    seen: set[str] = set()
    waiting = sorted(modules)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        module = look(name)
        if module is None:
            installed.add(name)
            continue
        files.update((file.path, file) for file in module.files)
        texts.update(module.texts)
        waiting.extend(module.imports)
    whole = tuple(files[path] for path in sorted(files))
    return Reached(whole, tuple(sorted(installed)), frozenset(texts))


def looked_at(name: str) -> Module | None:
    """Return what a local module brings, as its files are now; None for installed, built-in and missing ones."""
    path = _file_of(name)
    if path is None:
        return None
    stat = path.stat()
    source = _read(name, path, stat.st_mtime_ns, stat.st_size)
    files = (source.file, *_data_files(source, path))
    return Module(files, (*source.imports, *_parents(name)), source.texts)


def _parents(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _file_of(name: str) -> Path | None:
    """Return where a local module, or one of ours, lies; None for installed, built-in and missing ones."""
    if kernels.is_kernel(name):
        return kernels.file_of(name)
    if name in ("__main__", "__mp_main__") or name.split(".", maxsplit=1)[0] in sys.stdlib_module_names:
        return None
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None) if module is not None else _found(name)
    if file is None or (module is not None and not codes.is_local(name)) or not codes.is_own_file(file):
        return None
    return Path(file)


def _found(name: str) -> str | None:
    """Look for a module that is not imported yet, without importing its parents."""
    spec = codes.find_spec(name)
    return spec.origin if spec is not None and spec.has_location else None


@lru_cache(maxsize=512)
def _read(name: str, path: Path, _mtime_ns: int, _size: int) -> _Source:
    base = name.replace(".", "/") + ("/__init__" if path.name.startswith("__init__.") else "")
    if path.suffix != ".py":  # an extension module travels as it is
        return _Source(LocalFile(path=f"{base}{''.join(path.suffixes)}", content=path.read_bytes()))
    text = path.read_bytes()
    try:
        code = compile(text, str(path), "exec", dont_inherit=True)
    except (SyntaxError, ValueError):  # whoever imports it is told so, and may expect it
        return _Source(LocalFile(path=f"{base}.py", content=text, source=str(path)))
    content = _HEADER + marshal.dumps(codes.stripped(code), _WITHOUT_REFERENCES)
    is_kernel = kernels.is_kernel(name)
    file = LocalFile(path=f"{base}.pyc", content=content, source="" if is_kernel else str(path))
    package = kernels.here(name if path.name == "__init__.py" else name.rpartition(".")[0])
    relative = map(kernels.there, codes.relative_names(code, package))
    imports = (*codes.imported_names(code), *relative)
    if is_kernel:  # reviewed: names no file
        return _Source(file, kernels.needed_by_all(imports))
    return _Source(file, imports, tuple(sorted(texts_of_code(code))))


def _data_files(source: _Source, path: Path) -> list[LocalFile]:
    """Return the files beside a module, and in folders beside it, that its constants name, as they are now."""
    package = PurePosixPath(source.file.path).parent
    beside = path.parent.resolve()
    return [
        LocalFile(path=(package / file.relative_to(beside)).as_posix(), content=file.read_bytes())
        for file in _named(source.texts, beside)
    ]


def _named(texts: Iterable[str], beside: Path) -> list[Path]:
    """Return the data files in a folder that texts name, or that they name in a folder that they name."""
    found: set[Path] = set()
    folders = [beside]
    for folder in folders:
        there = [path for text in texts if os.path.exists(path := os.path.join(folder, text))]  # noqa: PTH110, PTH118  (few are: most of the time goes here)
        for inside in filter(None, (_inside(Path(path), beside) for path in there)):
            if inside.is_dir() and inside not in folders:
                folders.append(inside)
            elif _is_data_file(inside):
                found.add(inside)
    return sorted(found)


def _inside(path: Path, folder: Path) -> Path | None:
    try:
        whole = path.resolve(strict=True)
    except (OSError, ValueError, RuntimeError):
        return None  # a constant that is no file name
    return whole if whole.is_relative_to(folder) else None


def _is_data_file(file: Path) -> bool:
    is_code = file.suffix in (".py", ".pyc")
    return not is_code and file.is_file() and file.stat().st_size <= _DATA_FILE_BYTES
