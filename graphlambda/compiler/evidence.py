"""What an operation needs beside its own code: the modules that un-pickling its inputs imports.

In: tables, data objects. Out: the same tables, their operations with evidence filled in. Must not map
modules to distributions: that is the packager's.

What a task returns is not known before it runs; whoever reads a value may need every module that the
value's makers import. So value imports flow along the data.
"""

from __future__ import annotations

import ast
import hashlib
import pickletools
import sys
from dataclasses import replace
from functools import cache, lru_cache
from types import FunctionType
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from graphlambda.compiler import kernels
from graphlambda.compiler.code import imported_names, surely_imported
from graphlambda.compiler.constants import dumps_with_code, track_classes_in
from graphlambda.compiler.modules import local_files, looked_at
from graphlambda.compiler.program import (
    Column,
    Constant,
    Kept,
    Literal,
    Literals,
    Mixed,
    Operation,
    Program,
    Table,
)
from graphlambda.compiler.walk import is_plain
from graphlambda.compiler.words import words_in, words_of_data

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graphlambda.compiler.modules import Module

_LOOKED_AT = 16
"""Literals of a column that are looked at; those of one column are alike."""

_NEVER_VALUES = ("operator", "functools", "builtins", kernels.PACKAGE)
"""Makers of code, not of values: what only they import does not flow along the data."""

_MAKERS_OF_ARROW = ("pandas", "dask.dataframe")
"""Where pyarrow is imported, what these make keeps its strings, column names among them, in Arrow arrays."""


def value_modules(columns: Iterable[Column]) -> tuple[str, ...]:
    """Return the modules that un-pickling the literals of some columns imports, sorted."""
    found: set[str] = set()
    for column in columns:
        for literal in _sample(column):
            found.update(modules_of(literal))
    return tuple(sorted(found))


def with_evidence(tables: tuple[Table, ...], table_of: Any, data: tuple[Any, ...]) -> tuple[Table, ...]:
    """Return the tables with value imports, files and final ids in their operations."""
    flows = _flows(tables, table_of)
    held = _data_of(tables, data, len(table_of))
    own = [{module for value in values for module in modules_of(value)} for values in held]
    inherited = _inherited(tables, flows, own)
    needed: dict[str, set[str]] = {}
    words: dict[str, set[str]] = {}
    for number, table in enumerate(tables):
        needed.setdefault(table.operation.id, set()).update(inherited[number], table.operation.value_imports)
        words.setdefault(table.operation.id, set()).update(table.operation.words, words_of_data(held[number]))
    look = cache(looked_at)  # operations share modules
    final = {
        number: _finished(each, needed[number], words[number], look) for number, each in _operations(tables)
    }
    return tuple(replace(table, operation=final[table.operation.id]) for table in tables)


def _operations(tables: tuple[Table, ...]) -> Iterable[tuple[str, Operation]]:
    return {table.operation.id: table.operation for table in tables}.items()


def modules_of(literal: Any) -> tuple[str, ...]:
    """Return the modules that un-pickling a literal imports, sorted."""
    kind = type(literal)
    if kind is Kept:
        return literal.modules  # type: ignore[no-any-return]
    if kind in (int, float, complex, bool, type(None), str, bytes, slice, range):
        return ()
    if isinstance(literal, np.ndarray) and not literal.dtype.hasobject:
        return ("numpy",)
    if kind in (list, tuple, set, frozenset, dict) and is_plain(literal):
        return ("numpy",) if np.ndarray in map(type, literal) else ()
    if kind.__module__.startswith("pandas."):
        return ("numpy", "pandas", "pyarrow") if _holds_arrow(literal) else ("numpy", "pandas")
    track_classes_in(literal)
    blob, met = dumps_with_code(literal)
    return tuple(sorted({*_named_in(blob), *(name for code in met for name in imported_names(code))}))


def kept_modules(program: Program, value: int, meta: Any) -> tuple[str, ...]:
    """Return the modules that un-pickling a program's value may import, sorted.

    `meta` is an empty value of its kind, as Dask's collections have one; None where they do not.
    """
    if value >= program.task_count:
        return modules_of(program.data[value - program.task_count])
    operation = program.tables[int(program.table_of[value])].operation
    return tuple(sorted({*_makes(operation), *modules_of(meta)}))


