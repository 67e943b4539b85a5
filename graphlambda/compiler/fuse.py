"""Fusion: a task that only feeds one other task becomes part of it, where an invocation costs more than it does.

In: tables, their operations in the making, what earlier runs measured. Out: tables with fewer tasks, and which
task each became part of. Pure: the same tables and measurements give the same. Must not change a value.

A pair of tables is fused at one port at a time: all their tasks that are so linked become tasks of one new operation,
the others stay. So A B A B … becomes AB AB …, which one invocation then runs as a chain. A value that another task
reads, too, or that is asked for, is no link; nor is one whose reader shares another input with its maker: each must
have that for its own.
"""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.constants import dumps
from graphlambda.compiler.grafting import grafted
from graphlambda.compiler.normal import operation_id
from graphlambda.compiler.program import Constant, Fusion, Input, Inputs, Literal, Literals, Mixed, Table
from graphlambda.compiler.projections import picker_of
from graphlambda.compiler.refuse import MOST_INPUTS
from graphlambda.runtime.inputs import is_immutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from graphlambda.compiler.operations import Operations
    from graphlambda.compiler.program import Column, Ids, Operation

MOST_FUSIONS = 256
"""Of one program: each looks through all edges."""

MOST_PARTS = 16
"""Of one operation: a person can still read it."""

LEAST_TASKS = 32
LEAST_SAVED_S = 0.25
"""What a fusion must bring in a run before a function is made for it; fewer tasks must bring it by values that stay."""

WORTH = 0.05
"""Long tasks that keep nobody waiting are fused, too, where handing a value on is so much of what they take."""

STAYS = 3.0
"""So many times longer may what is fused already take, before it is taken apart: measurements differ from run to run."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured of one operation's tasks."""

    seconds: float
    """What a task takes: the median."""

    p95_s: float
    value_bytes: float
    """Of a value: the mean."""

    batch: float
    """How many of them shared an invocation."""

    count: float
    """How many tasks this is known from."""

    reading_s: float = 0.0
    """What reading a task's inputs takes in a warm environment, of its seconds: the mean; 0 where that is not known."""

    sending_s: float = 0.0
    """What sending its value takes, of its seconds: the mean."""

    def followed_by(self, other: Profile) -> Profile:
        """Return what is to be expected of tasks that do another's work, too."""
        return replace(
            other,
            seconds=self.seconds + other.seconds,
            p95_s=self.p95_s + other.p95_s,
            batch=min(self.batch, other.batch),
            reading_s=self.reading_s,
        )


@dataclass(frozen=True, slots=True)
class Fusing:
    """Whether to fuse what, by which measurements."""

    always: bool = False
    """Fuse every linear chain, however long its tasks take."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """By an operation's form."""

    overhead_s: float = 0.0
    """What an invocation takes beside its tasks."""

    longest_s: float = math.inf
    """What nearly all fused tasks must stay below."""


@dataclass(frozen=True, slots=True)
class Fused:
    """What fusion leaves."""

    tables: tuple[Table, ...]
    """With the ids that the tasks had."""

    into: Ids
    """By task: the one that it became part of; itself where it stays."""

    fusions: tuple[Fusion, ...]


@dataclass(frozen=True, slots=True)
class _Link:
    """The tasks of two tables that could be fused at one port."""

    maker: int
    reader: int
    port: int
    rows: Ids
    """Of the reader."""


def fuse(
    tables: tuple[Table, ...], operations: Operations, values: int, outputs: list[int], fusing: Fusing
) -> Fused:
    """Return the tables with all fused that pays; `values` counts tasks and data objects."""
    if not fusing.always and not any(table.operation.form in fusing.profiles for table in tables):
        count = sum(len(table.tasks) for table in tables)
        return Fused(tables, np.arange(count, dtype=np.int64), ())
    fuser = _Fuser(tables, operations, _named_once(tables, values, outputs), fusing)
    fuser.run()
    left = tuple(table for table in fuser.tables if len(table.tasks))
    return Fused(left, _resolved(fuser.into), tuple(fuser.fusions))


