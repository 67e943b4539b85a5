"""Refuse what could not be right on Lambda, before anything runs.

In: the code constants of a graph; a program. Out: nothing, or `RefusedError` with the remedy. Must not call
anything.
"""

from __future__ import annotations

import marshal
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.constants import CodeConstant, Import, dumps
from graphlambda.compiler.credentials import (
    HOLDERS,
    key_in_constant,
    key_in_file,
    key_in_texts,
    texts_of_code,
    texts_of_pickle,
    texts_of_plain,
)
from graphlambda.compiler.program import Kept, Literal, LocalFile
from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphlambda.compiler.program import Binding, Program

MOST_INPUTS = 100_000
"""Values that one task may read: at a millisecond each, and with what each takes in memory before the task
sees any (a frame's head, a Python object), this is what fits a function of 15 minutes and 10 GB."""

_LOOKED_AT = 16
"""Rows of a table that are looked at, beside its last."""

_MOST_MEMBERS = 64
"""A container with more members than this is the user's data, in which only private keys are looked for."""

_MOST_TEXTS = 10_000
"""Texts of one value that are looked at."""

_PYC_HEADER = 16
"""Bytes before the code object of a `.pyc`."""

_CONTAINERS = (list, tuple, set, frozenset, dict)

_BY_TASKS = 'under dask.config.set({"dataframe.shuffle.method": "tasks", "array.rechunk.method": "tasks"})'
_P2P = (
    "The graph shuffles between the workers of a Dask cluster (p2p)",
    f"Build the collection without an active distributed Client, or {_BY_TASKS}.",
)
_DISK = (
    "The graph shuffles through the local disk, which functions do not share",
    f"Build the collection {_BY_TASKS}; of a bag, with groupby(..., shuffle='tasks').",
)
_HDF = (
    "The graph writes HDF5, which one process at a time may write, and a lock excludes nothing between functions",
    "Write with to_parquet or to_zarr, or compute first and write the file on the client.",
)
_CLIENT = (
    "The graph holds an object of a Dask cluster (a Future, Actor, Lock, Variable or Queue), which no function can reach",
    "Compute it there first (future.result()), or leave it out.",
)
_REASONS = {
    ("distributed.shuffle", ""): _P2P,
    ("distributed.client", ""): _CLIENT,
    ("distributed.actor", ""): _CLIENT,
    ("distributed.lock", ""): _CLIENT,
    ("distributed.variable", ""): _CLIENT,
    ("distributed.queues", ""): _CLIENT,
    ("partd", ""): _DISK,
    ("dask.dataframe.shuffle", "maybe_buffered_partd"): _DISK,
    ("dask.dataframe.dask_expr._shuffle", "DiskShuffle"): _DISK,
    ("dask.bag.core", "partition"): _DISK,
    ("dask.bag.core", "collect"): _DISK,
    ("dask.dataframe.io.hdf", "_pd_to_hdf"): _HDF,
    ("pandas.core.generic", "NDFrame.to_hdf"): _HDF,
}
"""By module (and what lies below it) and name; an empty name means all of the module."""


def refuse_program(program: Program, constants: Iterable[CodeConstant]) -> None:
    """Refuse what only a whole program shows.

    Raises:
        RefusedError: a task reads more values than one function can, or key material would be shipped.
    """
    _refuse_wide(program)
    for where, value in holdings(program):
        kind = _key_in(value) if _is_file(value) else key_in_texts(texts_of(value))
        if kind is not None:
            raise RefusedError(f"{where} holds {kind}", KEY_REMEDY)
    for constant in constants:
        if (kind := key_in_constant(constant)) is not None:
            raise RefusedError(f"The graph's code holds {kind}", KEY_REMEDY)


@lru_cache(maxsize=4096)
def _key_in(file: LocalFile) -> str | None:
    return key_in_texts(texts_of(file)) or key_in_file(file.content)


