"""Fusion: a task that only feeds one other task becomes part of it, where an invocation costs more than it does.

In: tables, their operations in the making, what earlier runs measured. Out: tables with fewer tasks, and which
task each became part of. Pure: the same tables and measurements give the same. Must not change a value.

A pair of tables is fused at one port at a time: all their tasks that are so linked become tasks of one new operation,
the others stay. So A B A B … becomes AB AB …, which one invocation then runs as a chain. At a port that gathers a few
values of one table, all their makers become part of the reader, where cores stay as busy as they were. A value that
another task reads, too, or that is asked for, is no link; nor is one whose reader shares another input with its maker,
or two of whose makers share one: each must have that for its own.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.constants import dumps
from graphlambda.compiler.grafting import gathered, grafted
from graphlambda.compiler.measured import Joining
from graphlambda.compiler.normal import operation_id
from graphlambda.compiler.program import (
    Constant,
    Fusion,
    Gathers,
    Input,
    Inputs,
    Literal,
    Literals,
    Mixed,
    Table,
)
from graphlambda.compiler.projections import picker_of
from graphlambda.compiler.refuse import MOST_INPUTS
from graphlambda.runtime.inputs import is_immutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from graphlambda.compiler.measured import Fusing
    from graphlambda.compiler.operations import Operations
    from graphlambda.compiler.program import Column, Ids

MOST_FUSIONS = 256
"""Of one program: each looks through all edges."""

MOST_PARTS = 16
"""Of one operation: a person can still read it."""

MOST_MAKERS = 4
"""So many tasks may become part of the one that reads all their values: it has the inputs of all in memory."""


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

    made: Ids
    """By row, the tasks of the maker whose values the port is bound to: one, or the members of a list."""

    @property
    def makers(self) -> int:
        """How many tasks each row reads at the port."""
        return int(self.made.shape[1])


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

    def _place_of(self, link: _Link) -> tuple[int, str, str, int, int]:
        """Return where a link stands in the order: the same under any hash seed."""
        maker, reader = (self.tables[each].operation.form for each in (link.maker, link.reader))
        return -len(link.rows), maker, reader, link.port, link.makers

    def _links(self) -> Iterator[_Link]:
        for reader, table in enumerate(self.tables):
            for port, column in enumerate(table.columns):
                for rows, ids in _named_in(column, MOST_MAKERS if self._fusing.at_once else 1):
                    yield from self._linked(reader, port, rows, ids)

    def _linked(self, reader: int, port: int, rows: Ids, ids: Ids) -> Iterator[_Link]:
        """Yield, for each table, the rows of a reader whose values at a port are all made there, for them alone."""
        alone = ((ids < self._tasks) & self._named_once[ids]).all(axis=1)
        rows, made = rows[alone], ids[alone]
        makers = self._table_of[made]
        of_one = (makers == makers[:, :1]).all(axis=1)
        rows, made, makers = rows[of_one], made[of_one], makers[of_one, 0]
        for maker in np.flatnonzero(np.bincount(makers)).tolist():
            link = _Link(maker, reader, port, rows[makers == maker], made[makers == maker])
            if maker != reader and self._may(link):
                yield link

    def _apart(self, link: _Link) -> _Link:
        """Return a link without the tasks that share an input with what they read, or would read too much with it."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        reading = reader.tasks[link.rows]
        is_reading = np.zeros(self._tasks, bool)
        is_reading[reading] = True
        needs = [_needs(reader, np.where(is_reading[reader.tasks], reader.tasks, -1), self._values)]
        for made in link.made.T:
            reader_of = np.full(self._tasks, -1, np.int64)
            reader_of[made] = reading
            needs.append(_needs(maker, reader_of[maker.tasks], self._values))
        found, times = np.unique(np.concatenate(needs), return_counts=True)
        names, widths = np.unique(found // self._values, return_counts=True)
        unfit = np.concatenate([found[times > 1] // self._values, names[widths > MOST_INPUTS]])
        fit = ~np.isin(reading, unfit)
        return replace(link, rows=link.rows[fit], made=link.made[fit])

    def _fuse(self, link: _Link) -> bool:
        """Fuse the tasks of a link, if that pays."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        first, then = maker.operation.form, reader.operation.form
        trees = self._operations.trees
        at = (trees[then], link.port, trees[first], len(maker.columns))
        tree = grafted(*at) if link.makers == 1 else gathered(*at, link.makers)
        form = operation_id(tree, self._operations.constants)
        why = self._why(link, form)
        if not why:
            return False
        columns = self._columns(link)
        self._parts[form] = self._parts_of(link)
        self._replace(link, Table(self._operations.of(tree, columns), reader.tasks[link.rows], columns))
        names = maker.operation.name, reader.operation.name
        self.fusions.append(
            Fusion(first=names[0], then=names[1], tasks=link.made.size, why=why, forms=(first, then))
        )
        return True

    def _columns(self, link: _Link) -> tuple[Column, ...]:
        """Return what the fused tasks of a link bind: the makers' columns stand where their values were."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        parts = [[column.take(self._row_of[made]) for column in maker.columns] for made in link.made.T]
        parts.append([column.take(link.rows) for column in reader.columns])
        if not all(map(_is_shareable, maker.columns)):
            parts[1:] = [list(map(_copied, part)) for part in parts[1:]]
        *first, then = parts
        return (*then[: link.port], *(column for part in first for column in part), *then[link.port + 1 :])

    def _parts_of(self, link: _Link) -> int:
        """Return how many operations would be one."""
        maker, reader = (self.tables[each].operation.form for each in (link.maker, link.reader))
        return link.makers * self._parts.get(maker, 1) + self._parts.get(reader, 1)

    def _why(self, link: _Link, fused: str) -> str:
        """Return why it pays to fuse the tasks of a link; empty where it does not."""
        both = self.tables[link.maker], self.tables[link.reader]
        first, then = (self._profiles.get(table.operation.form) for table in both)
        if self._fusing.always:
            return "fuse=True"
        if first is None or then is None:
            return ""
        joining = Joining(first, then, len(link.rows), link.makers)
        if not self._pays(joining, link, known=fused in self._fusing.profiles):
            return ""
        self._profiles.setdefault(fused, joining.joined)
        several = f", {link.makers} of them together" if link.makers > 1 else ""
        return (
            f"they take {1e3 * first.seconds:.1f}{several} and {1e3 * then.seconds:.1f} ms, "
            f"an invocation {1e3 * self._fusing.overhead_s:.1f} ms, a value's way {1e3 * joining.way_s / link.makers:.1f} ms"
        )

    def _pays(self, joining: Joining, link: _Link, *, known: bool) -> bool:
        fusing = self._fusing
        if not (known or self._takes_a_place(link) or joining.saves_enough(fusing.overhead_s)):
            return False
        only_reads = self._only_reads(link)
        return (
            joining.joined.p95_s <= fusing.longest_s
            and joining.is_cheap(fusing.overhead_s, known=known, only_reads=only_reads)
            and joining.keeps_cores_busy(fusing.at_once)
        )

    def _takes_a_place(self, link: _Link) -> bool:
        """Whether the new function takes the place of one that would have been new itself."""
        of_both = ((link.maker, link.made.size), (link.reader, len(link.rows)))
        tables = [(self.tables[number], count) for number, count in of_both]
        return any(
            table.operation.form in self._parts and len(table.tasks) == count for table, count in tables
        )

    def _may(self, link: _Link) -> bool:
        """Whether two operations may be fused at all: a projection costs nothing where it is."""
        maker, reader = (self.tables[each].operation for each in (link.maker, link.reader))
        if self._parts_of(link) > MOST_PARTS or picker_of(maker) is not None:
            return False
        known = maker.form in self._profiles and reader.form in self._profiles and picker_of(reader) is None
        return self._fusing.always or known

    def _only_reads(self, link: _Link) -> bool:
        """Whether a table's tasks wait for nothing but the other's: the makers' work keeps nobody waiting."""
        maker, reader = self.tables[link.maker], self.tables[link.reader]
        needed = np.concatenate(
            [pairs[1] for column in reader.columns if (pairs := column.edges()) is not None]
        )
        needed = needed[needed < self._tasks]
        return len(needed) <= link.makers * len(reader.tasks) and bool(np.isin(needed, maker.tasks).all())

    def _replace(self, link: _Link, fused: Table) -> None:
        """Take the tasks of a link out of their tables and put the fused ones in a new one."""
        self.into[link.made] = fused.tasks[:, np.newaxis]
        for number, gone in ((link.maker, self._row_of[link.made.ravel()]), (link.reader, link.rows)):
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


def _resolved(into: Ids) -> Ids:
    """Return for each task the one that it is part of in the end."""
    while not np.array_equal(further := into[into], into):
        into = further
    return into


def _named_in(column: Column, most: int) -> Iterator[tuple[Ids, Ids]]:
    """Yield rows of a column and, for each, the value that it is bound to, or the 2 to `most` values of a list."""
    if isinstance(column, Inputs):
        yield np.arange(len(column.ids), dtype=np.int64), column.ids[:, np.newaxis]
    elif isinstance(column, Mixed):
        pairs = [(row, each.id) for row, each in enumerate(column.bindings) if isinstance(each, Input)]
        rows, ids = np.array(pairs, np.int64).reshape(-1, 2).T
        yield rows, ids[:, np.newaxis]
    elif isinstance(column, Gathers) and column.shapes == (None,):
        counts = np.diff(column.starts)
        for count in range(2, most + 1):
            rows = np.flatnonzero(counts == count)
            yield rows, column.ids[column.starts[rows][:, np.newaxis] + np.arange(count)]


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