class _Fuser:
    """Fuses one pair of tables after the other, those with the most tasks first."""

    def __init__(
        self, tables: tuple[Table, ...], operations: Operations, named_once: NDArray[np.bool_], fusing: Fusing
    ) -> None:
        self.tables = list(tables)
        self.fusions: list[Fusion] = []
        self._tasks = sum(len(table.tasks) for table in tables)
        self.into: Ids = np.arange(self._tasks, dtype=np.int64)
        self._operations = operations
        self._named_once = named_once
        self._values = len(named_once)
        self._parts: dict[str, int] = {}
        self._fusing = fusing
        self._profiles = dict(fusing.profiles)
        self._table_of = np.zeros(self._tasks, np.int64)
        self._row_of = np.zeros(self._tasks, np.int64)
        for number in range(len(tables)):
            self._place(number)

    def run(self) -> None:
        """Fuse until nothing pays."""
        while len(self.fusions) < MOST_FUSIONS and self._step():
            pass

    def _step(self) -> bool:
        for link in sorted(self._links(), key=self._place_of):
            apart = self._apart(link)
            if len(apart.rows) and self._fuse(apart):
                return True
        return False

    def _place_of(self, link: _Link) -> tuple[int, str, str, int]:
        """Return where a link stands in the order: the same under any hash seed."""
        maker, reader = (self.tables[each].operation.form for each in (link.maker, link.reader))
        return -len(link.rows), maker, reader, link.port

    def _links(self) -> Iterator[_Link]:
        for reader, table in enumerate(self.tables):
            for port, column in enumerate(table.columns):
                rows, ids = _single_inputs(column)
                linked = (ids < self._tasks) & self._named_once[ids] if len(ids) else np.zeros(0, bool)
                rows, makers = rows[linked], self._table_of[ids[linked]]
                for maker in np.flatnonzero(np.bincount(makers)).tolist():
                    if maker != reader and self._may(self.tables[maker].operation, table.operation):
                        yield _Link(maker, reader, port, rows[makers == maker])

    def _apart(self, link: _Link) -> _Link:
        """Return a link without the tasks that share an input with what they read, or would read too much with it."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        made = _ids_at(reader.columns[link.port], link.rows)
        reading = reader.tasks[link.rows]
        reader_of = np.full(self._tasks, -1, np.int64)
        reader_of[made] = reading
        is_reading = np.zeros(self._tasks, bool)
        is_reading[reading] = True
        needs = (
            _needs(maker, reader_of[maker.tasks], self._values),
            _needs(reader, np.where(is_reading[reader.tasks], reader.tasks, -1), self._values),
        )
        found, times = np.unique(np.concatenate(needs), return_counts=True)
        names, widths = np.unique(found // self._values, return_counts=True)
        unfit = np.concatenate([found[times > 1] // self._values, names[widths > MOST_INPUTS]])
        return replace(link, rows=link.rows[~np.isin(reading, unfit)])

    def _fuse(self, link: _Link) -> bool:
        """Fuse the tasks of a link, if that pays."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        first, then = maker.operation.form, reader.operation.form
        trees = self._operations.trees
        tree = grafted(trees[then], link.port, trees[first], len(maker.columns))
        form = operation_id(tree, self._operations.constants)
        why = self._why(link, form)
        if not why:
            return False
        made = _ids_at(reader.columns[link.port], link.rows)
        columns = self._columns(link, made)
        self._parts[form] = self._parts.get(first, 1) + self._parts.get(then, 1)
        self._replace(link, made, Table(self._operations.of(tree, columns), reader.tasks[link.rows], columns))
        names = maker.operation.name, reader.operation.name
        self.fusions.append(
            Fusion(first=names[0], then=names[1], tasks=len(link.rows), why=why, forms=(first, then))
        )
        return True

    def _columns(self, link: _Link, made: Ids) -> tuple[Column, ...]:
        """Return what the fused tasks of a link bind: the maker's columns stand where its value was."""
        first = [column.take(self._row_of[made]) for column in self.tables[link.maker].columns]
        then = [column.take(link.rows) for column in self.tables[link.reader].columns]
        if not all(map(_is_shareable, first)):
            then = list(map(_copied, then))
        return (*then[: link.port], *first, *then[link.port + 1 :])

    def _why(self, link: _Link, fused: str) -> str:
        """Return why it pays to fuse the tasks of a link; empty where it does not."""
        both = self.tables[link.maker], self.tables[link.reader]
        first, then = (self._profiles.get(table.operation.form) for table in both)
        if self._fusing.always:
            return "fuse=True"
        if first is None or then is None:
            return ""
        known, joined = fused in self._fusing.profiles, first.followed_by(then)
        if not (known or self._is_worth_a_function(link, first, then)):
            return ""
        if joined.p95_s > self._fusing.longest_s or not self._is_cheap(link, first, then, known=known):
            return ""
        self._profiles.setdefault(fused, joined)
        return (
            f"they take {1e3 * first.seconds:.1f} and {1e3 * then.seconds:.1f} ms, "
            f"an invocation {1e3 * self._fusing.overhead_s:.1f} ms, a value's way {1e3 * _way_s(first, then):.1f} ms"
        )

    def _is_worth_a_function(self, link: _Link, first: Profile, then: Profile) -> bool:
        """Whether fusing a link saves what a new function costs; where it takes the place of a new one, it does."""
        for number in (link.maker, link.reader):
            table = self.tables[number]
            if table.operation.form in self._parts and len(table.tasks) == len(link.rows):
                return True
        tasks, way_s = len(link.rows), _way_s(first, then)
        few = tasks < LEAST_TASKS and tasks * way_s < LEAST_SAVED_S
        return not few and tasks * (self._fusing.overhead_s / first.batch + way_s) >= LEAST_SAVED_S

    def _is_cheap(self, link: _Link, first: Profile, then: Profile, *, known: bool) -> bool:
        """Whether what fused tasks take is not much longer than what their invocations and values cost apart."""
        times, overhead_s = STAYS if known else 1.0, self._fusing.overhead_s
        if first.seconds <= times * overhead_s:
            return True
        handing_s = times * (overhead_s / first.batch + _way_s(first, then))
        is_cheap = then.seconds <= times * overhead_s or handing_s >= WORTH * (first.seconds + then.seconds)
        return is_cheap and self._only_reads(self.tables[link.reader], self.tables[link.maker])

    def _may(self, maker: Operation, reader: Operation) -> bool:
        """Whether two operations may be fused at all: a projection costs nothing where it is."""
        parts = self._parts.get(maker.form, 1) + self._parts.get(reader.form, 1)
        if parts > MOST_PARTS or picker_of(maker) is not None:
            return False
        known = maker.form in self._profiles and reader.form in self._profiles and picker_of(reader) is None
        return self._fusing.always or known

    def _only_reads(self, reader: Table, maker: Table) -> bool:
        """Whether a table's tasks wait for nothing but one other table's: the maker's work keeps nobody waiting."""
        needed = np.concatenate(
            [pairs[1] for column in reader.columns if (pairs := column.edges()) is not None]
        )
        needed = needed[needed < self._tasks]
        return len(needed) <= len(reader.tasks) and bool(np.isin(needed, maker.tasks).all())

    def _replace(self, link: _Link, made: Ids, fused: Table) -> None:
        """Take the tasks of a link out of their tables and put the fused ones in a new one."""
        self.into[made] = fused.tasks
        for number, gone in ((link.maker, self._row_of[made]), (link.reader, link.rows)):
            table = self.tables[number]
            left = np.delete(np.arange(len(table.tasks)), gone)
            columns = tuple(column.take(left) for column in table.columns)
            self.tables[number] = Table(table.operation, table.tasks[left], columns)
            self._place(number)
        self.tables.append(fused)
        self._place(len(self.tables) - 1)

    def _place(self, number: int) -> None:
        tasks = self.tables[number].tasks
        self._table_of[tasks] = number
        self._row_of[tasks] = np.arange(len(tasks))


