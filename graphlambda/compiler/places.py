"""Where an operation's modules are named: in the user's own source, in `operation.py`, or by its values.

In: an operation, its program. Out: by module, places and makers, for a person to look at. Must not import or run
anything.

By-value code travels without lines; `code.origins` knows whose it is in the process that compiled it. In a program
that was loaded, places are lines of `operation.py`.
"""

from __future__ import annotations

import ast
import dis
import marshal
import pickletools
import types
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np

from graphlambda.compiler import code as codes
from graphlambda.compiler.evidence import modules_of
from graphlambda.compiler.program import Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphlambda.compiler.program import LocalFile, Operation, Program, Table

OPERATION = "operation.py"
_GLOBALS = frozenset({"LOAD_GLOBAL", "LOAD_NAME"})
_LOOKED_AT = 4
"""Rows and values of a table that are looked at for what values are."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line that names a module."""

    rank: int
    """0 in the user's own source, 1 in `operation.py`."""

    file: str
    line: int
    name: str = ""
    """Of the function that it is in, where there is one."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" + (f" in {self.name}" if self.name else "")


def places_of(operation: Operation) -> dict[str, tuple[Place, ...]]:
    """Return by module the lines that name it, the user's own first."""
    tree = ast.parse(operation.source)
    named = dict(_imported(tree))
    found: dict[str, set[Place]] = {}
    for module, line in named.values():
        found.setdefault(module, set()).add(Place(1, OPERATION, line))
    for module, place in (*_of_code(operation, tree, named), *_of_files(operation.files)):
        found.setdefault(module, set()).add(place)
    return {module: tuple(sorted(found[module])) for module in sorted(found)}


def place_of(module: str, places: Mapping[str, tuple[Place, ...]]) -> Place | None:
    """Return the first place that names a module, a module below it, or a package that it is in."""
    near = [
        name
        for name in places
        if name == module or f"{module}.".startswith(f"{name}.") or name.startswith(f"{module}.")
    ]
    return min((min(places[name]) for name in near), default=None)


def makers_of(operation: Operation, program: Program) -> dict[str, str]:
    """Return by module which of an operation's values need it: a literal's type, or what another operation returns."""
    found: dict[str, str] = {}
    for table in program.tables:
        if table.operation.id == operation.id:
            for module, maker in _makers(table, program):
                found.setdefault(module, maker)
    return found


def _imported(tree: ast.Module) -> Iterator[tuple[str, tuple[str, int]]]:
    """Yield (name, (module, line)) of what stands at the top of an operation's source."""
    for node in tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.asname or alias.name.partition(".")[0], (alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield alias.asname or alias.name, (node.module or "", node.lineno)
        elif isinstance(node, ast.Assign) and (module := _module_call(node.value)):
            yield ast.unparse(node.targets[0]), (module, node.lineno)


def _module_call(node: ast.expr) -> str:
    """Return `a.b` of `module('a.b')`."""
    match node:
        case ast.Call(func=ast.Name(id="module"), args=[ast.Constant(value=str(name))]):
            return name
    return ""


def _of_code(
    operation: Operation, tree: ast.Module, named: Mapping[str, tuple[str, int]]
) -> Iterator[tuple[str, Place]]:
    """Yield the lines of the user's functions that import a module, or use one that `operation.py` gives them."""
    given = {name: dict(_given(names)) for name, names in _functions(tree)}
    for name, shipped in (marshal.loads(operation.code) if operation.code else {}).items():
        for code in _origins(shipped):
            yield from _lines(
                code, {word: named[alias][0] for word, alias in given.get(name, {}).items() if alias in named}
            )


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.Dict]]:
    """Yield (code's name, its globals) of each `function(code, {…}, …)`."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="function"), args=[ast.Name(id=code), ast.Dict() as names, *_]):
                yield code, names


def _given(names: ast.Dict) -> Iterator[tuple[str, str]]:
    for key, value in zip(names.keys, names.values, strict=True):
        if isinstance(key, ast.Constant) and isinstance(value, ast.Name):
            yield str(key.value), value.id


def _origins(shipped: types.CodeType | bytes) -> list[types.CodeType]:
    """Return the user's own code objects of what is shipped, as far as this process knows them."""
    marks = [shipped.co_filename] if isinstance(shipped, types.CodeType) else _texts(shipped)
    return [codes.origins[mark.strip("<>")] for mark in marks if mark.strip("<>") in codes.origins]


def _texts(blob: bytes) -> list[str]:
    texts = (argument for _, argument, _ in pickletools.genops(blob) if isinstance(argument, str))
    return sorted({text for text in texts if text.startswith("<")})


def _lines(code: types.CodeType, given: Mapping[str, str]) -> Iterator[tuple[str, Place]]:
    for step in dis.get_instructions(code):
        line = step.positions.lineno if step.positions else None
        place = Place(0, code.co_filename, line or code.co_firstlineno, code.co_qualname)
        if step.opname == "IMPORT_NAME" and step.argval:
            yield step.argval, place
        elif step.opname in _GLOBALS and step.argval in given:
            yield given[step.argval], place
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _lines(inner, given)


def _of_files(files: Iterable[LocalFile]) -> Iterator[tuple[str, Place]]:
    """Yield the import lines of the user's own modules."""
    for file in files:
        path = Path(file.source)
        if path.suffix != ".py" or not path.is_file():
            continue
        try:
            tree = ast.parse(path.read_bytes())
        except SyntaxError:
            continue
        package = PurePosixPath(file.path).parent.parts
        for node in ast.walk(tree):
            for module in _modules(node, package):
                yield module, Place(0, str(path), getattr(node, "lineno", 1))


def _modules(node: ast.AST, package: tuple[str, ...]) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = package[: len(package) - node.level + 1] if node.level else ()
        return [".".join([*above, *([node.module] if node.module else [])])]
    return []


def _makers(table: Table, program: Program) -> Iterator[tuple[str, str]]:
    count = program.task_count
    for row in range(min(len(table.tasks), _LOOKED_AT)):
        for binding in table.row(row):
            if isinstance(binding, Literal):
                yield from (
                    (module, f"a literal ({_kind(binding.value)})") for module in modules_of(binding.value)
                )
    for column in table.columns:
        pairs = column.edges()
        ids = np.unique(pairs[1]) if pairs is not None else np.empty(0, np.int64)
        for value in islice((int(each) - count for each in ids if each >= count), _LOOKED_AT):
            held = program.data[value]
            yield from ((module, f"a value ({_kind(held)})") for module in modules_of(held))
        for maker in np.unique(program.table_of[ids[ids < count]]):
            other = program.tables[int(maker)].operation
            for module in (*other.imports, *other.value_imports):
                yield module, f"what {other.name} returns"


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
