"""Plays a scenario and looks at what is left.

In: a scenario, a program with its operations, the values that it must give. Out: figures. Raises AssertionError, with
the scenario in its notes, where anything was lost, wrong, done twice or left behind. Must not repair anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.projections import called_operations, projections_of
from graphlambda.scheduler import Limits, execute
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted, RunEnded, TasksDone, TaskUndone
from graphlambda.store.file import FileStore
from graphlambda.store.leases import STALE_AFTER_S
from graphlambda.testing.chaos import Fault, Scenario
from graphlambda.testing.chaos_lambda import ChaosLambda, Ledger
from graphlambda.testing.chaos_store import TroubledStore
from graphlambda.testing.inline import load_operation
from graphlambda.testing.values import identical
from graphlambda.testing.virtual import LoopClock, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.store.base import Store

KEY = bytes(range(32))
UNABLE_TO_DROP = frozenset({Fault.CLIENT_STORE, Fault.SLOW_STORE})
"""With these a run may leave values behind, until the next client sweeps them."""

_SLOW_S = 400.0
"""How late a slow store's answer comes: later than a run waits for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is run under faults."""

    program: Program
    operations: Mapping[str, Callable[..., Any]]
    """By id, which is also what the function is called."""

    values: Any
    """What the program must give."""

    maker: Callable[[Any], int | None]
    """Says which task made a value, where values tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where scenarios are played."""

    store: Callable[[Callable[[], float]], Store]
    """Makes an empty store that goes by a clock."""

    left: Callable[[], list[str]]
    """Names all that lies in it."""

    incidents: Mapping[Fault, Callable[[], None]] = field(default_factory=dict)
    """Does what befalls a server."""


