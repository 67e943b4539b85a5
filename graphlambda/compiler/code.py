"""Code objects: what identifies them, what they name, how they travel.

In: functions, modules, code objects. Out: fingerprints, import references, stripped code. Must not run
any of it.

A fingerprint covers what decides behaviour (byte code, constants, names, flags) and nothing else: no
file name, no line, no hash order. So a comment deploys nothing and stale code never runs.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import itertools
import linecache
import pickle
import re
import sys
import sysconfig
import types
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import importlib.machinery
    from collections.abc import Callable, Iterable, Iterator

_INSTALLED = tuple(
    str(Path(sysconfig.get_paths()[kind]).resolve())
    for kind in ("purelib", "platlib", "stdlib", "platstdlib")
)
_IMPORTERS = frozenset({"import_module", "__import__"})
"""What code calls to import what a text names: its constants may be that."""

_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_GLOBAL_OPS = frozenset(
    {"LOAD_GLOBAL", "STORE_GLOBAL", "DELETE_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
)

_PLAIN: dict[str, Callable[[Any], Any]] = {
    "__firstlineno__": lambda _line: 1,
    "__static_attributes__": lambda names: tuple(sorted(names)),
}
"""What a class's body sets, by name, and what stands for it: 3.13.0 orders attributes by their hashes."""

_JUMPS = frozenset({*dis.hasjrel, *dis.hasjabs})

CACHED = type(functools.lru_cache(len))
"""Functions that `functools.lru_cache` or `functools.cache` wraps."""

_OF_ITS_FILE = frozenset({"__file__", "__path__", "__spec__", "__loader__"})
"""Globals of a function that only a module has which lies where it was imported from."""

origins: dict[str, types.CodeType] = {}
"""By fingerprint (16 digits), the user's own code object that was met last: remote frames are mapped to lines with it."""

_twins: dict[str, dict[tuple[str, int], types.CodeType]] = {}
"""By fingerprint, all of them by file and first line: code that does the same may stand in several places."""

_UNITS_AN_ENTRY = 8
_ON_FIRST_LINE = 0x80 | 13 << 3
"""An entry of a line table (CPython's Objects/locations.md): no columns, and the step in lines follows."""


def fingerprint(code: types.CodeType) -> str:
    """Return 64 hexadecimal digits that identify what a code object does."""
    return hashlib.sha256(repr(_facts(code)).encode()).hexdigest()


