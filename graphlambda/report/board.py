"""What the live display shows, as counts.

In: build steps and events, from any thread. Out: frozen pictures of the counts. Must not draw.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

from graphlambda.scheduler.events import (
    Event,
    InvocationEnded,
    InvocationStarted,
    RunStarted,
    TasksDone,
    TasksRecalled,
    TasksSpared,
    TaskUndone,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the display."""

    name: str
    done: int
    total: int

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return self.done >= self.total


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All that is shown at one moment."""

    building: Row | None
    """The function that was built last, and how many of how many are; None before the first."""

    operations: tuple[Row, ...]
    """In table order; empty before a run starts."""

    in_flight: int
    """Invocations without an answer yet."""


class Board:
    """Keeps count. Every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._building: Row | None = None
        self._names: dict[str, tuple[str, int]] = {}
        self._done: dict[str, int] = {}
        self._in_flight = 0

    def built(self, name: str, done: int, total: int) -> None:
        """Note that `done` of `total` functions are there, and which one came last."""
        with self._lock:
            self._building = Row(name, done, total)

    def add(self, event: Event) -> None:
        """Count one event."""
        with self._lock:
            self._add(event)

    def counts(self) -> Counts:
        """Return the counts of this moment."""
        with self._lock:
            rows = tuple(Row(name, self._done[key], total) for key, (name, total) in self._names.items())
            return Counts(building=self._building, operations=rows, in_flight=self._in_flight)

    def _start(self, event: RunStarted) -> None:
        """Begin anew. An operation may have several tables: its tasks are those of all."""
        tasks = Counter[str]()
        for operation, _, number in event.operations:
            tasks[operation] += number
        self._names = {operation: (name, tasks[operation]) for operation, name, _ in event.operations}
        self._done = dict.fromkeys(self._names, 0)
        self._in_flight = 0

    def _add(self, event: Event) -> None:
        match event:
            case TasksDone() | TasksRecalled() | TasksSpared():
                self._done[event.operation] += len(event.tasks)
            case InvocationStarted():
                self._in_flight += 1
            case InvocationEnded():
                self._in_flight -= 1
            case TaskUndone():
                self._done[event.operation] -= 1
            case RunStarted():
                self._start(event)
            case _:
                pass