def on_disk(folder: Path) -> Ground:
    """Return a ground whose store is an empty folder."""
    return Ground(
        store=lambda clock: FileStore(folder, clock=clock),
        left=lambda: sorted(path.name for path in folder.rglob("*")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """How a scenario went."""

    scenario: Scenario
    tasks: int
    committed: int
    ledger: Ledger
    failure: str
    """The name of the error that the run ended with; empty where it gave its values."""

    seconds: float
    """Of the run's own time."""

    trace: tuple[str, ...]
    """The kinds of all events, in order: the same each time."""


def subject_of(
    program: Program, values: Any, folder: Path, maker: Callable[[Any], int | None] = lambda _value: None
) -> Subject:
    """Return a program with its operations, loaded as functions load them from files in `folder`."""
    operations = {operation.id: operation for operation in called_operations(program)}
    return Subject(
        program=program,
        operations={number: load_operation(each, folder) for number, each in operations.items()},
        values=values,
        maker=maker,
    )


class Twins:
    """A `Provisioner` that makes a function with more memory once, then has no more to give."""

    async def adopt(self, functions: Mapping[str, str]) -> Mapping[str, str]:
        """Take them all over."""
        return functions

    async def larger(self, operation: str, function: str) -> str | None:  # noqa: ARG002  (the protocol's)
        """Return the larger twin."""
        return None if function.endswith("+") else f"{function}+"

    async def with_module(self, operation: str, function: str, module: str) -> str | None:  # noqa: ARG002
        """There is none."""
        return None


def play(scenario: Scenario, subject: Subject, ground: Ground) -> Played:
    """Play a scenario.

    Raises:
        AssertionError: something was lost, wrong, done twice or left behind.
        HungError: it would never have ended.
    """
    random = Random(scenario.seed + 1)
    slow = Fault.SLOW_STORE in scenario.faults

    def slowness() -> float:
        return _SLOW_S if slow and random.random() < 0.02 else 0.0

    try:
        return run_virtually(_played(scenario, subject, ground, random), slowness)
    except BaseException as error:
        error.add_note(f"to repeat it: pytest tests/chaos --seed {scenario.seed}\n{scenario}")
        raise


async def _played(scenario: Scenario, subject: Subject, ground: Ground, random: Random) -> Played:
    run, clock = f"chaos-{scenario.seed}", LoopClock(time.time())
    events: list[Event] = []
    store = ground.store(clock.time)
    world = ChaosLambda(subject.operations, subject.maker, scenario, random, store, run, ground.incidents)
    breaks = 0.05 if Fault.CLIENT_STORE in scenario.faults else 0.0
    limits = Limits(
        concurrency=scenario.concurrency, batch=scenario.batch, inline_bytes=scenario.inline_bytes
    )
    failure: Exception | None = None
    values: Any = None
    try:
        done = await execute(
            subject.program, {number: number for number in subject.operations}, invoker=world, store=TroubledStore(store, random, breaks, world.written),
            run=run, key=KEY, clock=clock, listeners=[events.append, world], limits=limits, provisioner=Twins(),
        )  # fmt: skip
        values = subject.program.finish(done.values)
    except Exception as error:  # noqa: BLE001  (which ones are right is checked)
        failure = error
    seconds = clock.monotonic()
    _check_end(scenario, subject, values, failure)
    await _check_nothing_left(scenario, world, store, ground)
    _check_events(events, subject, failure)
    _check_executions(world.ledger, subject, failure)
    committed = sum(len(event.tasks) for event in events if isinstance(event, TasksDone))
    return Played(
        scenario=scenario, tasks=subject.program.task_count, committed=committed, ledger=world.ledger,
        failure=type(failure).__name__ if failure else "", seconds=seconds,
        trace=tuple(type(event).__name__ for event in events),
    )  # fmt: skip


def _check_end(scenario: Scenario, subject: Subject, values: Any, failure: Exception | None) -> None:
    """Nothing is wrong: the run gave its values, or ended with an error that these faults may end it with."""
    if failure is None:
        assert identical(values, subject.values), "a value is not Dask's"
    elif not isinstance(failure, tuple(scenario.ends)):
        raise AssertionError(f"a run must not end with {failure!r} under these faults") from failure


async def _check_nothing_left(scenario: Scenario, world: ChaosLambda, store: Store, ground: Ground) -> None:
    """Nothing is left: no coroutine, no environment that works, no value.

    An environment may work on after its run, for as long as its timeout; what it writes then must not stay. What a
    client could not drop, since its store failed it, the next client sweeps.
    """
    assert world.closed, "the invoker was not closed"
    await world.rest()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"coroutines are left: {others}"
    if UNABLE_TO_DROP.intersection(scenario.faults):
        await asyncio.sleep(_SLOW_S + STALE_AFTER_S + 1)
        store.sweep(STALE_AFTER_S)
    left = ground.left()
    assert not left, f"values are left: {left}"


def _check_events(events: list[Event], subject: Subject, failure: Exception | None) -> None:
    """Nothing is lost, and nothing is committed twice, but for what the store has lost meanwhile."""
    done = Counter(task for event in events if isinstance(event, TasksDone) for task in event.tasks)
    done.subtract(event.task for event in events if isinstance(event, TaskUndone))
    assert set(done.values()) <= {0, 1}, "a task was committed twice"
    assert failure is not None or done.total() == subject.program.task_count, "a task was not committed"
    sent = sum(isinstance(event, InvocationStarted) for event in events)
    back = sum(isinstance(event, InvocationEnded) for event in events)
    assert back == sent if failure is None else back <= sent, "an invocation has no end"
    assert isinstance(events[-1], RunEnded), "the last event is not the run's end"


def _check_executions(ledger: Ledger, subject: Subject, failure: Exception | None) -> None:
    """No value came from nowhere: what is done was executed (of projections, what they pick from), never side by side."""
    program = subject.program
    picked = sum(len(program.tables[table].tasks) for table in projections_of(program).pickers)
    assert failure is not None or ledger.calls >= program.task_count - picked, (
        "a task is done without execution"
    )
    assert ledger.side_by_side() == 0, "a task was executed while an attempt before it still ran"
