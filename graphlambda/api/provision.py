"""Better functions while a run goes on: with more memory, with a module that was missing, or there again.

In: an operation and the function that was not enough, or is gone. Out: the name of its twin, or None. Must not decide when
one is needed: that is the scheduler's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from graphlambda.api.building import functions_of, learn_module, target_of
from graphlambda.api.given import Given, given_to
from graphlambda.compiler import called_operations
from graphlambda.deployer.apply import silent
from graphlambda.errors import DeployError
from graphlambda.packager.cache import Cache
from graphlambda.packager.memory import need_mb, needed_mb
from graphlambda.prices import Size, Usage, kept
from graphlambda.scheduler.crashes import MOST_MEMORY_MB

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.api.session import Session
    from graphlambda.compiler import Program
    from graphlambda.deployer import Deployment, Settings

_MOST_MODULES = 16
"""How often an operation may grow in one run: each time costs seconds. More is a search for something."""


class Provisioning:
    """Makes twins of one run's functions."""

    def __init__(self, program: Program, deployment: Deployment, session: Session) -> None:
        self._operations = {operation.id: operation for operation in called_operations(program)}
        self._first = {number: deployment.of(number) for number in deployment.functions}
        self._settings = {name: self._first[number] for number, name in deployment.functions.items()}
        self._architectures = given_to(program, session.config).architectures
        self._architecture = target_of(session.config).architecture
        self._operation_of = {name: number for number, name in deployment.functions.items()}
        self._tmp_mb = dict(deployment.tmp_mb)
        self._session = session
        self._cache = Cache(session.config.cache_dir)
        self._grown: Counter[str] = Counter()

    def settings(self, function: str) -> Settings:
        """Return what a function of this run is given."""
        return self._settings[function]

    def size(self, function: str) -> Size:
        """Return what decides what a function of this run costs."""
        operation, settings = self._operation_of[function], self._settings[function]
        return Size(
            memory_mb=settings.memory_mb,
            ephemeral_mb=self._tmp_mb.get(operation, settings.ephemeral_mb),
            architecture=self._architectures.get(operation, self._architecture),
            snap_start=settings.snap_start,
        )

    def beside(self, function: str) -> Usage:
        """Return what a function of this run uses in a second whether anything runs or not."""
        return kept(self.size(function), self._settings[function].provisioned, 1.0)

    async def adopt(self, functions: Mapping[str, str]) -> Mapping[str, str]:
        """Take over the twins, by operation id, that an earlier client of the run made; return those that exist."""
        describe = partial(self._session.cloud.describe, functions=functions.values())
        found = (await asyncio.to_thread(describe)).functions
        there = {operation: name for operation, name in functions.items() if name in found}
        for operation, name in there.items():
            memory_mb = found[name].configuration.memory_mb
            self._settings[name] = replace(self._first[operation], memory_mb=memory_mb)
            self._operation_of[name] = operation
        return there

    def remembered(self) -> dict[str, str]:
        """Return twins, by operation id, with the memory that operations turned out to need in earlier runs."""
        twins = {}
        for number, operation in self._operations.items():
            memory_mb = needed_mb(self._cache, operation)
            if memory_mb > self._first[number].memory_mb:
                with suppress(DeployError):  # what may not have so much tries with what it is given
                    twins[number] = self._made(number, replace(self._first[number], memory_mb=memory_mb))
        return twins

    async def larger(self, operation: str, function: str) -> str | None:
        """Return a twin with twice the memory, which later runs begin with; None where a function can have no more."""
        settings = self._settings[function]
        if settings.memory_mb >= MOST_MEMORY_MB:
            return None
        larger = replace(settings, memory_mb=min(MOST_MEMORY_MB, 2 * settings.memory_mb))
        twin = await asyncio.to_thread(self._made, operation, larger)
        need_mb(self._cache, self._operations[operation], larger.memory_mb)
        return twin

    async def with_module(self, operation: str, function: str, module: str) -> str | None:
        """Return a twin that holds a module, too; None where that cannot be, or would be the same function."""
        self._grown[operation] += 1
        if self._grown[operation] > _MOST_MODULES or not await asyncio.to_thread(
            learn_module, self._operations[operation], module, self._session.config
        ):
            return None
        twin = await asyncio.to_thread(self._made, operation, self._settings[function])
        return twin if twin != function else None

    async def afresh(self, operation: str, function: str) -> str | None:
        """Return a function like one that was deleted, made again unless it is there after all."""
        return await asyncio.to_thread(self._made, operation, self._settings[function])

    def _made(self, operation: str, settings: Settings) -> str:
        given = Given(settings, {}, self._architectures)
        made = functions_of([self._operations[operation]], self._session, given, silent)
        name = made.functions[operation]
        self._settings[name], self._operation_of[name] = settings, operation
        self._tmp_mb |= made.tmp_mb
        return name
