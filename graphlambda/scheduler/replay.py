"""From a journal to where a run stood when its client died.

In: records, in order. Out: the same state and values as that client had, and what else it had learnt. Must not run
anything, nor look for values: one that is not in the store any more is found out by whoever reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphlambda.scheduler.journal import Kind, lost_in, place_in
from graphlambda.scheduler.state import TaskState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.scheduler.journal import Record
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.values import Values


@dataclass(slots=True)
class Past:
    """What a run has learnt, beside what is done."""

    charged: dict[tuple[str, int], int] = field(default_factory=dict)
    """By way and task, how often a task failed in that way."""

    done: list[int] = field(default_factory=list)
    """Tasks that are committed."""

    started: set[int] = field(default_factory=set)
    """Tasks that may not run twice, and may have run; those that are done are not among them."""

    spent_pico: int = 0
    """Picodollars that were spent, with what was in flight at the end."""

    functions: dict[str, str] = field(default_factory=dict)
    """By operation id, the function that took the first one's place."""


def replay(records: Iterable[Record], state: RunState, values: Values) -> Past:
    """Commit what was committed and lose what was lost; what is ready then is queued."""
    past = Past()
    started: set[int] = set()
    for record in records:
        match record.kind:
            case Kind.COMMITTED | Kind.STORED | Kind.SHARED | Kind.UNSENT:
                _start_all(state, started)
                started.add(record.subject)
                _commit(record, state, values)
            case Kind.LOST:
                _lose(record, state, values)
            case Kind.CHARGED:
                past.charged[record.body.decode(), record.subject] = record.number
            case Kind.STARTED:
                (past.started.add if record.number else past.started.discard)(record.subject)
            case Kind.SPENT:
                past.spent_pico = record.subject + record.number
            case Kind.REPLACED:
                operation, function = record.body.decode().split(" ")
                past.functions[operation] = function
    for task in started:
        state.give_back(task)  # what is done stays done
    past.done = [task for task in sorted(started) if state.state(task) == TaskState.DONE]
    past.started.difference_update(past.done)
    return past


def done_in(records: Iterable[Record]) -> set[int]:
    """Return the tasks that a journal tells are done."""
    done: set[int] = set()
    for record in records:
        if record.kind in {Kind.COMMITTED, Kind.STORED, Kind.SHARED, Kind.UNSENT}:
            done.add(record.subject)
        elif record.kind == Kind.LOST:
            done.difference_update(lost_in(record))
    return done


def replaced_in(records: Iterable[Record]) -> set[str]:
    """Return the functions that a journal tells took others' place."""
    return {record.body.decode().split(" ")[1] for record in records if record.kind == Kind.REPLACED}


def _start_all(state: RunState, started: set[int]) -> None:
    """Start whatever is ready: what is committed next was running."""
    while (table := state.next_table()) is not None:
        started.update(state.take(table, state.ready(table)))


def _commit(record: Record, state: RunState, values: Values) -> None:
    commit = state.commit(record.subject)
    if commit is None:
        return
    if record.kind != Kind.UNSENT:
        frame = record.body if record.kind == Kind.COMMITTED else None
        values.receive(record.subject, frame, record.number, place_in(record))
    values.release(commit.released)


def _lose(record: Record, state: RunState, values: Values) -> None:
    gone = lost_in(record)
    for value in {*gone, *state.lose(gone)}:
        values.forget(value)
