"""What is done about tasks that brought no value: what `policy` says.

In: tasks, and what became of the invocation that they were in. Out: the same tasks, to be sent again at once or
later; or the error that ends the run. Must not send anything, nor decide by itself what follows a failure.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from graphlambda.scheduler.failures import Culprit, exception_of
from graphlambda.scheduler.journal import charged, replaced
from graphlambda.scheduler.losses import Losses
from graphlambda.scheduler.policy import (
    UNREADABLE,
    Step,
    backoff_s,
    error_after,
    step_after,
    step_after_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence

    from graphlambda.scheduler.outcomes import Failed
    from graphlambda.scheduler.replay import Past
    from graphlambda.scheduler.requests import Requests
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Tools, Unit


class Mending:
    """Mends the tasks of one execution."""

    def __init__(
        self,
        tools: Tools,
        state: RunState,
        requests: Requests,
        units: Sequence[Unit],
        begin: Callable[[Coroutine[Any, Any, None]], None],
        rest: Callable[[Failed], None],
        past: Past,
    ) -> None:
        """`begin` starts a coroutine of the execution; `rest` makes it send nothing for a while."""
        self.singles: deque[int] = deque()
        """Tasks that are to be sent each alone, before any other."""

        self.losses = Losses(tools, state)
        self._tools = tools
        self._limits = tools.place.limits
        self._state = state
        self._requests = requests
        self._units = units
        self._begin = begin
        self._rest = rest
        self._charged: Counter[int] = Counter(past.charged)
        self._raised: Counter[int] = Counter(past.raised)

    def attempt(self, tasks: Iterable[int]) -> int:
        """Return the number of the attempt that comes next for the most tried of some tasks."""
        if not self._charged and not self._raised:
            return 1
        return 1 + max(self._charged[task] + self._raised[task] for task in tasks)

    async def mend(self, table: int, function: str, tasks: tuple[int, ...], failed: Failed) -> None:
        """Do what policy says about an invocation that brought nothing; projections wait for their values again."""
        parts = [task for task in tasks if self._state.is_part(task)]
        if 0 < len(parts) < len(tasks):
            tasks = tuple(task for task in tasks if not self._state.is_part(task))
            for task in parts:
                self._state.give_back(task)
        step = step_after(failed.kind, tasks=len(tasks), attempts=max(self._charged[task] for task in tasks))
        if step is not Step.FAIL:
            self._tools.teller.retried(tasks, failed.kind.value)
        match step:
            case Step.WAIT:
                self._rest(failed)
                self._give_back(tasks)
            case Step.SINGLY:
                self.again(tasks)
            case Step.RETRY:
                self._charged.update(tasks)
                self._note(tasks)
                self._begin(self._later(tasks, max(self._charged[task] for task in tasks)))
            case _ if step is Step.FAIL or not await self._replaced(table, function, step, failed.module):
                raise error_after(
                    failed.kind, what=self._named(table, function, tasks), message=failed.message
                )
            case _:
                self.again(tasks)

    async def mend_task(self, table: int, function: str, task: int, error: Mapping[str, Any]) -> None:
        """Do what policy says about a task that ended with an error."""
        tools = self._tools
        ours = error.get("run", tools.place.run) == tools.place.run
        if ours and error["kind"] in UNREADABLE and await self._is_made_again(table, task, error["kind"]):
            tools.teller.retried((task,), error["type"])
            self.again((task,))
            return
        step = step_after_error(
            error["kind"],
            ours=ours,
            attempts=self._charged[task],
            raised=self._raised[task],
            retries=self._limits.retries,
        )
        if step is Step.RETRY:
            counter = self._raised if error["kind"] in {"user", "missing_path"} else self._charged
            counter[task] += 1
            self._note((task,))
            self._begin(self._later((task,), counter[task]))
        elif step is Step.REBUILD and await self._replaced(table, function, step, error["module"]):
            self.again((task,))
        else:
            name = tools.program.tables[int(tools.program.table_of[task])].operation.name
            culprit = Culprit(task=task, key=str(tools.program.key(task)), operation=name, function=function)
            raise exception_of(error, culprit, run=tools.place.run, key=tools.place.key, locate=tools.locate)
        tools.teller.retried((task,), error["type"])

    async def _is_made_again(self, table: int, task: int, kind: str) -> bool:
        """Whether inputs that a task could not read come again: all of them are looked at, and its constants stored anew."""
        self._requests.renew(table)
        mended = await self.losses.mend(self._state.inputs(task), damaged=kind != "lost")
        return mended or not self._state.is_runnable(task)

    async def _replaced(self, table: int, function: str, step: Step, module: str) -> bool:
        """Whether the operation has another function now, which may do better; the first to ask gets it made."""
        operation = self._tools.program.tables[table].operation.id
        unit = self._units[table]
        async with unit.replacing:
            if unit.function != function:
                return True
            if step is Step.ENLARGE:
                twin = await self._tools.provisioner.larger(operation, function)
            else:
                twin = await self._tools.provisioner.with_module(operation, function, module)
            unit.function = twin or function
            self._tools.keeper.note(replaced(operation, unit.function))
            return twin is not None

    def _note(self, tasks: Iterable[int]) -> None:
        """Let the journal know how often some tasks were tried: their bounds hold over several clients."""
        for task in tasks:
            self._tools.keeper.note(charged(task, self._charged[task], self._raised[task]))

    async def _later(self, tasks: Sequence[int], tries: int) -> None:
        """Let tasks run again, each alone, after a while."""
        await self._tools.clock.sleep(backoff_s(tries, self._tools.random))
        self.again(tasks)

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
        keys = [str(self._tools.program.key(task)) for task in tasks]
        shown = f"task {keys[0]}" if len(keys) == 1 else f"{len(keys)} tasks ({keys[0]}, …)"
        return (
            f"{shown} of operation {self._tools.program.tables[table].operation.name} (function {function})"
        )
