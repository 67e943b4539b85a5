"""Plays a scenario and looks at what is left.

In: a scenario, a program with its operations, the values that it must give. Out: figures. Raises AssertionError, with
the scenario in its notes, where anything was lost, wrong, done twice or left behind. Must not repair anything.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from cloudpickle import dumps

from graphlambda.compiler.projections import called_operations
from graphlambda.scheduler import Durable, Limits, execute
from graphlambda.scheduler.events import TasksDone
from graphlambda.scheduler.keeper import PROGRAM, journal, saved
from graphlambda.scheduler.order import ranks
from graphlambda.scheduler.provision import NoProvisioner
from graphlambda.scheduler.replay import replay
from graphlambda.scheduler.state import RunState, TaskState
from graphlambda.scheduler.values import Place, Values
from graphlambda.store.claims import LEASE, take
from graphlambda.store.leases import STALE_AFTER_S
from graphlambda.store.s3_folders import S3Folders
from graphlambda.testing.chaos import Fault, Scenario
from graphlambda.testing.chaos_checks import (
    BEHIND_S,
    Session,
    Subject,
    check_end,
    check_events,
    check_executions,
    check_journal,
)
from graphlambda.testing.chaos_client import Life, MortalInvoker, PassingFolder, claimed, owner_of
from graphlambda.testing.chaos_ground import OF_TROUBLE
from graphlambda.testing.chaos_lambda import FUNCTION_S, ChaosLambda, Ledger
from graphlambda.testing.chaos_store import TroubledStore
from graphlambda.testing.inline import load_operation
from graphlambda.testing.stores import Passing
from graphlambda.testing.values import identical
from graphlambda.testing.virtual import LoopClock, run_virtually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.store.claims import Claim
    from graphlambda.store.folders import Folder
    from graphlambda.testing.chaos_ground import Ground

KEY = bytes(range(32))
UNABLE_TO_DROP = frozenset({Fault.CLIENT_STORE, Fault.SLOW_STORE})
"""With these a run may leave values behind, until the next client sweeps them."""

_SLOW_S = 400.0
"""How late a slow store's answer comes: later than a run waits for it."""


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
    program: Program, values: Any, folder: Path, same: Callable[[Any, Any], bool] = identical
) -> Subject:
    """Return a program with its operations, loaded as functions load them from files in `folder`."""
    operations = {operation.id: operation for operation in called_operations(program)}
    return Subject(
        program=program,
        operations={number: load_operation(each, folder) for number, each in operations.items()},
        values=values,
        same=same,
    )


class Twins(NoProvisioner):
    """A `Provisioner` that makes a function with more memory once, then has no more to give."""

    async def larger(self, operation: str, function: str) -> str | None:  # noqa: ARG002  (the protocol's)
        """Return the larger twin."""
        return None if function.endswith("+") else f"{function}+"


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

    async def played() -> Played:
        return await _Play(scenario, subject, ground, random).through()

    try:
        return run_virtually(played(), slowness)
    except BaseException as error:
        error.add_note(f"to repeat it: pytest tests/chaos --seed {scenario.seed}\n{scenario}")
        raise


