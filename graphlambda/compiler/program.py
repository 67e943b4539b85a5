"""The nouns of the compiler: Operation, Column, Table, Program.

In: nothing. Out: what the other stages read. Must not know Dask, packaging, AWS or time.

A program is columnar. Tasks are the integers 0 ≤ t < n; data objects (values that the client already
holds) follow as n ≤ v < n + m, so that one integer names any value. A table holds all tasks of one
operation; a column says, for one port of the operation, what each task binds to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

Ids: TypeAlias = NDArray[np.int64]
Nested: TypeAlias = "int | list[Nested]"
"""Value ids in nested lists: `[[4, 5], [6, 7]]` is handed to the operation as lists of values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """One file of the user's own, uninstalled code, as it travels in an artifact."""

    path: str
    """Relative, with forward slashes; importable from the folder that it is laid out in."""

    content: bytes
    """Byte code without file names or line tables (`.pyc`), or a data file as it is."""

    source: str = field(default="", compare=False, repr=False)
    """Where the client read it; evidence for the packager, never shipped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What is left of a task when its inputs and literals are replaced by ports."""

    id: str
    """64 hexadecimal digits: SHA-256 of the normal form and of every code fingerprint in it."""

    name: str
    """For people: lower-case words of at most 32 characters, such as `mean-chunk`. Not unique."""

    source: str
    """`operation.py`: defines `operation(p0, p1, …)` as straight-line code."""

    ports: int
    """How many positional arguments `operation` takes."""

    code: bytes = b""
    """`code.bin`: the by-value code that `operation.py` asks for by name; empty if it asks for none."""

    imports: tuple[str, ...] = ()
    """Modules that `source` and `code` import, sorted: evidence for the packager."""

    value_imports: tuple[str, ...] = ()
    """Modules that un-pickling this operation's inputs and literals may import, sorted."""

    files: tuple[LocalFile, ...] = ()
    """The user's local modules that the operation reaches, sorted by path."""

    form: str = field(default="", compare=False, repr=False)
    """The id of its normal form alone, whatever local files it reaches: what was measured of it is known by this."""

    words: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Short texts of its literals and code that may name code, such as `s3://` or `pyarrow`: evidence for the
    packager, no part of its id; sorted."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A port bound to a value that travels in the request."""

    value: Any


@dataclass(frozen=True, slots=True)
class Input:
    """A port bound to one value of another task, or to a data object."""

    id: int


@dataclass(frozen=True, slots=True)
class Gather:
    """A port bound to (nested) lists of values."""

    ids: list[Nested]


Binding: TypeAlias = Literal | Input | Gather


@dataclass(frozen=True, slots=True)
class Constant:
    """The same literal in every row: a run constant, sent once per operation and run."""

    value: Any

    def row(self, _row: int) -> Binding:
        """Return the binding of any row."""
        return Literal(self.value)

    def edges(self) -> tuple[Ids, Ids] | None:
        """No row of a constant depends on a value."""
        return None

    def take(self, _rows: Ids) -> Column:
        """Return the column of some rows only."""
        return self


@dataclass(frozen=True, slots=True)
class Literals:
    """One literal a row."""

    values: Sequence[Any]
    """May be lazy: `values[row]` computes the literal when it is asked for."""

    def row(self, row: int) -> Binding:
        """Return the binding of one row."""
        return Literal(self.values[row])

    def edges(self) -> tuple[Ids, Ids] | None:
        """Literals depend on no value."""
        return None

    def take(self, rows: Ids) -> Column:
        """Return the column of some rows only."""
        values = self.values
        return Literals([values[row] for row in rows.tolist()])


@dataclass(frozen=True, slots=True)
class Inputs:
    """One value a row."""

    ids: Ids

    def row(self, row: int) -> Binding:
        """Return the binding of one row."""
        return Input(int(self.ids[row]))

    def edges(self) -> tuple[Ids, Ids] | None:
        """Return (row, value) pairs."""
        return np.arange(len(self.ids), dtype=np.int64), self.ids

    def take(self, rows: Ids) -> Column:
        """Return the column of some rows only."""
        return Inputs(self.ids[rows])


@dataclass(frozen=True, slots=True)
class Gathers:
    """A (nested) list of values a row, in compressed rows."""

    starts: Ids
    """Length rows + 1: row r gathers `ids[starts[r]:starts[r + 1]]`."""

    ids: Ids

    shapes: tuple[Any, ...] = (None,)
    """The nestings that occur. None is a flat list; else nested lists of positions in the row."""

    shape_of: NDArray[np.int32] | None = None
    """Which nesting each row has; None where all rows have the first."""

    def row(self, row: int) -> Binding:
        """Return the binding of one row."""
        ids: list[Nested] = self.ids[self.starts[row] : self.starts[row + 1]].tolist()
        shape = self.shapes[0 if self.shape_of is None else self.shape_of[row]]
        return Gather(ids if shape is None else _nest(shape, ids))

    def edges(self) -> tuple[Ids, Ids] | None:
        """Return (row, value) pairs."""
        counts = np.diff(self.starts)
        return np.repeat(np.arange(len(counts), dtype=np.int64), counts), self.ids

    def take(self, rows: Ids) -> Column:
        """Return the column of some rows only."""
        parts = [self.ids[self.starts[row] : self.starts[row + 1]] for row in rows]
        starts = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        ids = np.concatenate(parts) if parts else np.empty(0, np.int64)
        return Gathers(starts, ids, self.shapes, None if self.shape_of is None else self.shape_of[rows])