def _named_once(tables: Iterable[Table], values: int, outputs: list[int]) -> NDArray[np.bool_]:
    """Return which values stand in one place of one task alone."""
    times = np.zeros(values, np.int64)
    for table in tables:
        for column in table.columns:
            if (pairs := column.edges()) is not None:
                times += np.bincount(pairs[1], minlength=values)
    times[np.array(outputs, np.int64)] += 2
    once: NDArray[np.bool_] = times == 1
    return once


def _way_s(first: Profile, then: Profile) -> float:
    """Return what a value's way from one task to the next takes."""
    return first.sending_s + then.reading_s


def _resolved(into: Ids) -> Ids:
    """Return for each task the one that it is part of in the end."""
    while not np.array_equal(further := into[into], into):
        into = further
    return into


def _single_inputs(column: Column) -> tuple[Ids, Ids]:
    """Return the rows of a column that one value is bound to, and those values."""
    if isinstance(column, Inputs):
        return np.arange(len(column.ids), dtype=np.int64), column.ids
    if isinstance(column, Mixed):
        pairs = [(row, each.id) for row, each in enumerate(column.bindings) if isinstance(each, Input)]
        return np.array([row for row, _ in pairs], np.int64), np.array(
            [value for _, value in pairs], np.int64
        )
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


def _ids_at(column: Column, rows: Ids) -> Ids:
    """Return the values that are bound in some rows, of which each has one."""
    found, ids = _single_inputs(column)
    return ids[np.searchsorted(found, rows)]


def _needs(table: Table, named: Ids, values: int) -> Ids:
    """Return what a table's tasks need, `named` by row, each once, as name * values + value; those named -1 are left out."""
    parts = [np.zeros(0, np.int64)]
    for column in table.columns:
        if (pairs := column.edges()) is not None:
            names = named[pairs[0]]
            parts.append((names * values + pairs[1])[names >= 0])
    return np.unique(np.concatenate(parts))


def _is_shareable(column: Column) -> bool:
    """Whether no literal of a column can be changed."""
    return all(map(is_immutable, _literals(column)))


def _literals(column: Column) -> Iterable[Any]:
    match column:
        case Constant(value):
            return [value]
        case Literals(values):
            return values
        case Mixed(bindings):
            return [binding.value for binding in bindings if isinstance(binding, Literal)]
    return []


def _copied(column: Column) -> Column:
    """Return a column whose literals are its own: as one task each, they may have been one object with others."""
    match column:
        case Constant(value):
            return Constant(_copy(value))
        case Literals(values):
            return Literals(list(map(_copy, values)))
        case Mixed(bindings):
            return Mixed(tuple(Literal(_copy(b.value)) if isinstance(b, Literal) else b for b in bindings))
    return column


def _copy(value: Any) -> Any:
    return value if is_immutable(value) else pickle.loads(dumps(value))
