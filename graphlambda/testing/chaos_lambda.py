"""A Lambda in which things go wrong: an invoker whose environments are this process's own, run by our runtime.

In: operations, a scenario. Out: replies, refusals, broken connections; and a ledger of what truly happened. An
environment goes on after its connection was cut, as Lambda's do. Must not break what our code promises to itself:
only what a network, an account or a machine may do.
"""

from __future__ import annotations

import asyncio
import json
from array import array
from base64 import b64decode, b64encode
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.projections import projections_of
from graphlambda.runtime.answer import answer
from graphlambda.runtime.environment import Environment
from graphlambda.runtime.faults import FaultError
from graphlambda.scheduler.events import InvocationStarted
from graphlambda.testing.chaos import BEYOND, LOSING, Fault
from graphlambda.testing.chaos_store import TroubledClient
from graphlambda.testing.invokers import doubled, function_error, halved, refusal, reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from random import Random

    from graphlambda.compiler.program import Program
    from graphlambda.runtime.answer import Clients
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Reply
    from graphlambda.store.base import Store
    from graphlambda.testing.chaos import Scenario

FUNCTION_S = 300.0
"""The timeout of every function: minutes, of which each costs renewals of leases."""

REASONS = (
    "ConcurrentInvocationLimitExceeded", "ReservedFunctionConcurrentInvocationLimitExceeded",
    "FunctionInvocationRateLimitExceeded", "ReservedFunctionInvocationRateLimitExceeded", "CallerRateLimitExceeded",
    "ConcurrentSnapshotCreateLimitExceeded",
)  # fmt: skip

_NOT_READY = (
    (409, "ResourceConflictException"),
    (502, "ResourceNotReadyException"),
    (502, "ENILimitReachedException"),
)
_UNAVAILABLE = (500, 502, 503, 504)
_DEAD = function_error("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: signal: segfault")
_SLOW_S = (30.0, FUNCTION_S - 0.1)
_SLOW = frozenset({Fault.LATE, Fault.RESET_AFTER, Fault.SILENT})
_KILLED = frozenset({Fault.KILLED_BEFORE, Fault.KILLED_DURING, Fault.KILLED_AFTER})


class DiedError(Exception):
    """An environment is dead: no further task of its batch is run."""


class Executions:
    """Which tasks of a run were executed, as nobody inside it can know; small, since a run may have a million."""

    def __init__(self, tasks: int) -> None:
        self.times = array("I", bytes(4 * tasks))
        """By task; without those that Lambda itself began by delivering a request twice."""

        self.side_by_side = array("B", bytes(tasks))
        """By task, whether it was executed while an attempt before it went on."""

        self._until_s = array("d", bytes(8 * tasks))

    def add(self, task: int, start_s: float, end_s: float) -> None:
        """Take an execution: when its environment took the request, and when it was done with it, or dead."""
        self.times[task] += 1
        self.side_by_side[task] |= start_s < self._until_s[task]
        self._until_s[task] = max(end_s, self._until_s[task])


@dataclass(slots=True)
class Ledger:
    """What truly happened."""

    faults: Counter[Fault] = field(default_factory=Counter)
    invocations: int = 0
    runs: dict[str, Executions] = field(default_factory=dict)
    calls: int = 0
    """Of operations, whatever they made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A request that an environment has got."""

    function: str
    payload: bytes
    fault: Fault
    rows: list[int]
    """Tasks for which the operation is called; projections are not among them."""

    executions: Executions
    """Of its run."""

    again: set[int] | None
    """Takes the tasks that are executed, if its client went on with another's run."""

    duplicate: bool = False
    """Whether Lambda itself delivered it once more."""


class Watched(Environment):
    """An environment that tells which of a request's rows is at work."""

    rows: Sequence[int] = ()
    row = -1

    def operation(self) -> Callable[..., Any]:
        """Return what to call."""
        self.row += 1
        return super().operation()