def stripped(code: types.CodeType) -> types.CodeType:
    """Return a code object without file name and lines, and note where it came from."""
    mark = fingerprint(code)[:16]
    origins[mark] = code
    _twins.setdefault(mark, {})[code.co_filename, code.co_firstlineno] = code
    return code.replace(
        co_filename=f"<{mark}>",
        co_firstlineno=1,
        co_linetable=_one_line(len(code.co_code) // 2),
        co_consts=tuple(
            stripped(const) if isinstance(const, types.CodeType) else const for const in _constants(code)
        ),
    )


def locate(place: str, offset: int) -> tuple[str, int, str] | None:
    """Return (file, line, name) of an instruction of shipped code, or None if this process never saw it.

    `place` is the code's file name as shipped: its fingerprint in angle brackets. Of several places with the same code,
    it is the one that was met last; the name says where else the line reads differently.
    """
    mark = place.strip("<>")
    if mark not in origins:
        return None
    file, line, name = _position(origins[mark], offset)
    text = linecache.getline(file, line).strip()
    others = (_position(code, offset) for code in _twins[mark].values())
    told = [
        f", or {who} in {where}:{at}"
        for where, at, who in others
        if linecache.getline(where, at).strip() not in ("", text)
    ]
    return file, line, name + "".join(told)


def _position(code: types.CodeType, offset: int) -> tuple[str, int, str]:
    positions = list(code.co_positions())
    line = positions[offset // 2][0] if 0 <= offset // 2 < len(positions) else None
    return code.co_filename, line or code.co_firstlineno, code.co_qualname


def _one_line(units: int) -> bytes:
    """Return a line table that has all code on its first line; Python's own `traceback` fails where there is none."""
    whole, rest = divmod(units, _UNITS_AN_ENTRY)
    lengths = [_UNITS_AN_ENTRY] * whole + ([rest] if rest else [])
    return b"".join(bytes((_ON_FIRST_LINE | length - 1, 0)) for length in lengths)


@lru_cache(maxsize=4096)
def global_names(code: types.CodeType) -> tuple[str, ...]:
    """Return the global names that a code object and those inside it use, sorted."""
    names = {step.argval for step in dis.get_instructions(code) if step.opname in _GLOBAL_OPS}
    for inner in _inner(code):
        names.update(global_names(inner))
    return tuple(sorted(names))


def imported_names(code: types.CodeType) -> tuple[str, ...]:
    """Return the modules that absolute import statements in a code object name, sorted."""
    return tuple(sorted({name for name, level in _imports(code) if level == 0 and _may_exist(name)}))


def surely_imported(code: types.CodeType) -> tuple[str, ...]:
    """Return the modules that code imports whenever it is called: before its first branch, guarded by nothing; sorted."""
    steps = dis.Bytecode(code)
    blocks = [range(each.start, each.end) for each in steps.exception_entries]  # type: ignore[attr-defined]  # public, yet not in its stubs
    always = [
        step
        for step in itertools.takewhile(lambda step: step.opcode not in _JUMPS, steps)
        if not any(step.offset in block for block in blocks)
    ]
    return tuple(sorted({name for name, level in _statements(always) if level == 0 and _may_exist(name)}))


def relative_names(code: types.CodeType, package: str) -> tuple[str, ...]:
    """Return the modules that relative import statements name, seen from `package`, sorted."""
    found: set[str] = set()
    for name, level in _imports(code):
        if level:
            base = package.rsplit(".", level - 1)[0] if level > 1 else package
            found.add(f"{base}.{name}".rstrip("."))
    return tuple(sorted(name for name in found if _may_exist(name)))


@lru_cache(maxsize=4096)
def _imports(code: types.CodeType) -> tuple[tuple[str, int], ...]:
    """Return (name, level) of import statements; `from a import b` gives `a` and `a.b`."""
    steps = list(dis.get_instructions(code))
    found = set(_statements(steps))
    if any(step.opname.startswith("LOAD_") and step.argval in _IMPORTERS for step in steps):
        found.update(
            (const, 0)
            for const in code.co_consts
            if isinstance(const, str) and _DOTTED.fullmatch(const) and not _is_folder(const)
        )
    for inner in _inner(code):
        found.update(_imports(inner))
    return tuple(sorted(found))


def _statements(steps: Iterable[dis.Instruction]) -> Iterator[tuple[str, int]]:
    """Yield (name, level) of the import statements among instructions."""
    plain = [step for step in steps if step.opname != "EXTENDED_ARG"]
    for position, step in enumerate(plain):
        if step.opname == "IMPORT_NAME":
            level, names = plain[position - 2].argval, plain[position - 1].argval
            level = level if isinstance(level, int) else 0
            yield step.argval, level
            members = names if isinstance(names, tuple) else ()
            yield from ((f"{step.argval}.{name}".lstrip("."), level) for name in members if name != "*")


def _is_folder(name: str) -> bool:
    """Tell whether a word names a plain folder of `sys.path` that nobody has imported: a guess goes no further than that."""
    spec = None if name in sys.modules else find_spec(name)
    return spec is not None and spec.loader is None


@lru_cache(maxsize=8192)
def _may_exist(name: str) -> bool:
    """Tell whether a name can be a module, as far as is known without importing its parents."""
    return name in sys.modules or name in sys.stdlib_module_names or find_spec(name) is not None


def find_spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Look for a module as an import would, editable installs included, without importing its parents."""
    parent = name.rpartition(".")[0]
    path = _path_of(parent) if parent else None
    if parent and path is None:
        return None
    specs = (finder.find_spec(name, path) for finder in sys.meta_path if hasattr(finder, "find_spec"))
    return next((spec for spec in specs if spec is not None), None)


def _path_of(package: str) -> list[str] | None:
    """Return the folders of a package, imported or not."""
    if package in sys.modules:
        path = getattr(sys.modules[package], "__path__", None)
    else:
        spec = find_spec(package)
        path = spec and spec.submodule_search_locations
    try:
        return None if path is None else list(path)
    except KeyError:  # a namespace package within one that is not imported
        return None


def submodules(code: types.CodeType, modules: Iterator[types.ModuleType]) -> tuple[str, ...]:
    """Return submodules that code reaches as attributes of modules: `scipy.linalg` after `import scipy`."""
    found: set[str] = set()
    for module in modules:
        words = set(code.co_names) | {name for inner in _inner(code) for name in inner.co_names}
        prefix = module.__name__ + "."
        found.update(
            name
            for name in tuple(sys.modules)
            if name.startswith(prefix) and words.issuperset(name[len(prefix) :].split("."))
        )
    return tuple(sorted(found))


@lru_cache(maxsize=8192)
def is_local(module: str) -> bool:
    """Tell whether a module is the user's own: `__main__`, or not installed, or installed as editable."""
    if _is_main(module):
        return True
    if module.split(".", maxsplit=1)[0] in sys.builtin_module_names:
        return False
    found = sys.modules.get(module)
    file = getattr(found, "__file__", None)
    if found is None or file is None:
        return found is None or _made_by_hand(found)
    return is_own_file(file) and module.split(".", maxsplit=1)[0] not in sys.stdlib_module_names


def is_own_file(file: str) -> bool:
    """Tell whether a file lies outside everything that an installer or Python itself put there."""
    path = Path(file).resolve()
    if str(path).startswith(_INSTALLED) or "site-packages" in str(path) or "dist-packages" in str(path):
        return False
    roots = _roots(tuple(sys.path), Path.cwd())
    return not any(
        folder in roots
        and path.relative_to(folder).as_posix() in _recorded(folder, folder.stat().st_mtime_ns)
        for folder in path.parents
    )


@lru_cache(maxsize=8)
def _roots(entries: tuple[str, ...], here: Path) -> frozenset[Path]:
    """Return the folders that modules are imported from, seen from `here`."""
    return frozenset((here / entry).resolve() for entry in entries if entry)


@lru_cache(maxsize=64)
def _recorded(folder: Path, _mtime_ns: int) -> frozenset[str]:
    """Return what installers put into a folder, such as that of `pip install --target`."""
    records = sorted(folder.glob("*.dist-info/RECORD"))
    lines = (line for record in records for line in record.read_text(encoding="utf-8").splitlines())
    return frozenset(line.rsplit(",", 2)[0].strip('"') for line in lines)


def import_reference(thing: Any) -> tuple[str, str] | None:
    """Return (module, qualified name) where an installed module gives this very object, else None."""
    if isinstance(thing, types.ModuleType):
        return None if is_local(thing.__name__) else (thing.__name__, "")
    if isinstance(thing, types.MethodDescriptorType | types.WrapperDescriptorType):
        owner = import_reference(thing.__objclass__)
        return owner and (owner[0], f"{owner[1]}.{thing.__name__}")
    name = getattr(thing, "__qualname__", None) or getattr(thing, "__name__", None)
    if not isinstance(name, str) or "<" in name:
        return None
    module = _module_of(thing, name)
    if module is None or is_local(module):
        return None
    return (module, name) if _is_at(thing, module, name) else _alias_of(thing, module)


def local_reference(thing: Any) -> tuple[str, str] | None:
    """Return (module, qualified name) where a module of the user's files gives this very object, else None."""
    if isinstance(thing, types.ModuleType):
        return None if _is_main(thing.__name__) or not is_local(thing.__name__) else (thing.__name__, "")
    if not isinstance(thing, types.FunctionType | type | CACHED):
        return None
    module, name = thing.__module__, thing.__qualname__
    if not isinstance(module, str):  # None, of a function that was made by `exec` or by hand
        return None
    given = not _is_main(module) and is_local(module) and _is_at(thing, module, name)
    return (module, name) if given else None


def any_reference(thing: Any) -> tuple[str, str] | None:
    """Return (module, qualified name) where any module but `__main__` gives this very object, else None."""
    if not callable(thing) and not isinstance(thing, types.ModuleType):
        return None
    return import_reference(thing) or local_reference(thing)


def belongs_to_its_file(code: types.CodeType) -> bool:
    """Tell whether code asks where its module lies, as it does to read a file beside it."""
    return not _OF_ITS_FILE.isdisjoint(global_names(code))


def _is_main(module: str) -> bool:
    return module in ("__main__", "__mp_main__")


def _module_of(thing: Any, name: str) -> str | None:
    module = getattr(thing, "__module__", None)
    if isinstance(module, str):
        return module
    if isinstance(thing, np.ufunc) and getattr(np, name, None) is thing:
        return "numpy"
    owner = getattr(thing, "__self__", None)
    if not isinstance(owner, types.ModuleType | None):
        return None if isinstance(owner, type) else type(owner).__module__
    found = pickle.whichmodule(thing, name)  # type: ignore[attr-defined]  # public, yet not in its stubs
    return found if found != "__main__" else None


def _is_at(thing: Any, module: str, name: str) -> bool:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is thing or (isinstance(thing, types.BuiltinMethodType) and found == thing)


def _alias_of(thing: Any, module: str) -> tuple[str, str] | None:
    """Return where a module gives a thing by its bare name: a ufunc, or a method of the one instance that is the module's own.

    `random.random` and `numpy.random.rand` are such methods. By value, each task would get that instance, and the same number.
    """
    place, name = "numpy" if isinstance(thing, np.ufunc) else module, getattr(thing, "__name__", "")
    return (place, name) if name and getattr(sys.modules.get(place), name, None) is thing else None


def _made_by_hand(module: types.ModuleType) -> bool:
    spec = getattr(module, "__spec__", None)
    return spec is None or spec.origin not in ("built-in", "frozen")


def _facts(code: types.CodeType) -> tuple[Any, ...]:
    return (
        code.co_code,
        tuple(map(_constant, _constants(code))),
        code.co_names,
        code.co_varnames,
        code.co_freevars,
        code.co_cellvars,
        code.co_argcount,
        code.co_kwonlyargcount,
        code.co_posonlyargcount,
        code.co_flags,
        code.co_name,
        code.co_exceptiontable,
    )


def _constants(code: types.CodeType) -> tuple[Any, ...]:
    """Return a code object's constants without those by which, from 3.13 on, a class tells its line and a chance order."""
    if _PLAIN.keys().isdisjoint(code.co_names):
        return code.co_consts
    constants = list(code.co_consts)
    steps = [step for step in dis.get_instructions(code) if step.opname != "EXTENDED_ARG"]
    loads = [step.arg for step in steps if step.opname == "LOAD_CONST"]
    for before, step in itertools.pairwise(steps):
        plain = _PLAIN.get(step.argval) if step.opname == "STORE_NAME" else None
        if plain is not None and before.opname == "LOAD_CONST" and loads.count(before.arg) == 1:
            assert before.arg is not None
            constants[before.arg] = plain(before.argval)
    return tuple(constants)


def _constant(const: Any) -> Any:
    if isinstance(const, types.CodeType):
        return _facts(const)
    if isinstance(const, frozenset):
        return ("frozenset", *sorted(map(repr, map(_constant, const))))
    if isinstance(const, tuple):
        return tuple(map(_constant, const))
    return (type(const).__name__, repr(const))


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (const for const in code.co_consts if isinstance(const, types.CodeType))
