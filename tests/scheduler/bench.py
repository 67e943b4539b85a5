"""What the tests of runs share: a bench to run programs on, replies that tell of failures."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.program import Gather
from graphlambda.scheduler import execute
from graphlambda.scheduler.events import TasksDone
from graphlambda.store.file import FileStore
from graphlambda.testing.clock import FakeClock
from graphlambda.testing.invokers import InProcessInvoker, ScriptedInvoker, function_error, refusal
from graphlambda.testing.programs import Sums, functions_of, program_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.events import Event
    from graphlambda.scheduler.invoke import Invoker, Reply
    from graphlambda.testing.invokers import Fault

KEY = bytes(range(32))
THROTTLED = refusal(429, "TooManyRequestsException", "ConcurrentInvocationLimitExceeded")
DEAD = function_error("Runtime.ExitError", "Runtime exited with error: exit status 1")
KILLED = function_error("Runtime.OutOfMemory")
LATE = function_error("Sandbox.Timedout", "Task timed out after 3.00 seconds")


class Bench:
    """A store, a clock, operations that count their calls; runs programs."""

    def __init__(self, folder: Path) -> None:
        self.store = FileStore(folder / "values")
        self.clock = FakeClock()
        self.events: list[Event] = []
        self.calls: list[tuple[Any, ...]] = []
        self.operations: dict[str, Callable[..., Any]] = {
            name: self._counted(operation) for name, operation in Sums().callables().items()
        }
        self.inner = InProcessInvoker(self.operations)

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls.append(arguments)
            return operation(*arguments)

        return call

    def run(
        self, program: Program, script: Iterable[Fault] = (), *, run: str = "r1", **given: Any
    ) -> list[Any]:
        return asyncio.run(self.execute(program, ScriptedInvoker(self.inner, script), run=run, **given))

    async def execute(
        self, program: Program, invoker: Invoker, *, run: str = "r1", **given: Any
    ) -> list[Any]:
        given = {"clock": self.clock, "listeners": [self.events.append], "key": KEY, **given}
        done = await execute(
            program, functions_of(program), invoker=invoker, store=self.store, run=run, **given
        )
        return done.values

    @property
    def done(self) -> list[int]:
        return [task for event in self.of(TasksDone) for task in event.tasks]

    def of(self, kind: type[Event]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


class Late:
    """An invoker before another one, one of whose functions refuses for a while, in one way after the other."""

    def __init__(self, inner: Invoker, function: str, told: Sequence[tuple[float, Reply | OSError]]) -> None:
        """`told` says until when, in seconds of the loop, the function refuses in which way."""
        self._inner = inner
        self._function = function
        self._told = told
        self.refusals = 0

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        await asyncio.sleep(0.03)
        now_s = asyncio.get_running_loop().time()
        for until_s, told in self._told:
            if function == self._function and now_s < until_s:
                self.refusals += 1
                if isinstance(told, OSError):
                    raise told
                return told
        return await self._inner.invoke(function, payload, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()


def wide(count: int) -> Program:
    """`count` independent tasks, and one that adds up their values."""
    tasks = [*[("f", i) for i in range(count)], ("g", Gather(list(range(count))))]
    return program_of(tasks, [count])


def summed(count: int, by: int) -> Program:
    """`count` independent tasks whose values are added up, so many at a time, and then the sums."""
    parts = [("g", Gather(list(range(i, i + by)))) for i in range(0, count, by)]
    whole = ("g", Gather(list(range(count, count + len(parts)))))
    return program_of([*[("f", i) for i in range(count)], *parts, whole], [count + len(parts)])


WIDE_12 = [1 + sum(i + 1 for i in range(12))]
