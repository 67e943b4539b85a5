"""Writes into a shared target: which lock is needless, which write could not be right.

In: an operation's tree, the columns of its tasks, the data objects. Out: the columns, without locks where no
two tasks write the same chunk. Must not open, read or write a target.

Functions share no memory. So a lock excludes nothing between them, and a target that lives in the client's
memory would be written in a copy that nobody reads. Locks that guard reading are left alone: they travel,
and do their work within one environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from graphlambda.compiler.constants import CodeConstant, Import
from graphlambda.compiler.kernels import PACKAGE
from graphlambda.compiler.program import Column, Constant, Input, Literal
from graphlambda.compiler.trees import Code, Node, Port, calls_in
from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Place: TypeAlias = tuple[Any, ...] | None
"""A slice (or an integer) an axis; None or empty for the whole target."""

_STORES = (Import("dask.array.core", "load_store_chunk"), Import(f"{PACKAGE}.core", "load_store_chunk"))
_PARAMETERS = ("x", "out", "index", "region", "lock", "return_stored", "load_stored")

_IN_MEMORY = frozenset({"MemoryStore", "GpuMemoryStore", "ManagedMemoryStore", "KVStore", "dict"})
"""Classes of zarr stores whose contents are this process's own."""

_ONE_WRITER = frozenset({"h5py", "h5netcdf", "netCDF4", "tables", "pyfive", "scipy"})
"""Libraries whose files allow one writing process at a time."""

_ONE_WRITER_OF_XARRAY = ("xarray.backends.netCDF4_", "xarray.backends.h5netcdf_", "xarray.backends.scipy_")

_MEMORY = "Functions share no memory: each would write into a copy of its own, and {} would stay as it is"
_MEMORY_REMEDY = "Compute the array (it comes back as the result), or store it with to_zarr or to_parquet."
_WRITER = "Only one process at a time may write {}, and a lock excludes nothing between functions"
_WRITER_REMEDY = "Write with to_zarr (or to_parquet), or compute first and write the file on the client."
_SHARED = "Several tasks write the same chunk of {}, and a lock excludes nothing between functions"
_SHARED_REMEDY = "Rechunk the array to multiples of the target's chunks before storing it."
_UNKNOWN = "A lock around the writes to {} excludes nothing between functions"
_UNKNOWN_REMEDY = "Store with lock=False if no two tasks write the same place, or store with to_zarr."


@dataclass(frozen=True, slots=True, kw_only=True)
class _Write:
    """The columns of one call that stores; a part that is code or another call's value has none."""

    target: Column | None
    index: Column | None
    region: Column | None
    lock: Column | None
    lock_port: int


def without_needless_locks(
    tree: Node,
    columns: tuple[Column, ...],
    constants: list[CodeConstant],
    tasks: int,
    held: Callable[[int], Any],
) -> tuple[Column, ...]:
    """Return the columns of `tasks` tasks with the locks gone that no two of them need.

    `held` gives the value of a data object by its id, and None for a task's.

    Raises:
        RefusedError: a target is in memory, or a write needs exclusion between processes.
    """
    for write in _writes(tree, columns, constants):
        targets = [_target(write.target, row, held) for row in _rows(write.target, tasks)]
        for target in targets:
            _refuse_target(target)
        if any(map(_excludes, _values(write.lock, tasks))):
            _refuse_shared(write, targets, tasks)
            columns = (
                *columns[: write.lock_port],
                Constant(value=False),
                *columns[write.lock_port + 1 :],
            )
    return columns


def _writes(tree: Node, columns: tuple[Column, ...], constants: list[CodeConstant]) -> Iterator[_Write]:
    for call in calls_in(tree):
        if isinstance(call.called, Code) and constants[call.called.constant] in _STORES:
            given = dict(zip(_PARAMETERS, call.arguments, strict=False)) | dict(call.keywords)
            ports = {name: part.number for name, part in given.items() if isinstance(part, Port)}
            found = {name: columns[number] for name, number in ports.items()}
            yield _Write(
                target=found.get("out"),
                index=found.get("index"),
                region=found.get("region"),
                lock=found.get("lock"),
                lock_port=ports.get("lock", -1),
            )