class ChaosLambda:
    """An `Invoker`; also a listener, since only that tells which tasks an invocation has."""

    def __init__(
        self,
        program: Program,
        operations: Mapping[
            str, Callable[..., Any]
        ],  # by function: it has its operation's id, and a `+` if larger
        scenario: Scenario,
        random: Random,
        store: Store,
        clients: Clients,
        incidents: Mapping[Fault, Callable[[], None]],
    ) -> None:
        self.ledger = Ledger()
        self.closed = False
        self._program = program
        self._picking = projections_of(program).pickers.keys()
        self._operations = operations
        self._scenario = scenario
        self._random = random
        self._store = store
        self._clients = clients
        self._incidents = incidents
        self._run, self._executions = "", Executions(0)
        self._again: set[int] | None = None
        self._suffered: Counter[int] = Counter()
        self._losses = 0
        self._tasks: tuple[int, ...] = ()
        self._warm: defaultdict[str, list[Watched]] = defaultdict(list)
        self._working: set[asyncio.Task[Reply]] = set()
        self.written: list[str] = []
        """Names of all that was stored, which may be lost."""

        self._calls_left = 0
        self._made: list[int] = []

    def serve(self, run: str, again: set[int] | None) -> None:
        """Take requests of a run from now on; `again` takes the tasks that they execute, None: nobody asks."""
        self._run, self._again = run, again
        self._executions = self.ledger.runs.setdefault(run, Executions(self._program.task_count))

    def __call__(self, event: Event) -> None:
        """Note the tasks of the invocation that is sent next."""
        if isinstance(event, InvocationStarted):
            self._tasks = event.tasks

    async def close(self) -> None:
        """Take no more requests; environments go on with theirs."""
        self.closed = True

    @property
    def working(self) -> set[asyncio.Task[Any]]:
        """Environments that have a request."""
        return {*self._working}

    async def rest(self) -> None:
        """Return when no environment works any more."""
        await asyncio.gather(*self._working, return_exceptions=True)

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Return a reply, or what stands in its place."""
        tasks, executions, again = self._tasks, self._executions, self._again
        fault = self._befalls(tasks)
        self.ledger.invocations += 1
        if fault is not Fault.NONE:
            self.ledger.faults[fault] += 1
        if fault in self._incidents:
            self._incidents[fault]()
        await asyncio.sleep(self._random.uniform(0.001, 0.02))
        if refused := self._refused(fault):
            return refused
        if fault is Fault.RESET_BEFORE:
            raise ConnectionResetError("the connection was reset before anything was sent")
        rows = [task for task in tasks if self._program.table_of[task] not in self._picking]
        sent = Sent(
            function=function, payload=payload, fault=fault, rows=rows, executions=executions, again=again
        )
        working = self._begun(sent)
        if fault is Fault.RESET_AFTER:
            await asyncio.sleep(self._random.uniform(0, 2))
            raise ConnectionResetError("the connection was reset by the peer")
        if fault is Fault.SILENT:
            await asyncio.sleep(timeout_s)
            raise TimeoutError(f"no answer in {timeout_s:g} s")
        if fault is Fault.DUPLICATED:
            self._begun(replace(sent, fault=Fault.NONE, duplicate=True))
        return self._changed(fault, await asyncio.shield(working))

    # ---- what goes wrong ---------------------------------------------------------------------------------

    def _befalls(self, tasks: tuple[int, ...]) -> Fault:
        """Draw what befalls an invocation; nothing once one of its tasks has suffered enough."""
        scenario, random = self._scenario, self._random
        start_s, end_s = scenario.storm_s
        if start_s <= asyncio.get_running_loop().time() < end_s:
            return Fault.THROTTLED
        if random.random() >= scenario.rate:
            return Fault.NONE
        fault = random.choice(scenario.faults)
        if fault in LOSING:
            self._losses += 1
            return fault if self._losses <= scenario.most else Fault.NONE
        if fault in BEYOND:
            if any(self._suffered[task] >= scenario.most for task in tasks):
                return Fault.NONE
            self._suffered.update(tasks)
        return fault

    def _refused(self, fault: Fault) -> Reply | None:
        random = self._random
        match fault:
            case Fault.THROTTLED:
                retry_after_s = random.choice((0.0, 0.0, 1.0))
                return refusal(429, "TooManyRequestsException", random.choice(REASONS), retry_after_s)
            case Fault.NOT_READY:
                return refusal(*random.choice(_NOT_READY))
            case Fault.UNAVAILABLE:
                return refusal(random.choice(_UNAVAILABLE), "ServiceException")
            case Fault.EXPIRED:
                return refusal(403, "ExpiredTokenException")
        return None

    def _changed(self, fault: Fault, told: Reply) -> Reply:
        if told.function_error:
            return told
        match fault:
            case Fault.DOUBLED:
                return doubled(told)
            case Fault.SHORTENED:
                return halved(told)
            case Fault.CUT_REPLY:
                return reply(told.payload[: self._random.randrange(len(told.payload))])
            case Fault.FLIPPED_IN_REPLY:
                return self._flipped(told)
        return told

    def _flipped(self, told: Reply) -> Reply:
        """Flip one bit of a value that rides in a reply, if one does."""
        body = json.loads(told.payload)
        frames = bytearray(b64decode(body["inline"]))
        if frames:
            frames[self._random.randrange(len(frames))] ^= 1 << self._random.randrange(8)
            body["inline"] = b64encode(frames).decode()
        return reply(json.dumps(body).encode())

    # ---- environments ------------------------------------------------------------------------------------

    def _begun(self, sent: Sent) -> asyncio.Task[Reply]:
        """Let an environment work on a request, whatever becomes of the connection."""
        working = asyncio.get_running_loop().create_task(self._worked(sent))
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return working

    async def _worked(self, sent: Sent) -> Reply:
        """Return an environment's reply, or how Lambda tells of its end."""
        random, loop, fault = self._random, asyncio.get_running_loop(), sent.fault
        start_s = loop.time()
        await asyncio.sleep(random.uniform(0, 0.05))
        if fault is Fault.KILLED_BEFORE:
            return _DEAD
        if fault is Fault.OUT_OF_MEMORY:
            return function_error("Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited: signal: killed")
        if fault is Fault.TIMED_OUT:
            await asyncio.sleep(FUNCTION_S)
            return function_error(
                "Sandbox.Timedout", f"RequestId: 1 Error: Task timed out after {FUNCTION_S:.2f} seconds"
            )
        rest_s = random.uniform(*_SLOW_S) if fault in _SLOW else random.expovariate(5)
        told = self._answered(sent, random.uniform(*self._scenario.task_s))
        self._note(sent, start_s, loop.time() + rest_s)
        await asyncio.sleep(rest_s)
        return _DEAD if fault in _KILLED else told

    def _note(self, sent: Sent, start_s: float, end_s: float) -> None:
        """Note the tasks that were executed just now."""
        if not sent.duplicate:
            for task in self._made:
                sent.executions.add(task, start_s, end_s)
            if sent.again is not None:
                sent.again.update(self._made)

    def _answered(self, sent: Sent, task_s: float) -> Reply:
        """Run a request here and now; `self._made` then holds the tasks that were executed."""
        request = json.loads(sent.payload)
        self._made = []
        self._calls_left = self._random.randrange(3) if sent.fault is Fault.KILLED_DURING else 10**9
        self._lose(sent.fault)
        environments = self._warm[sent.function]
        environment = environments.pop() if environments else self._environment(sent.function)
        environment.rows, environment.row = sent.rows, -1
        clients = partial(TroubledClient, self._clients, fault=sent.fault, written=self.written)
        try:
            body = answer(request, environment, clients)
        except FaultError as error:
            return function_error(type(error).__name__, str(error))
        if sent.fault not in _KILLED:
            environments.append(environment)
        body["seconds"] = [task_s] * len(body["tasks"])  # not how fast this machine is
        return reply(json.dumps(body).encode())

    def _lose(self, fault: Fault) -> None:
        """Take a value out of the store, or damage it there, if that is what befalls this invocation."""
        if fault not in {Fault.EVICTED, Fault.DAMAGED} or not self.written:
            return
        name = self._random.choice(self.written)
        if not self._store.exists(self._run, name):
            return
        frame = self._store.get(self._run, name)
        self._store.delete(self._run, [name])
        if fault is Fault.DAMAGED:
            frame[self._random.randrange(len(frame))] ^= 1 << self._random.randrange(8)
            self._store.put(self._run, name, [frame])

    def _environment(self, function: str) -> Watched:
        operation_id = function.rstrip("+")
        operation = self._operations[operation_id]

        def called(*arguments: Any) -> Any:
            if self._calls_left == 0:
                raise DiedError
            self._calls_left -= 1
            made = operation(*arguments)
            self.ledger.calls += 1
            self._made.append(environment.rows[environment.row])
            return made

        environment = Watched(function, operation_id, lambda: called)
        return environment