def _finished(
    operation: Operation, needed: set[str], words: set[str], look: Callable[[str], Module | None]
) -> Operation:
    reached = local_files({*operation.imports, *needed}, look)
    files, imports = reached.files, reached.imports
    mark = hashlib.sha256()
    for file in files:
        mark.update(hashlib.sha256(file.path.encode()).digest() + hashlib.sha256(file.content).digest())
    number = (
        hashlib.sha256(f"{operation.id} {mark.hexdigest()}".encode()).hexdigest() if files else operation.id
    )
    known = {name for name in imports if name not in needed or name in operation.imports}
    known |= _imported_by_what_is_called(operation.source)
    return replace(
        operation,
        id=number,
        imports=tuple(sorted(known | _arrow(known))),
        value_imports=tuple(sorted(needed & set(imports))),
        files=files,
        words=tuple(sorted(words | words_in(reached.texts))),
    )


def _imported_by_what_is_called(source: str) -> set[str]:
    """Return what installed functions import whenever they are called: for themselves, so it does not flow to readers."""
    called = [
        getattr(sys.modules.get(node.module or ""), alias.name, None)
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    functions = [each for each in called if isinstance(each, FunctionType)]
    return {module for each in functions for module in surely_imported(each.__code__)}


def _arrow(modules: Iterable[str]) -> set[str]:
    """Return `pyarrow` if one of these modules makes values that need it."""
    makes = any(
        module == maker or module.startswith(maker + ".") for module in modules for maker in _MAKERS_OF_ARROW
    )
    return {"pyarrow"} if makes and "pyarrow" in sys.modules else set()


def _holds_arrow(literal: Any) -> bool:
    """Tell whether a pandas object keeps something in Arrow arrays: a column, the index, the names of columns."""
    parts = [literal, getattr(literal, "index", None), getattr(literal, "columns", None)]
    kinds = [getattr(part, "dtype", None) for part in parts] + list(
        getattr(literal, "dtypes", ()) if literal.ndim == 2 else ()
    )
    return any("pyarrow" in repr(getattr(kind, "storage", kind)) for kind in kinds)


def _sample(column: Column) -> list[Any]:
    if isinstance(column, Constant):
        return [column.value]
    if isinstance(column, Literals):
        count = len(column.values)
        return [column.values[row] for row in sorted({*range(min(count, _LOOKED_AT)), count - 1})]
    if isinstance(column, Mixed):
        return [binding.value for binding in column.bindings if isinstance(binding, Literal)][:_LOOKED_AT]
    return []


@lru_cache(maxsize=256)
def _named_in(blob: bytes) -> tuple[str, ...]:
    """Read module names out of a pickle: of globals, and of `cloudpickle.subimport`'s arguments."""
    found: set[str] = set()
    texts: list[str] = []
    for opcode, argument, _position in pickletools.genops(blob):
        if opcode.name == "GLOBAL":
            found.add(str(argument).split(" ")[0])
        elif isinstance(argument, str):
            texts.append(argument)
    found.update(text for text in texts if text in sys.modules)
    return tuple(sorted(found - {"builtins", "__main__", "copyreg", "graphlambda_runtime.code"}))


def _flows(tables: tuple[Table, ...], table_of: Any) -> nx.DiGraph:
    """Return which table's values which table reads."""
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(tables)))
    for number, table in enumerate(tables):
        for column in table.columns:
            pairs = column.edges()
            if pairs is not None:
                makers = np.unique(table_of[pairs[1][pairs[1] < len(table_of)]])
                graph.add_edges_from((int(maker), number) for maker in makers)
    return graph


def _data_of(tables: tuple[Table, ...], data: tuple[Any, ...], task_count: int) -> list[list[Any]]:
    """Return some of the data objects that each table reads."""
    found: list[list[Any]] = []
    for table in tables:
        pairs = [column.edges() for column in table.columns]
        ids = {
            int(value)
            for pair in pairs
            if pair is not None
            for value in np.unique(pair[1][pair[1] >= task_count])
        }
        found.append([data[value - task_count] for value in sorted(ids)[:_LOOKED_AT]])
    return found


def _inherited(tables: tuple[Table, ...], flows: nx.DiGraph, own: list[set[str]]) -> list[set[str]]:
    """Return, for each table, the modules that any maker of its inputs may have put into them."""
    parts = nx.condensation(flows)
    made: dict[int, set[str]] = {}
    result: list[set[str]] = [set() for _ in tables]
    for part in nx.topological_sort(parts):
        members = parts.nodes[part]["members"]
        given = set().union(
            *(made[before] for before in parts.predecessors(part)), *(own[table] for table in members)
        )
        inside = set().union(*(_makes(tables[table].operation) for table in members))
        for table in members:
            result[table] = given | (inside if len(members) > 1 or flows.has_edge(table, table) else set())
        made[part] = given | inside
    return result


def _makes(operation: Operation) -> set[str]:
    return {
        module
        for module in (*operation.imports, *operation.value_imports)
        if module.split(".")[0] not in _NEVER_VALUES and module.split(".")[0] not in sys.stdlib_module_names
    } | _arrow(operation.imports)
