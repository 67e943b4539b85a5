"""What has been done and what may be done next: a pure state machine over a program.

In: a `Program`, priorities, and the news that a task was started, committed or given back, or that a value is
lost. Out: the tasks to run next and the values that nobody will read again. Must not know time, the network or a
store.

    waiting ──last input committed──▶ ready ──take──▶ running ──commit──▶ done
       ▲                                ▲                │                  │
       │                                └───give_back────┘                  │
       └──────────────────────────────lose──────────────────────────────────┘

Two sets of edges tell everything: one is *missing* as long as its value is not committed, and *unread* as long as its
reader is not.
"""

from __future__ import annotations

from collections import deque
from enum import IntEnum
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from graphlambda.compiler.program import Ids, Program, flat
from graphlambda.compiler.projections import projections_of
from graphlambda.scheduler.edges import EdgeSet, readers, view

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

MOST_PARTS = 2_000
"""Projections of one batch: what a reply says of each must fit beside its values."""


class TaskState(IntEnum):
    """Where a task stands."""

    WAITING = 0
    READY = 1
    RUNNING = 2
    DONE = 3


class Commit(NamedTuple):
    """What follows from the first commit of a task."""

    ready: list[int]
    """Tasks whose last missing input this was."""

    released: list[int]
    """Values, data objects included, whose last reader this was; outputs are never among them."""


