"""Which environment runs which invocation: concurrency, warm environments, their number, their memory.

In: functions and invocations. Out: environments started, reused, retired and ended. Must not know HTTP.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from graphlambda.local import processes
from graphlambda.local.answers import ServiceError, throttled
from graphlambda.local.environment import Environment
from graphlambda.local.parents import Parents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from graphlambda.local.invocation import Invocation
    from graphlambda.local.launcher import Launcher, Surroundings
    from graphlambda.local.records import Function

WATCH_S = 0.005
"""How often the memory of running environments, and their time, is looked at."""

ENVIRONMENTS_A_PARENT = 4
"""A parent is kept for this many environments: it holds what they share."""

FORESEEN = 16
"""For how many functions, named last, parents are warmed before they are invoked."""

LOOK_AGAIN = 8
"""Rounds after which the processes of an environment are listed anew."""


@dataclass(slots=True, eq=False)
class _Watched:
    """What is known of a running environment's processes."""

    pids: list[int]
    rounds: int = 0


class Pool:
    """Keeps the environments of one service; everything happens in the loop's thread."""

    def __init__(
        self,
        launcher: Launcher,
        surroundings: Surroundings,
        *,
        concurrency: int,
        environments: int,
        freed: Callable[[], None],
    ) -> None:
        self._launcher = launcher
        self._surroundings = surroundings
        self._environments = environments
        self._parents = Parents(launcher.parent, max(2, environments // ENVIRONMENTS_A_PARENT))
        self._freed = freed
        self._foreseen: deque[Function] = deque(maxlen=FORESEEN)
        self._generation = 0
        self._live: set[Environment] = set()
        self._ending: set[Environment] = set()
        self._idle: dict[Environment, None] = {}
        """Free environments, the longest unused first."""
        self._running: dict[Environment, _Watched] = {}
        self._counts: Counter[str] = Counter()
        self._unreserved = 0
        self._watching: asyncio.TimerHandle | None = None
        self.unreserved_limit = concurrency
        """Invocations at one moment of all functions without a reservation."""

    def __len__(self) -> int:
        return len(self._live)

    def invoke(self, function: Function, invocation: Invocation) -> None:
        """Run an invocation now.

        Raises:
            ServiceError: 429 with its reason, or the environment could not be started.
        """
        self._admit(function)
        environment = self._warm(function)
        if environment is None:
            environment = self._cold(function, invocation)
        else:
            environment.give(invocation)
        self._counts[function.name] += 1
        self._unreserved += environment.function.reserved is None
        self._running[environment] = _Watched([])
        if self._watching is None:
            self._watching = asyncio.get_running_loop().call_later(WATCH_S, self._watch)

    def warm(self, functions: Iterable[Function]) -> None:
        """Have parents ready before environments of these functions are needed, in other surroundings too."""
        functions = list(functions)
        self._foreseen.extend(function for function in functions if function not in self._foreseen)
        found = [self._launcher.warmth(function, self._surroundings) for function in functions]
        self._parents.warm(warmth for warmth in found if warmth is not None)

    def abandon(self, request_id: str) -> None:
        """End the environment that runs an invocation, if one does."""
        for environment in [each for each in self._running if each.runs(request_id)]:
            environment.end()

    def released(self, environment: Environment) -> None:
        """Take an environment back whose invocation has ended."""
        if self._running.pop(environment, None) is None:
            return
        name = environment.function.name
        self._counts[name] -= 1
        if not self._counts[name]:
            del self._counts[name]
        self._unreserved -= environment.function.reserved is None
        if environment.generation != self._generation:
            self._retire(environment)
        elif not environment.dead:
            self._idle[environment] = None
        self._freed()

    def ended(self, environment: Environment) -> None:
        """Forget an environment whose process is gone."""
        self._idle.pop(environment, None)
        self._live.discard(environment)
        self._ending.discard(environment)

    def surround(self, surroundings: Surroundings) -> None:
        """Give functions other surroundings: environments of before end when they are idle."""
        if surroundings == self._surroundings:
            return
        self._surroundings = surroundings
        self._generation += 1
        self._parents.retire(partial(self._launcher.fits, surroundings))
        self.warm(self._foreseen)
        for environment in list(self._idle):
            self._retire(environment)

    def forget(self, name: str) -> None:
        """End the idle environments of a function that was deleted."""
        for environment in [idle for idle in self._idle if idle.function.name == name]:
            self._retire(environment)

    @property
    def parents(self) -> int:
        """Return how many parents live that environments are forked from."""
        return len(self._parents)

    @property
    def surroundings(self) -> Surroundings:
        """Return what functions get from the run now."""
        return self._surroundings

    async def close(self) -> None:
        """End all environments and wait until their processes are gone."""
        if self._watching is not None:
            self._watching.cancel()
        for environment in list(self._live):
            self._retire(environment)
        await asyncio.gather(*(environment.gone() for environment in [*self._live, *self._ending]))
        await self._parents.close()

    def _admit(self, function: Function) -> None:
        if function.reserved is not None:
            if self._counts[function.name] >= function.reserved:
                raise throttled("ReservedFunctionConcurrentInvocationLimitExceeded")
        elif self._unreserved >= self.unreserved_limit:
            raise throttled("ConcurrentInvocationLimitExceeded")

    def _warm(self, function: Function) -> Environment | None:
        """Return the free environment of this function that was used last."""
        for environment in reversed(self._idle):
            if environment.function is function:
                del self._idle[environment]
                return environment
        return None

    def _cold(self, function: Function, invocation: Invocation) -> Environment:
        while len(self._live) >= self._environments and self._idle:
            self._retire(next(iter(self._idle)))
        environment = Environment(function, self._generation, self)
        warmth = self._launcher.warmth(function, self._surroundings)
        parent = None if warmth is None else self._parents.of(warmth)
        try:
            environment.start(self._launcher.prepare(function, self._surroundings), invocation, parent)
        except OSError as error:
            raise ServiceError(
                500, "ServiceException", f"An environment could not be started: {error}"
            ) from error
        self._live.add(environment)
        return environment

    def _retire(self, environment: Environment) -> None:
        """End an environment that runs nothing; it no longer counts."""
        self._idle.pop(environment, None)
        self._live.discard(environment)
        self._ending.add(environment)
        environment.end()

    def _watch(self) -> None:
        """End what runs for too long or holds more memory than its function has; come back while anything runs."""
        self._watching = None
        now_s = asyncio.get_running_loop().time()
        for environment, watched in list(self._running.items()):
            environment.keep_time(now_s)
            if processes.LINUX and not environment.dead:
                self._measure(environment, watched)
        if self._running:
            self._watching = asyncio.get_running_loop().call_later(WATCH_S, self._watch)

    def _measure(self, environment: Environment, watched: _Watched) -> None:
        if watched.rounds % LOOK_AGAIN == 0:
            watched.pids = environment.processes()
        watched.rounds += 1
        used_mb = -(-processes.resident_bytes(watched.pids) // 2**20)
        environment.peak_mb = max(environment.peak_mb, used_mb)
        if used_mb > environment.function.memory_mb:
            environment.end("Runtime.OutOfMemory")
