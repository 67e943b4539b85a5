"""What is done about tasks that brought no value: what `policy` says.

In: tasks, and what became of the invocation that they were in. Out: the same tasks, to be sent again at once or
later; or the error that ends the run. Must not send anything, nor decide by itself what follows a failure.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphlambda.errors import DeployError
from graphlambda.runtime.wire import value_name
from graphlambda.scheduler.crashes import at_its_most
from graphlambda.scheduler.failures import Culprit, exception_of
from graphlambda.scheduler.journal import charged, replaced
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.losses import Losses
from graphlambda.scheduler.policy import (
    LOGGED,
    UNREADABLE,
    UNSENT,
    Step,
    backoff_s,
    error_after,
    held_too_long,
    hold_s,
    step_after,
    step_after_error,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from graphlambda.errors import RunError
    from graphlambda.scheduler.replay import Past
    from graphlambda.scheduler.requests import Requests
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Tools, Unit
    from graphlambda.scheduler.unready import Unready

RAISED = "raised"
"""The way in which tasks fail by themselves; the others are `Kind`s."""

VALUE = value_name(0)[:-1]
"""What the names of values begin with."""


class Mending:
    """Mends the tasks of one execution."""

    def __init__(
        self,
        tools: Tools,
        state: RunState,
        requests: Requests,
        units: Sequence[Unit],
        unready: Unready,
        begin: Callable[[Coroutine[Any, Any, None]], None],
        rest: Callable[[Failed], None],
        past: Past,
    ) -> None:
        """`begin` starts a coroutine of the execution; `rest` makes it send nothing for a while."""
        self.singles: deque[int] = deque()
        """Tasks that are to be sent each alone, before any other."""

        self.losses = Losses(tools, state, units)
        self._tools = tools
        self._limits = tools.place.limits
        self._state = state
        self._requests = requests
        self._units = units
        self._unready = unready
        self._fatal: tuple[RunError, str, Failed] | None = None
        self._begin = begin
        self._rest = rest
        self._charged: Counter[tuple[str, int]] = Counter(past.charged)
        self._in_vain: Counter[int] = Counter()
        self._afresh: set[str] = set()
        """Functions that were made again."""
        for (_, task), times in past.charged.items():
            self._in_vain[task] += times

    def attempt(self, tasks: Iterable[int]) -> int:
        """Return the number of the attempt that comes next for the most tried of some tasks."""
        return 1 + max(self._in_vain[task] for task in tasks) if self._in_vain else 1

    async def mend(self, table: int, function: str, tasks: tuple[int, ...], failed: Failed) -> None:
        """Do what policy says about an invocation that brought nothing; projections wait for their values again."""
        parts = [task for task in tasks if self._state.is_part(task)]
        if 0 < len(parts) < len(tasks):
            tasks = tuple(task for task in tasks if not self._state.is_part(task))
            for task in parts:
                self._state.give_back(task)
        kind, idempotent = failed.kind, self._units[table].idempotent
        attempts = max(self._charged[kind, task] for task in tasks)
        step = step_after(kind, tasks=len(tasks), attempts=attempts, idempotent=idempotent)
        if step in {Step.FAIL, Step.UNKNOWN}:
            raise self._error(step, failed, table, function, tasks)
        self._tools.teller.retried(tasks, kind.value)
        held_s = hold_s(
            kind, since_s=failed.after_s, timeout_s=self._limits.function_timeout_s, idempotent=idempotent
        )
        match step:
            case Step.WAIT:
                self._rest(failed)
                self._give_back(tasks)
            case Step.HOLD:
                await self._hold(table, function, tasks, failed)
                self._give_back(tasks)
            case Step.RETRY:
                self._charge(kind, tasks)
                self._begin(self._later(tasks, attempts + 1, held_s, together=kind in UNSENT))
            case Step.SINGLY if held_s:
                self._begin(self._later(tasks, 0, held_s))
            case Step.SINGLY:
                self.again(tasks)
            case _ if await self._replaced(table, function, step, failed.module):
                self.again(tasks)
            case _:
                raise self._error(Step.FAIL, failed, table, function, tasks)

    def _error(self, step: Step, failed: Failed, table: int, function: str, tasks: Sequence[int]) -> RunError:
        what = self._named(table, function, tasks)
        if step is Step.UNKNOWN:
            error: RunError = unknown(what=what, message=f"{failed.kind}: {failed.message}", log=failed.log)
        else:
            memory_mb = self._tools.tariff.size(function).memory_mb
            error = error_after(at_its_most(failed, memory_mb), what=what)
        if failed.kind in LOGGED and not failed.log:
            self._fatal = error, function, failed
        return error

    async def explain(self, error: RunError) -> None:
        """Note on the error that ends a run what the function's log says, where its reply brought nothing of it along."""
        if self._fatal is None or self._fatal[0] is not error:
            return
        _, function, failed = self._fatal
        since_s = self._tools.clock.time() - failed.after_s
        if said := await self._tools.logs.of(function, failed.request_id, since_s=since_s):
            error.add_note(said)

    async def _hold(self, table: int, function: str, tasks: Sequence[int], failed: Failed) -> None:
        """Have a function asked again later, and by one invocation at a time; what it refuses for too long fails.

        But one that is not there for so long was deleted, and is made again.
        """
        refused_s = self._unready.refused(
            function,
            failed.kind,
            self._tools.clock.monotonic(),
            lambda tries: max(failed.retry_after_s, backoff_s(tries, self._tools.random)),
        )
        if not held_too_long(failed.kind, refused_s):
            return
        what, why = f"{self._named(table, function, tasks)}: not taken for {refused_s:.0f} s", None
        try:
            if failed.kind is Kind.MISSING_FUNCTION and await self._is_there_again(table, function):
                return
        except DeployError as error:
            why = error
            failed = replace(failed, message=f"{failed.message}, and it could not be made again: {error}")
        raise error_after(failed, what=what) from why

    async def _is_there_again(self, table: int, function: str) -> bool:
        """Whether an operation has its function again: it is made again once; who had asked before may ask it, too."""
        operation, unit = self._tools.program.tables[table].operation.id, self._units[table]
        async with unit.replacing:
            if unit.function != function:
                return True
            if function in self._afresh:
                return function not in self._unready
            self._afresh.add(function)
            made = await self._tools.provisioner.afresh(operation, function)
            self._unready.taken(function)
            unit.function = made or function
            self._tools.keeper.note(replaced(operation, unit.function))
            return made is not None

    async def mend_task(self, table: int, function: str, task: int, error: Mapping[str, Any]) -> None:
        """Do what policy says about a task that ended with an error."""
        tools = self._tools
        run = error.get("run", tools.place.run)
        ours = run == tools.place.run or tools.values.shared.is_ours(run)
        if ours and error["kind"] in UNREADABLE and await self._is_made_again(table, task, error):
            tools.teller.retried((task,), error["type"])
            self.again((task,))
            return
        step = step_after_error(
            error["kind"],
            ours=ours,
            attempts=self._charged[Kind.STORE_FAILED, task],
            raised=self._charged[RAISED, task],
            retries=self._limits.retries,
            idempotent=self._units[table].idempotent,
        )
        if step is Step.RETRY:
            way = RAISED if error["kind"] in {"user", "missing_path"} else Kind.STORE_FAILED
            self._charge(way, (task,))
            self._begin(self._later((task,), self._charged[way, task]))
        elif step is Step.REBUILD and await self._replaced(table, function, step, error["module"]):
            self.again((task,))
        elif step is Step.UNKNOWN:
            raise unknown(what=self._named(table, function, (task,)), message=error["message"])
        else:
            name = tools.program.tables[int(tools.program.table_of[task])].operation.name
            culprit = Culprit(task=task, key=tools.program.called(task), operation=name, function=function)
            raise exception_of(error, culprit, run=tools.place.run, key=tools.place.key, locate=tools.locate)
        tools.teller.retried((task,), error["type"])

    async def _is_made_again(self, table: int, task: int, error: Mapping[str, Any]) -> bool:
        """Whether inputs that a task could not read come again: all of them are looked at. Constants are stored anew."""
        if not error.get("name", "").startswith(VALUE):
            self._requests.renew(table)
        mended = await self.losses.mend(self._state.inputs(task), damaged=error["kind"] != "lost")
        return mended or not self._state.is_runnable(task)

    async def _replaced(self, table: int, function: str, step: Step, module: str) -> bool:
        """Whether the operation has another function now, which may do better; the first to ask gets it made."""
        operation = self._tools.program.tables[table].operation.id
        unit = self._units[table]
        async with unit.replacing:
            if unit.function != function:
                return True
            try:
                if step is Step.ENLARGE:
                    twin = await self._tools.provisioner.larger(operation, function)
                else:
                    twin = await self._tools.provisioner.with_module(operation, function, module)
            except DeployError as error:
                kind = Kind.OUT_OF_MEMORY if step is Step.ENLARGE else Kind.MISSING_MODULE
                message = f"and a function that would do could not be made: {error}"
                raise error_after(Failed(kind, message), what=f"function {function}") from error
            unit.function = twin or function
            self._tools.keeper.note(replaced(operation, unit.function))
            return twin is not None

    async def outlive(self, past: Past, attempts_over_s: float) -> None:
        """Wait until no attempt of an earlier client can still run (seconds since the epoch), where that matters.

        Raises:
            OutcomeUnknownError: a task may have run that may not run twice.
        """
        self.refuse(past.started)
        wait_s = attempts_over_s - self._tools.clock.time()
        if wait_s > 0 and any(not self._units[table].idempotent for table, _ in self._state.first_ready()):
            await self._tools.clock.sleep(wait_s)

    def refuse(self, started: Iterable[int]) -> None:
        """Refuse to go on with tasks that an earlier client of the run sent, where they may not run twice.

        Raises:
            OutcomeUnknownError: there are such tasks.
        """
        once = sorted(task for task in started if self._units[self._state.table(task)].idempotent is False)
        if once:
            table = self._state.table(once[0])
            what = self._named(table, self._units[table].function, once)
            raise unknown(what=what, message="the run's client died while it ran")

    def _charge(self, way: str, tasks: Iterable[int]) -> None:
        """Charge some tasks with an attempt that failed in one way: each way has its bound, which holds over several clients.

        But for credentials and clocks: another client has others.
        """
        for task in tasks:
            self._charged[way, task] += 1
            self._in_vain[task] += 1
            if way not in {Kind.EXPIRED, Kind.CLOCK_WRONG}:
                self._tools.keeper.note(charged(task, way, self._charged[way, task]))

    async def _later(
        self, tasks: Sequence[int], tries: int, at_least_s: float = 0.0, *, together: bool = False
    ) -> None:
        """Let tasks run again after a while, each alone unless they may go together."""
        await self._tools.clock.sleep(max(at_least_s, backoff_s(tries, self._tools.random)))
        (self._give_back if together else self.again)(tasks)

    def again(self, tasks: Iterable[int]) -> None:
        """Let tasks run again, each alone; one whose input was to be made in its batch waits for it."""
        for task in tasks:
            if self._state.is_runnable(task):
                self.singles.append(task)
            else:
                self._state.give_back(task)

    def _give_back(self, tasks: Sequence[int]) -> None:
        """Let tasks run again; several may share an invocation again."""
        if len(tasks) == 1:
            self.again(tasks)
        else:
            for task in tasks:
                self._state.give_back(task)

    def _named(self, table: int, function: str, tasks: Iterable[int]) -> str:
        """Return who failed, for people."""
        keys = [self._tools.program.called(task) for task in tasks]
        shown = f"task {keys[0]}" if len(keys) == 1 else f"{len(keys)} tasks ({keys[0]}, …)"
        return (
            f"{shown} of operation {self._tools.program.tables[table].operation.name} (function {function})"
        )