def _refuse_target(target: Any) -> None:
    """Refuse what no set of functions can write: memory, and files with one writer."""
    store = getattr(target, "store", None)
    if isinstance(target, np.ndarray) or _is_in_memory(store):
        raise RefusedError(_MEMORY.format(_described(target)), _MEMORY_REMEDY)
    module = type(target).__module__
    if module.split(".")[0] in _ONE_WRITER or module in _ONE_WRITER_OF_XARRAY or _is(store, {"ZipStore"}):
        raise RefusedError(_WRITER.format(_described(target)), _WRITER_REMEDY)


def _refuse_shared(write: _Write, targets: list[Any], tasks: int) -> None:
    """Refuse a locked write unless each task writes whole chunks of its own."""
    known = {id(target): (_chunks(target), getattr(target, "shape", ())) for target in targets}
    for row in range(tasks):
        target = targets[row if len(targets) > 1 else 0]
        chunks, shape = known[id(target)]
        if chunks is None:
            raise RefusedError(_UNKNOWN.format(_described(target)), _UNKNOWN_REMEDY)
        place = _place(_literal(write.region, row), _literal(write.index, row), shape)
        if place is None or not all(map(_is_aligned, place, shape, chunks)):
            raise RefusedError(_SHARED.format(_described(target)), _SHARED_REMEDY)


def _place(region: Place, index: Place, shape: tuple[int, ...]) -> list[tuple[int, int]] | None:
    """Return (start, stop) an axis of `target[region][index]`; None where that is not contiguous."""
    inner = list(index or ())
    spans: list[tuple[int, int]] = []
    for axis, length in enumerate(shape):
        outer = region[axis] if region and axis < len(region) else slice(None)
        if isinstance(outer, int | np.integer):
            spans.append((int(outer) % length, int(outer) % length + 1))
            continue
        span = _span(outer, length)
        part = _span(inner.pop(0) if inner else slice(None), span[1] - span[0]) if span else None
        if span is None or part is None:
            return None
        spans.append((span[0] + part[0], span[0] + part[1]))
    return spans


def _span(part: Any, length: int) -> tuple[int, int] | None:
    if not isinstance(part, slice):
        return None
    start, stop, step = part.indices(length)
    return (start, max(start, stop)) if step == 1 else None


def _is_aligned(span: tuple[int, int], length: int, chunk: int) -> bool:
    start, stop = span
    return start % chunk == 0 and (stop % chunk == 0 or stop == length)


def _chunks(target: Any) -> tuple[int, ...] | None:
    """Return the unit in which a target is written: its shards or chunks; None where it has none."""
    chunks = getattr(target, "shards", None) or getattr(target, "chunks", None)
    if not isinstance(chunks, tuple) or len(chunks) != len(getattr(target, "shape", ())):
        return None
    return chunks if all(isinstance(chunk, int) and chunk > 0 for chunk in chunks) else None


def _is_in_memory(store: Any) -> bool:
    protocol = getattr(getattr(store, "fs", None), "protocol", None)
    return _is(store, _IN_MEMORY) or protocol in ("memory", ("memory",))


def _is(store: Any, names: frozenset[str] | set[str]) -> bool:
    return any(kind.__name__ in names for kind in type(store).__mro__)


def _excludes(lock: Any) -> bool:
    return bool(lock) and type(lock).__name__ != "DummyLock"


def _described(target: Any) -> str:
    if target is None:
        return "a target that a task makes"
    return f"the {type(target).__module__.split('.')[0]} {type(target).__qualname__} given as target"


def _rows(column: Column | None, tasks: int) -> range:
    return range(1) if column is None or isinstance(column, Constant) else range(tasks)


def _target(column: Column | None, row: int, held: Callable[[int], Any]) -> Any:
    """Return a row's target where the client holds it; None where a task makes it."""
    binding = None if column is None else column.row(row)
    if isinstance(binding, Input):
        return _unwrapped(held(binding.id))
    return _unwrapped(binding.value) if isinstance(binding, Literal) else None


def _unwrapped(target: Any) -> Any:
    """Return the zarr array in xarray's wrapper of one."""
    array = getattr(target, "_array", None)
    return array if type(target).__module__ == "xarray.backends.zarr" and array is not None else target


def _values(column: Column | None, tasks: int) -> Iterator[Any]:
    return (_literal(column, row) for row in _rows(column, tasks))


def _literal(column: Column | None, row: int) -> Any:
    binding = None if column is None else column.row(row)
    return binding.value if isinstance(binding, Literal) else None