class _Play:
    """One scenario, on a running loop."""

    def __init__(self, scenario: Scenario, subject: Subject, ground: Ground, random: Random) -> None:
        self._scenario = scenario
        self._subject = subject
        self._ground = ground
        self._random = random
        self._clock = LoopClock(time.time())
        ground.folders.clock = self._clock.time
        self._folders = S3Folders(ground.folders.bucket("runs"))
        self._store = ground.store(self._clock.time)
        self._world = ChaosLambda(
            subject.program,
            subject.operations,
            scenario,
            random,
            self._store,
            ground.clients,
            ground.incidents,
        )
        self._sessions: list[Session] = []
        self._abandoned = 0
        """Runs whose client died before anybody could go on with them."""

    async def through(self) -> Played:
        """Let clients run the program until one comes to its end, and look at what is left."""
        for moments in (*(self._scenario.deaths or ()), None):
            life, claim = Life(moments), await self._claim()
            running = asyncio.create_task(self._run(self._sessions[-1], life, claim))
            life.lead(running)
            await asyncio.wait([running])
            if not life.is_over:
                break
            _ = running.cancelled() or running.exception()  # whatever it is, nobody is there to see it
            await self._bury()
            self._look_at_journal()
        failure = running.exception()
        seconds = self._clock.monotonic()
        check_end(self._scenario, self._subject, None if failure else running.result(), failure)
        await self._check_nothing_left(failure)
        check_events(self._sessions[-1], self._subject.program, self._scenario, failure)
        check_executions(self._world.ledger, self._sessions, self._subject, self._scenario, failure)
        return self._played(failure, seconds)

    # ---- clients -----------------------------------------------------------------------------------------------

    async def _claim(self) -> Claim | None:
        """Begin a session: of a new run, or of one whose client died, where it left what that takes."""
        run = f"chaos-{self._scenario.seed}-{self._abandoned}"
        folder = self._folders.of(run)
        if not self._sessions or folder.read(LEASE) is None:
            self._abandoned += len(self._sessions) > 0
            self._sessions.append(Session(f"chaos-{self._scenario.seed}-{self._abandoned}"))
            return None
        claim = await claimed(folder, self._random, self._clock)
        self._sessions.append(Session(run, self._known(run)))
        return claim

    def _known(self, run: str) -> frozenset[int]:
        """Return the tasks that are done by a run's journal, from which whatever was lost is taken back."""
        program = self._subject.program
        state = RunState(program, ranks(program.edges))
        place = Place(
            store=self._store, run=run, key=KEY, keys_of=lambda _run: KEY, dumps=dumps, limits=Limits()
        )
        replay(journal(self._folders.of(run), KEY), state, Values(program, place))
        return frozenset(task for task in range(state.tasks) if state.state(task) == TaskState.DONE)

    async def _run(self, session: Session, life: Life, claim: Claim | None) -> Any:
        """Run the program, or go on with it."""
        scenario, world, clock = self._scenario, self._world, self._clock
        world.serve(session.run, session.executed if claim else None)
        breaks = 0.05 if Fault.CLIENT_STORE in scenario.faults else 0.0
        store = TroubledStore(self._store, self._random, breaks, world.written)
        folder = PassingFolder(self._folders.of(session.run), life.pass_moment)
        program = self._subject.program if claim is None else saved(folder, PROGRAM, KEY)
        done = await execute(
            program, {number: number for number in self._subject.operations}, invoker=MortalInvoker(world, life),
            store=Passing(store, life.pass_moment), run=session.run, key=KEY, clock=clock, provisioner=Twins(),
            listeners=[session.events.append, world, life.listen], durable=self._durable(folder, claim),
            limits=Limits(
                concurrency=scenario.concurrency, batch=scenario.batch, inline_bytes=scenario.inline_bytes,
                idempotent=scenario.idempotent, function_timeout_s=FUNCTION_S, invoke_timeout_s=FUNCTION_S + 30,
            ),
        )  # fmt: skip
        return program.finish(done.values)

    def _durable(self, folder: Folder, claim: Claim | None) -> Durable | None:
        if self._scenario.deaths is None:
            return None
        if claim:
            claim.folder = folder
        owner = owner_of(self._random)
        return Durable(
            folder=folder, key=KEY, saved={PROGRAM: self._subject.program}, claim=claim,
            take=lambda folder: take(folder, owner, self._clock.time),
            attempts_over_s=claim.before_s + FUNCTION_S if claim else 0.0,
        )  # fmt: skip

    async def _bury(self) -> None:
        """End what a dead client has left in this process: of all that goes on, only the environments do."""
        left = asyncio.all_tasks() - {asyncio.current_task()} - self._world.working
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _look_at_journal(self) -> None:
        """See that what a dead client had done is written, if anything had to be by then."""
        self._world.ledger.faults[Fault.CLIENT_DIED] += 1
        session, now_s = self._sessions[-1], self._clock.time()
        folder = self._folders.of(session.run)
        if folder.read(LEASE) is not None:
            check_journal(session, self._known(session.run), now_s)
        elif session.events and (beginning := folder.names()):
            assert now_s - session.events[0].at_s < BEHIND_S, f"a run is only half begun: {beginning}"

    # ---- what is left ------------------------------------------------------------------------------------------

    async def _check_nothing_left(self, failure: BaseException | None) -> None:
        """Nothing is left: no coroutine, no environment that works, no value, no folder.

        An environment may work on after its run, for as long as its timeout; what it writes then must not stay. What a
        client could not drop, since its store failed it or it was dead, the next client sweeps; the folder of a run
        that failed waits for whoever goes on with it.
        """
        assert self._world.closed, "the invoker was not closed"
        await self._world.rest()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        assert not others, f"coroutines are left: {others}"
        if self._abandoned or UNABLE_TO_DROP.intersection(self._scenario.faults):
            await asyncio.sleep(_SLOW_S + STALE_AFTER_S + 1)
            self._store.sweep(STALE_AFTER_S)
        if self._abandoned or failure:
            for run in self._folders.runs():
                self._folders.of(run).drop()
        left = [*self._ground.left(), *self._ground.folders.keys()]
        assert not left, f"values are left: {left}"

    def _played(self, failure: BaseException | None, seconds: float) -> Played:
        events = [event for session in self._sessions for event in session.events]
        ledger = self._world.ledger
        for trouble, times in self._ground.troubles().items():
            if trouble in OF_TROUBLE:
                ledger.faults[OF_TROUBLE[trouble]] += times
        return Played(
            scenario=self._scenario, tasks=self._subject.program.task_count,
            committed=sum(len(event.tasks) for event in events if isinstance(event, TasksDone)),
            ledger=ledger, failure=type(failure).__name__ if failure else "", seconds=seconds,
            trace=tuple(type(event).__name__ for event in events),
        )  # fmt: skip
