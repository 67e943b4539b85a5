"""Verify a program: what every later stage takes for granted.

In: a Program. Out: nothing; a RefusedError where the user's graph has a cycle, else an AssertionError: that
should never happen; if it does, it is our bug.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.program import flat
from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from graphlambda.compiler.program import Ids, Program

_NARROW = 64
"""Waves of fewer tasks are stepped through in Python: NumPy's fixed cost a call would exceed theirs."""

_DENSE = 16
"""Where a wave reaches a larger share of all tasks than one in so many, counting them all is less than sorting."""

_TOLD_AT_MOST = 8
"""So many tasks of a cycle are named."""


def verify(program: Program) -> None:
    """Check all invariants.

    Raises:
        RefusedError: tasks wait for each other.
    """
    _every_task_has_one_row(program)
    _every_port_has_a_column(program)
    _values_exist(program)
    _outputs_exist(program)
    _no_task_waits_for_itself(program)


def _every_task_has_one_row(program: Program) -> None:
    count = sum(len(table.tasks) for table in program.tables)
    assert count == program.task_count == len(program.row_of)


def _every_port_has_a_column(program: Program) -> None:
    for table in program.tables:
        assert len(table.columns) == table.operation.ports


def _values_exist(program: Program) -> None:
    values = program.edges.ids
    assert len(program.edges.starts) == program.task_count + 1
    assert not len(values) or (values.min() >= 0 and values.max() < program.task_count + len(program.data))


def _outputs_exist(program: Program) -> None:
    last = program.task_count + len(program.data)
    assert all(0 <= value < last for output in program.outputs for value in flat(output))


def _no_task_waits_for_itself(program: Program) -> None:
    tasks = np.repeat(np.arange(program.task_count, dtype=np.int64), np.diff(program.edges.starts))
    between = program.edges.ids < program.task_count  # data objects are always there
    tasks, values = tasks[between], program.edges.ids[between]
    if (values < tasks).all() or (values > tasks).all():
        return
    left = _read_in_a_circle(tasks, values, program.task_count)
    if not left.any():
        return
    names = [repr(program.key(task)) for task in _circle(tasks, values, left)]
    told = " needs ".join([*names[:_TOLD_AT_MOST], "…" if len(names) > _TOLD_AT_MOST else names[0]])
    raise RefusedError(f"The graph has a cycle: {told}", "A task can only need what is computed before it.")


def _read_in_a_circle(tasks: Ids, values: Ids, count: int) -> Ids:
    """Return how many readers each task has left when all that nobody waits for are taken away, wave by wave."""
    starts = np.searchsorted(tasks, np.arange(count + 1)).astype(np.int64)
    left = np.bincount(values, minlength=count).astype(np.int64)
    wave = np.flatnonzero(left == 0)
    while len(wave):
        wave = (_narrow_wave if len(wave) < _NARROW else _wide_wave)(wave, starts, values, left)
    return left


def _wide_wave(wave: Ids, starts: Ids, values: Ids, left: Ids) -> Ids:
    """Take a wave of tasks away; return those that have no reader any more."""
    counts = starts[wave + 1] - starts[wave]
    shift = np.repeat(starts[wave] - (np.cumsum(counts) - counts), counts)
    reached = values[shift + np.arange(len(shift), dtype=np.int64)]
    if len(reached) * _DENSE < len(left):
        fewer, counts = np.unique(reached, return_counts=True)
        left[fewer] -= counts
        unread: Ids = fewer[left[fewer] == 0]
        return unread
    taken = np.bincount(reached, minlength=len(left))
    left -= taken
    return np.flatnonzero((taken > 0) & (left == 0))


def _narrow_wave(wave: Ids, starts: Ids, values: Ids, left: Ids) -> Ids:
    """Take waves away while they are narrow; return the first one that is not, or an empty one."""
    first, needed, readers = map(_view, (starts, values, left))
    tasks: list[int] = wave.tolist()
    while tasks and len(tasks) < _NARROW:
        reached = []
        for task in tasks:
            for position in range(first[task], first[task + 1]):
                value = needed[position]
                readers[value] -= 1
                if not readers[value]:
                    reached.append(value)
        tasks = reached
    return np.array(tasks, np.int64)


def _view(ids: Any) -> memoryview:
    """Return an array's own memory as something that gives and takes plain integers, three times as fast."""
    return memoryview(np.ascontiguousarray(ids, np.int64))  # type: ignore[arg-type]  # NumPy's stubs lack the protocol


def _circle(tasks: Ids, values: Ids, left: Ids) -> list[int]:
    """Return the tasks of one cycle, each before one that it needs: all that are left have a reader."""
    inside = (left[tasks] > 0) & (left[values] > 0)
    reader = dict(zip(values[inside].tolist(), tasks[inside].tolist(), strict=True))
    met: dict[int, None] = {}
    task = next(iter(reader))
    while task not in met:
        met[task] = None
        task = reader[task]
    path = list(met)
    return path[path.index(task) :][::-1]