class RunState:
    """The state of every task of one run. First writer wins: a task is committed once, until its value is lost."""

    __slots__ = (
        "_by_rank", "_edge_starts", "_inputs", "_is_part", "_missing", "_output", "_positions", "_queues", "_rank",
        "_readers", "_reading", "_reading_edges", "_states", "_table_of", "_unread", "done", "outputs", "projections",
        "tasks",
    )  # fmt: skip

    def __init__(self, program: Program, rank: Ids) -> None:
        """Make the state in which nothing has run; `rank[t]` is the place of task t in the order."""
        self.tasks = program.task_count
        self.done = 0
        self.outputs = frozenset(flat(list(program.outputs)))
        self.projections = projections_of(program)
        self._is_part = bytes(table in self.projections.pickers for table in range(len(program.tables)))
        values = self.tasks + len(program.data)
        back = readers(program.edges, values)
        self._output = bytearray(values)
        for value in self.outputs:
            self._output[value] = 1
        self._states = bytearray(self.tasks)
        self._rank = view(rank)
        self._by_rank = view(np.argsort(rank, kind="stable"))
        self._table_of = view(program.table_of)
        self._edge_starts = view(program.edges.starts)
        self._inputs = view(program.edges.ids)
        self._positions = view(back.positions)
        self._readers = view(back.starts)
        self._reading = view(back.tasks)
        self._reading_edges = view(back.edges)
        self._missing = EdgeSet(program.edges.starts)
        self._unread = EdgeSet(back.starts)
        self._queues: dict[int, list[int]] = {}
        self._open(program)

    def _open(self, program: Program) -> None:
        """Take out the edges of what the client holds already, and queue what needs nothing else."""
        for value in range(self.tasks, self.tasks + len(program.data)):
            self._arrive(value)
        counts = np.diff(program.edges.starts)
        for task in np.flatnonzero(counts == 0).tolist():
            self._enqueue(task)

    def state(self, task: int) -> TaskState:
        """Return where a task stands."""
        return TaskState(self._states[task])

    @property
    def finished(self) -> bool:
        """Whether every task is done."""
        return self.done == self.tasks

    def next_table(self) -> int | None:
        """Return the table of the ready task that comes first in the order, if any is ready."""
        return min(self._queues, key=lambda table: self._queues[table][0], default=None)

    def ready(self, table: int) -> int:
        """Return how many tasks of a table are ready."""
        return len(self._queues.get(table, ()))

    def first_ready(self) -> list[tuple[int, int]]:
        """Return (table, its first ready task) of each table that has any, first in the order first."""
        first = sorted((queue[0], table) for table, queue in self._queues.items())
        return [(table, self._by_rank[rank]) for rank, table in first]

    def last_reads(self, task: int) -> list[int]:
        """Return the values that will be let go when a task is done: it is their last reader."""
        return [v for v in self.inputs(task) if self._is_held(v) and self._unread.left(v) == 1]

    def take(self, table: int, count: int) -> list[int]:
        """Start at most `count` ready tasks of a table, first in the order first."""
        queue = self._queues.get(table, [])
        taken = [self._by_rank[heappop(queue)] for _ in range(min(count, len(queue)))]
        if not queue:
            self._queues.pop(table, None)
        for task in taken:
            self._states[task] = TaskState.RUNNING
        return taken

    def give_back(self, task: int) -> None:
        """Make a running task ready again, or let it wait for its inputs; one that is done stays done."""
        if self._states[task] != TaskState.RUNNING:
            return
        if self._missing.empty(task):
            self._enqueue(task)
        else:
            self._states[task] = TaskState.WAITING

    def is_running(self, task: int) -> bool:
        """Whether a task was started and is not done."""
        return self._states[task] == TaskState.RUNNING

    def is_runnable(self, task: int) -> bool:
        """Whether all inputs of a task are there."""
        return self._missing.empty(task)

    def table(self, task: int) -> int:
        """Return the table that holds a task."""
        return self._table_of[task]

    def is_part(self, task: int) -> bool:
        """Whether a task is a projection: whatever function holds the value does it, and it counts as none."""
        return bool(self._is_part[self._table_of[task]])

    def together(self, tasks: Sequence[int]) -> list[slice]:
        """Return where in a reply each task stands with its projections, which come right after it."""
        starts = [row for row, task in enumerate(tasks) if not self.is_part(task)]
        if not starts:  # projections that ran alone
            starts = list(range(len(tasks)))
        return [slice(*pair) for pair in pairwise([*starts, len(tasks)])]

    def is_unsent(self, task: int, batch: Container[int]) -> bool:
        """Whether nobody will read a task's value but its own batch: projections of it alone, or no projection."""
        if self._output[task]:
            return False
        kinds = set()
        for reader in self._reading[self._readers[task] : self._readers[task + 1]]:
            if self._states[reader] == TaskState.DONE:
                continue
            if reader not in batch:
                return False
            kinds.add(self._is_part[self._table_of[reader]])
        return len(kinds) <= 1

    def follow(self, tasks: list[int], count: int) -> list[int]:
        """Return `tasks` and the waiting tasks that can run in their batch, each after its inputs; start those.

        They are at most `count` tasks of the same table whose missing inputs are all made in the batch, and the
        projections of what is made in it, each at once after its value: few values are held at a time.
        """
        if count <= 0 and not any(self._is_part):
            return tasks
        batch: list[int] = []
        made = set(tasks)
        parts = MOST_PARTS
        queue = deque(tasks)
        while queue:
            stack = [queue.popleft()]
            while stack:
                batch.append(task := stack.pop())
                found: list[int] = []
                for reader in self._reading[self._readers[task] : self._readers[task + 1]]:
                    is_part = self._is_part[self._table_of[reader]]
                    may = parts if is_part else count * (self._table_of[reader] == self._table_of[tasks[0]])
                    if may <= 0 or not self._follows(reader, made):
                        continue
                    self._states[reader] = TaskState.RUNNING
                    made.add(reader)
                    parts -= is_part
                    count -= not is_part
                    (found if is_part else queue).append(reader)
                stack += reversed(found)
        return batch

    def _follows(self, reader: int, made: set[int]) -> bool:
        """Whether a waiting task lacks nothing but what is `made`."""
        if self._states[reader] != TaskState.WAITING:
            return False
        edges = range(self._edge_starts[reader], self._edge_starts[reader + 1])
        return all(self._inputs[edge] in made for edge in edges if edge in self._missing)

    def commit(self, task: int) -> Commit | None:
        """Commit a task's value; return what follows, or None if it was committed before."""
        if self._states[task] == TaskState.DONE:
            return None
        was_ready = self._states[task] == TaskState.READY  # a late reply, after the task was given back
        self._states[task] = TaskState.DONE
        if was_ready:
            self._requeue({self._table_of[task]})
        self.done += 1
        return Commit(self._arrive(task), self._release(task))

    def lose(self, values: Iterable[int]) -> list[int]:
        """Take back the commits of values that are gone, and of what their tasks need and was released meanwhile.

        Returns the tasks that run again. What is not committed, or nobody needs any more, is passed over.
        """
        lost = [
            value for value in dict.fromkeys(values) if self._is_there(value) and not self._is_over(value)
        ]
        for task in lost:
            self._states[task] = TaskState.WAITING
        for task in lost:  # `lost` grows while we look
            for edge in range(self._edge_starts[task], self._edge_starts[task + 1]):
                value = self._inputs[edge]
                if self._is_there(value) and self._is_over(value):
                    self._states[value] = TaskState.WAITING
                    lost.append(value)
                self._unread.put(value, self._positions[edge])
        self.done -= len(lost)
        self._leave(lost)
        for task in lost:
            if self._missing.empty(task):
                self._enqueue(task)
        return lost

    def _is_there(self, value: int) -> bool:
        """Whether a task's value is committed."""
        return value < self.tasks and self._states[value] == TaskState.DONE

    def _is_held(self, value: int) -> bool:
        """Whether a value whose last reader is done is to be let go: one that is lost is not there to be."""
        return not self._output[value] and (value >= self.tasks or self._states[value] == TaskState.DONE)

    def _is_over(self, value: int) -> bool:
        """Whether nobody will read a value again."""
        return not self._output[value] and self._unread.empty(value)

    def _leave(self, values: Iterable[int]) -> None:
        """Put the edges of values that are not there any more back into their readers' rows; who is ready waits."""
        tables = set()
        for value in values:
            for position in range(self._readers[value], self._readers[value + 1]):
                task = self._reading[position]
                self._missing.put(task, self._reading_edges[position])
                if self._states[task] == TaskState.READY:
                    self._states[task] = TaskState.WAITING
                    tables.add(self._table_of[task])
        self._requeue(tables)

    def _requeue(self, tables: Iterable[int]) -> None:
        """Take out of the queues of some tables what is not ready any more."""
        for table in tables:
            left = [
                rank
                for rank in self._queues.pop(table)
                if self._states[self._by_rank[rank]] == TaskState.READY
            ]
            if left:
                heapify(left)
                self._queues[table] = left

    def inputs(self, task: int) -> list[int]:
        """Return the values that a task needs, each once, ascending."""
        return self._inputs[self._edge_starts[task] : self._edge_starts[task + 1]].tolist()

    def _enqueue(self, task: int) -> None:
        self._states[task] = TaskState.READY
        heappush(self._queues.setdefault(self._table_of[task], []), self._rank[task])

    def _arrive(self, value: int) -> list[int]:
        """Take the edges of a value that is there now out of its readers' rows; return who is ready."""
        ready = []
        for position in range(self._readers[value], self._readers[value + 1]):
            task = self._reading[position]
            if self._missing.take(task, self._reading_edges[position]) and not self._states[task]:
                self._enqueue(task)
                ready.append(task)
        return ready

    def _release(self, task: int) -> list[int]:
        """Take the edges that a done task read through; return the values that nobody will read again."""
        released = [task] if self._is_over(task) else []
        for edge in range(self._edge_starts[task], self._edge_starts[task + 1]):
            value = self._inputs[edge]
            if self._unread.take(value, self._positions[edge]) and self._is_held(value):
                released.append(value)
        return released