@dataclass(frozen=True, slots=True)
class Mixed:
    """Rows that differ in kind: Dask inlines a literal in one task and refers to it in the next."""

    bindings: tuple[Binding, ...]

    def row(self, row: int) -> Binding:
        """Return the binding of one row."""
        return self.bindings[row]

    def edges(self) -> tuple[Ids, Ids] | None:
        """Return (row, value) pairs."""
        pairs = [(row, value) for row, binding in enumerate(self.bindings) for value in values_of(binding)]
        if not pairs:
            return None
        rows, ids = zip(*pairs, strict=True)
        return np.array(rows, np.int64), np.array(ids, np.int64)

    def take(self, rows: Ids) -> Column:
        """Return the column of some rows only."""
        return Mixed(tuple([self.bindings[row] for row in rows.tolist()]))


Column: TypeAlias = Constant | Literals | Inputs | Gathers | Mixed


@dataclass(frozen=True, slots=True)
class Table:
    """Tasks of one operation that bind its ports alike; an operation may have several tables."""

    operation: Operation

    tasks: Ids
    """Task ids in row order."""

    columns: tuple[Column, ...]
    """One a port."""

    def row(self, row: int) -> tuple[Binding, ...]:
        """Return what one task binds to each port."""
        return tuple(column.row(row) for column in self.columns)


@dataclass(frozen=True, slots=True)
class Edges:
    """Which values each task needs, in compressed rows; each value once a task."""

    starts: Ids
    """Length n + 1."""

    ids: Ids
    """Ascending within a row; task ids and data ids."""

    def of(self, task: int) -> Ids:
        """Return the values that one task needs."""
        return self.ids[self.starts[task] : self.starts[task + 1]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A value that a persisted collection holds in a store, by reference."""

    run: str
    """The run that made it: names its folder in the store and derives its key."""

    id: int
    """Its value id in that run."""

    store: str
    """The store's address, such as `file:/…`: a value of another store is refused."""

    modules: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """Modules that un-pickling it may import, sorted: evidence for whoever reads it."""

    lease: Any = field(default=None, compare=False, repr=False)
    """Whatever keeps the value there; it stays as long as this reference does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """Tasks of two operations that became tasks of one."""

    first: str
    """The name of the operation whose value only the other one read."""

    then: str
    tasks: int
    why: str
    """For people."""

    forms: tuple[str, str]
    """Of both operations."""


def _alone(_task: int) -> tuple[Hashable, ...]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Operations and tasks as (operation, bindings): the result of compiling."""

    tables: tuple[Table, ...]
    """In the order in which the operations were met."""

    table_of: NDArray[np.int32]
    """Length n: the table that holds task t."""

    row_of: Ids
    """Length n: the row of task t in its table."""

    data: tuple[Any, ...]
    """Data objects: values the client holds, or `Kept` references; data[i] has the id n + i."""

    edges: Edges

    outputs: tuple[Nested, ...]
    """The value ids wanted, in the nesting of the keys asked for."""

    wanted: tuple[Any, ...]
    """The Dask keys of the outputs, nested alike."""

    finish: Callable[[list[Any]], Any]
    """Makes what the user asked for from the outputs' values, on the client."""

    key: Callable[[int], Hashable]
    """The Dask key of a task: for messages, callbacks and annotations."""

    requirements: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """By operation id, `name==version` of each distribution that it needs; filled in by the packager."""

    paths: tuple[str, ...] = ()
    """Local paths that the graph names: local functions see them, a deployment on AWS refuses them."""

    fusions: tuple[Fusion, ...] = ()
    """What was fused, in order: a later one may fuse what an earlier one made."""

    absorbed: Callable[[int], tuple[Hashable, ...]] = _alone
    """The Dask keys of the tasks that are done on the way to a task's value, as part of it; in their order."""

    idempotent: dict[str, bool] = field(default_factory=dict)
    """By operation id, whether the user said that its tasks may run twice, or may not; others as the run's setting says."""

    given: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """By operation id, what its tasks were annotated with for their function (see `parsers.OF_AN_OPERATION`)."""

    declared_bytes: int = 0
    """What is asked for takes, as far as the collections say: a user's chunks and dtypes may be wrong."""

    @property
    def task_count(self) -> int:
        """How many tasks there are."""
        return len(self.table_of)

    def called(self, task: int) -> str:
        """Return the key of a task, for messages; of a fused one, the keys of all that is in it."""
        return " ← ".join(map(str, (self.key(task), *reversed(self.absorbed(task)))))

    def bindings(self, task: int) -> tuple[Binding, ...]:
        """Return what `task` binds to each port of its operation."""
        return self.tables[int(self.table_of[task])].row(int(self.row_of[task]))


def values_of(binding: Binding) -> list[int]:
    """Return the ids of the values that a binding names, in order, repeats included."""
    if isinstance(binding, Input):
        return [binding.id]
    if isinstance(binding, Gather):
        return flat(binding.ids)
    return []


def flat(ids: Nested | Sequence[Nested]) -> list[int]:
    """Return the integers of nested lists, from left to right."""
    if isinstance(ids, int):
        return [ids]
    return [value for part in ids for value in flat(part)]


def _nest(shape: Any, ids: list[Nested]) -> Any:
    return ids[shape] if isinstance(shape, int) else [_nest(part, ids) for part in shape]
