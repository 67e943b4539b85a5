"""What must hold after a scenario, whatever went wrong in it.

In: what was told, what truly happened, what is left. Out: nothing, or an AssertionError. Must not repair anything.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.projections import projections_of
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted, RunEnded, TasksDone, TaskUndone
from graphlambda.scheduler.tools import units_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.testing.chaos import Scenario
    from graphlambda.testing.chaos_lambda import Executions, Ledger

BEHIND_S = 0.2
"""How far a journal may be behind its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is run under faults."""

    program: Program
    operations: Mapping[str, Callable[..., Any]]
    """By id, which is also what the function is called."""

    values: Any
    """What the program must give."""

    same: Callable[[Any, Any], bool]
    """Whether what it gave is that."""


@dataclass(slots=True)
class Session:
    """What one client saw of a run."""

    run: str
    known: frozenset[int] = frozenset()
    """Tasks that the journal told were done when it went on with the run."""

    events: list[Event] = field(default_factory=list)
    executed: set[int] = field(default_factory=set)
    """Tasks of its requests, where it went on with the run."""

    def done(self, before_s: float = float("inf")) -> Counter[int]:
        """Return how often each task is committed now, by what was told before a moment: once, or not at all."""
        done = Counter(self.known)
        for event in self.events:
            if isinstance(event, TasksDone) and event.at_s < before_s:
                done.update(event.tasks)
            elif isinstance(event, TaskUndone):
                done[event.task] -= 1
        return done

    def undone(self) -> set[int]:
        """Return the tasks whose values were lost."""
        return {event.task for event in self.events if isinstance(event, TaskUndone)}


def check_end(scenario: Scenario, subject: Subject, values: Any, failure: BaseException | None) -> None:
    """Nothing is wrong: the run gave its values, or ended with an error that these faults may end it with."""
    if failure is None:
        assert subject.same(values, subject.values), "a value is not Dask's"
    elif not isinstance(failure, tuple(scenario.ends)):
        raise AssertionError(f"a run must not end with {failure!r} under these faults") from failure


def check_journal(session: Session, written: frozenset[int], died_s: float) -> None:
    """A client that died had written what it had done, but for the last moments; and nothing else."""
    told = session.done()
    assert written <= told.keys(), "the journal tells of what was not done"
    for task, times in session.done(died_s - BEHIND_S).items():
        assert times < 1 or task in written, f"task {task} was committed, but is not in the journal"


def check_events(
    session: Session, program: Program, scenario: Scenario, failure: BaseException | None
) -> None:
    """Nothing is lost, and nothing is committed twice, but for what the store has lost meanwhile.

    Where tasks may run side by side, the run may end while a backup invocation is on its way.
    """
    done, events = session.done(), session.events
    assert set(done.values()) <= {0, 1}, f"a task was not committed once: {done}"
    assert failure is not None or done.total() == program.task_count, "a task was not committed"
    sent = sum(isinstance(event, InvocationStarted) for event in events)
    back = sum(isinstance(event, InvocationEnded) for event in events)
    all_end = failure is None and not scenario.idempotent
    assert back == sent if all_end else back <= sent, "an invocation has no end"
    assert isinstance(events[-1], RunEnded), "the last event is not the run's end"


def check_executions(
    ledger: Ledger,
    sessions: list[Session],
    subject: Subject,
    scenario: Scenario,
    failure: BaseException | None,
) -> None:
    """What is done was executed; what may not run twice, or not side by side, did not; nor did what was committed."""
    program = subject.program
    picked = sum(len(program.tables[table].tasks) for table in projections_of(program).pickers)
    assert failure is not None or ledger.calls >= program.task_count - picked, (
        "a task is done without execution"
    )
    for executions in ledger.runs.values():
        broken = list(_broken(program, executions, scenario.idempotent))
        assert not broken, "\n".join(broken)
    for session in sessions:
        again = (session.executed & session.known) - session.undone()
        assert not again, f"tasks were committed, and executed again by another client: {again}"


def _broken(program: Program, executions: Executions, idempotent: bool | None) -> Iterator[str]:
    """Yield how tasks were executed that may not be."""
    for table, unit in zip(program.tables, units_of(program, {}, idempotent), strict=True):
        for task in map(int, table.tasks):
            if not unit.idempotent and executions.side_by_side[task]:
                yield f"task {task} was executed while an attempt before it still ran"
            if unit.idempotent is False and executions.times[task] > 1:
                yield f"task {task}, which may not run twice, was executed {executions.times[task]} times"