def refuse_operations(constants: Iterable[CodeConstant]) -> None:
    """Raise for the first import that cannot work between functions.

    Raises:
        RefusedError: names what the graph wants and the remedy.
    """
    for constant in constants:
        if isinstance(constant, Import):
            reason = _reason(constant)
            if reason is not None:
                raise RefusedError(*reason)


KEY_REMEDY = (
    "Do not ship keys: pass anon=True for public data, give the function's role the permission, or read the secret "
    "by its name inside the task, from Secrets Manager or Parameter Store."
)


def _reason(constant: Import) -> tuple[str, str] | None:
    parts = constant.module.split(".")
    for count in range(1, len(parts) + 1):
        module = ".".join(parts[:count])
        for name in ("", constant.name.split(".")[0], constant.name):
            if (module, name) in _REASONS and (name == "" or count == len(parts)):
                return _REASONS[module, name]
    return None


def _refuse_wide(program: Program) -> None:
    counts = np.diff(program.edges.starts)
    if len(counts) and counts.max() > MOST_INPUTS:
        task = int(counts.argmax())
        name = program.tables[int(program.table_of[task])].operation.name
        what = (
            f"Task {program.key(task)!r} of operation {name} reads {int(counts[task]):,} values; "
            f"one function can read {MOST_INPUTS:,}"
        )
        raise RefusedError(
            what, "Combine them in a tree: pass split_every=8 to the reduction, or use fewer chunks."
        )


def holdings(program: Program) -> Iterator[tuple[str, Any]]:
    """Yield what would be shipped with a program, with words for where it is: literals, files, data objects.

    Of a table some literals are looked at: those of one column are alike.
    """
    for table in program.tables:
        name = table.operation.name
        count = len(table.tasks)
        rows = sorted({*range(min(count, _LOOKED_AT)), count - 1})
        literals = {id(found.value): found.value for row in rows for found in _literals(table.row(row))}
        yield from ((f"A literal of operation {name}", literal) for literal in literals.values())
        yield from ((f"{file.path}, which operation {name} needs,", file) for file in table.operation.files)
    for number, value in enumerate(program.data, program.task_count):
        yield f"A value that {_reader(program, number)} reads", value


def is_data(value: Any) -> bool:
    """Tell whether a value is an array, a frame or a reference: the user's data, in which nobody looks for keys."""
    return isinstance(value, Kept) or type(value).__module__.split(".")[0] in ("numpy", "pandas")


def _literals(bindings: Iterable[Binding]) -> Iterator[Literal]:
    return (binding for binding in bindings if isinstance(binding, Literal))


def _reader(program: Program, value: int) -> str:
    """Name the operation of the first task that reads a value."""
    places = np.flatnonzero(program.edges.ids == value)
    if not len(places):
        return "the client"
    task = int(np.searchsorted(program.edges.starts, places[0], side="right")) - 1
    return f"operation {program.tables[int(program.table_of[task])].operation.name}"


def texts_of(value: Any) -> Iterator[str]:
    """Yield the texts of what is shipped: constants of a module, members of a literal, what a pickle holds."""
    if _is_file(value):
        return _texts_of_module(value) if value.path.endswith(".pyc") else iter(())
    if is_data(value):
        return iter(())
    if type(value).__module__ != "builtins":
        return texts_of_pickle(dumps(value))
    texts = islice(texts_of_plain(value), _MOST_TEXTS)
    if isinstance(value, _CONTAINERS) and len(value) > _MOST_MEMBERS:
        return (text for text in texts if "PRIVATE KEY-----" in text)
    return texts


def _is_file(value: Any) -> bool:
    return isinstance(value, LocalFile)


def _texts_of_module(file: LocalFile) -> Iterator[str]:
    """Yield a module's constants; what names a class in a pickle names nothing here."""
    texts = texts_of_code(marshal.loads(file.content[_PYC_HEADER:]))
    return (text for text in texts if text not in HOLDERS)
