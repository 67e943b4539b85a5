"""Makes the events of a run and tells them.

In: what the execution does. Out: events, if anybody listens. Must not keep anything.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections import Counter, defaultdict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from graphlambda.errors import RunCancelledError
from graphlambda.prices import NO_TRAFFIC
from graphlambda.scheduler.events import (
    InvocationEnded,
    InvocationStarted,
    RunEnded,
    RunStarted,
    StoreOverfull,
    TaskOutput,
    TaskRetried,
    TasksDone,
    TasksRecalled,
    TasksSpared,
    TaskUndone,
    ValuesReleased,
)
from graphlambda.scheduler.outcomes import Answered

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.ledger import Ledger
    from graphlambda.scheduler.listeners import Listeners
    from graphlambda.scheduler.outcomes import Outcome

T = TypeVar("T")


class Teller:
    """Tells listeners of one run."""

    __slots__ = ("_clock", "_listeners", "_program", "_run", "_started_s")

    def __init__(self, listeners: Listeners, clock: Clock, program: Program, run: str) -> None:
        self._listeners = listeners
        self._clock = clock
        self._program = program
        self._run = run
        self._started_s = clock.monotonic()

    @contextmanager
    def telling(self, ledger: Ledger) -> Iterator[None]:
        """Tell the first event and the last one around a run that stores what its ledger says."""
        self._run_started()
        failure = ""
        try:
            yield
        except BaseException as error:
            cancelled = isinstance(error, CancelledError)
            failure = (RunCancelledError if cancelled else type(error)).__name__
            raise
        finally:
            self._run_ended(failure, ledger.peak_bytes)

    def _run_started(self) -> None:
        counts: Counter[tuple[str, str]] = Counter()
        for table in self._program.tables:  # an operation may have several
            counts[table.operation.id, table.operation.name] += len(table.tasks)
        operations = tuple((*operation, tasks) for operation, tasks in counts.items())
        self._listeners(
            RunStarted(
                run=self._run, at_s=self._clock.time(), tasks=self._program.task_count, operations=operations
            )
        )

    def _run_ended(self, failure: str, stored_peak_bytes: int) -> None:
        seconds = self._clock.monotonic() - self._started_s
        self._listeners(
            RunEnded(
                run=self._run,
                at_s=self._clock.time(),
                seconds=seconds,
                failure=failure,
                stored_peak_bytes=stored_peak_bytes,
            )
        )

    def sent(
        self, table: int, function: str, tasks: tuple[int, ...], attempt: int, request_bytes: int
    ) -> None:
        """Tell that a request was sent."""
        if self._listeners:
            self._listeners(
                InvocationStarted(
                    at_s=self._clock.time(), operation=self._operation(table), function=function, tasks=tasks,
                    attempt=attempt, request_bytes=request_bytes,
                )
            )  # fmt: skip

    def came_back(
        self,
        table: int,
        function: str,
        tasks: tuple[int, ...],
        *,
        outcome: Outcome,
        seconds: float,
        billed_s: float,
        reply_bytes: int,
    ) -> None:
        """Tell that a reply came, or nothing did."""
        if self._listeners:
            answered = outcome if isinstance(outcome, Answered) else None
            self._listeners(
                InvocationEnded(
                    at_s=self._clock.time(), operation=self._operation(table), function=function, tasks=tasks,
                    seconds=seconds, reply_bytes=reply_bytes,
                    billed_s=billed_s,
                    cold=answered.cold if answered else False,
                    had_waited=answered.had_waited if answered else False,
                    reading_s=answered.reading_s if answered else 0.0,
                    sending_s=answered.sending_s if answered else 0.0,
                    traffic=answered.traffic if answered else NO_TRAFFIC,
                    failure="" if isinstance(outcome, Answered) else outcome.kind.value,
                )
            )  # fmt: skip

    def done(self, table: int, answered: Answered, rows: Sequence[int]) -> None:
        """Tell that the values in some rows of a reply are committed, all of one table."""
        if self._listeners:
            self._listeners(
                TasksDone(
                    at_s=self._clock.time(),
                    operation=self._operation(table),
                    tasks=_at(rows, answered.tasks),
                    started_s=_at(rows, answered.started_s),
                    seconds=_at(rows, answered.seconds),
                    value_bytes=_at(rows, answered.value_bytes),
                    inline=tuple([answered.frames[row] is not None for row in rows]),
                    peak_mb=answered.peak_mb,
                )
            )

    def recalled(self, tasks: Iterable[int]) -> None:
        """Tell what an earlier client has committed."""
        for operation, of_it in self._by_operation(tasks).items():
            self._listeners(TasksRecalled(at_s=self._clock.time(), operation=operation, tasks=tuple(of_it)))

    def spared(self, tasks: Iterable[int]) -> None:
        """Tell that tasks need not run."""
        for operation, of_it in self._by_operation(tasks).items():
            self._listeners(TasksSpared(at_s=self._clock.time(), operation=operation, tasks=tuple(of_it)))

    def _by_operation(self, tasks: Iterable[int]) -> dict[str, list[int]]:
        operations: defaultdict[str, list[int]] = defaultdict(list)
        for task in tasks:
            operations[self._operation(int(self._program.table_of[task]))].append(task)
        return operations

    def released(self, values: Sequence[int]) -> None:
        """Tell which values are let go."""
        if values and self._listeners:
            self._listeners(ValuesReleased(at_s=self._clock.time(), values=tuple(values)))

    def outputs(self, answered: Answered) -> None:
        """Tell what tasks wrote, those that did."""
        for task, said in answered.outputs.items():
            self._output(task, said)

    def _output(self, task: int, said: Mapping[str, Any]) -> None:
        self._listeners(
            TaskOutput(
                at_s=self._clock.time(), task=task, key=self._program.called(task),
                stdout=said.get("stdout", ""), stderr=said.get("stderr", ""),
                warnings=tuple((kind, message) for kind, message in said.get("warnings", ())),
                logs=tuple((name, level, message) for name, level, message in said.get("logs", ())),
                dropped_bytes=said.get("dropped_bytes", 0),
            )
        )  # fmt: skip

    def retried(self, tasks: Iterable[int], reason: str) -> None:
        """Tell that tasks will run again."""
        if self._listeners:
            for task in tasks:
                self._listeners(TaskRetried(at_s=self._clock.time(), task=task, reason=reason))

    def undone(self, tasks: Iterable[int]) -> None:
        """Tell that tasks' values are lost, and that they will run again."""
        if self._listeners:
            for task in tasks:
                operation = self._operation(int(self._program.table_of[task]))
                self._listeners(TaskUndone(at_s=self._clock.time(), task=task, operation=operation))

    def overfull(self, stored_bytes: int) -> None:
        """Tell that the store may hold more than it should."""
        self._listeners(StoreOverfull(at_s=self._clock.time(), stored_bytes=stored_bytes))

    def _operation(self, table: int) -> str:
        return self._program.tables[table].operation.id


def _at(rows: Sequence[int], column: tuple[T, ...]) -> tuple[T, ...]:
    return column if len(rows) == len(column) else tuple([column[row] for row in rows])
