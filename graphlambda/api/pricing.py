"""What functions cost: prices, settings and what earlier runs measured, put together.

In: a program, a configuration. Out: an `Estimate` for people, a `Tariff` for the scheduler. Must not run anything.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from graphlambda.api.building import target_of
from graphlambda.api.given import given_to
from graphlambda.api.profiles import measured
from graphlambda.config import VALKEY
from graphlambda.packager.cache import Cache
from graphlambda.packager.memory import needed_mb
from graphlambda.prices import Size, Traffic, prices_of, usd_of
from graphlambda.report.estimate import WRITE_UNITS, Terms, estimate
from graphlambda.runtime.multipart import PART_BYTES
from graphlambda.scheduler import Limits
from graphlambda.scheduler.spending import START_S, Tariff

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.api.provision import Provisioning
    from graphlambda.compiler import Program
    from graphlambda.compiler.program import Operation
    from graphlambda.config import Config
    from graphlambda.deployer import Settings
    from graphlambda.report.estimate import Estimate

_BATCH_S = 1.0
"""What the tasks of a batch may take together; never more than half of the function's timeout."""

_CONCURRENCY = 1_000
"""What an account allows at once, unless it was asked for more or is new. Source: AWS, "Lambda quotas"."""

_BYTES_A_SECOND = 80_000_000
"""What an environment moves at most: 625 Mbit/s, unless AWS was asked for more. Source: AWS, "Lambda quotas"."""

_LOOKS_A_SECOND = 20
"""What a function asks to learn whether its run goes on, at most: two commands to a cache between two tasks."""

_OF_ALL = 4
"""Reads of an invocation beside its tasks' inputs: of constants, of its batch, one of each once more."""


def tariff_of(provisioning: Provisioning, asked: Callable[[], Traffic], config: Config) -> Tariff:
    """Return what a run's invocations cost; `asked` is what this client has asked of stores so far."""
    cached = config.store.startswith(VALKEY)

    def asks(function: str, tasks: int, inputs: int) -> Traffic:
        return most_traffic(provisioning.settings(function), tasks, inputs, cached=cached)

    return Tariff(
        usd=partial(usd_of, prices=prices_of(config.region)),
        size=provisioning.size,
        timeout_s=lambda function: provisioning.settings(function).timeout_s,
        asks=asks,
        asked=asked,
        budget_usd=config.budget_usd,
    )


def most_traffic(settings: Settings, tasks: int, inputs: int, *, cached: bool) -> Traffic:
    """Return what an invocation may ask of a store whose first answer does: each input read, each value written.

    What it moves either way fits into its memory, for each task, and through its network, in all its time. A cache may leave values
    to S3.
    """
    until_s = settings.timeout_s + START_S
    moved = int(min(tasks * settings.memory_mb * 2**20, until_s * _BYTES_A_SECOND))
    pieces, looks = 2 * moved // PART_BYTES, int(until_s * _LOOKS_A_SECOND)
    commands = tasks * (WRITE_UNITS + inputs) + looks
    return Traffic(
        writes=tasks + pieces,
        reads=tasks * inputs + pieces + looks + _OF_ALL,
        cache_units=2 * (commands + 2 * moved // 1024) if cached else 0,
    )


def estimated(program: Program, config: Config) -> Estimate:
    """Return what a run of a program is expected to be billed."""
    profiles, overhead_s = measured(config)
    cache, given = Cache(config.cache_dir), given_to(program, config)
    architecture = target_of(config).architecture

    def size_of(operation: Operation) -> Size:
        settings = given.of(operation.id)
        return Size(
            memory_mb=max(settings.memory_mb, needed_mb(cache, operation)),
            ephemeral_mb=settings.ephemeral_mb,
            architecture=given.architectures.get(operation.id, architecture),
            snap_start=settings.snap_start,
        )

    terms = Terms(
        size_of=size_of,
        waiting=lambda operation: given.of(operation.id).provisioned,
        limits=Limits(
            concurrency=config.concurrency or _CONCURRENCY,
            batch=config.batch,
            batch_s=batch_s(min(given.timeouts_s())),
            inline_bytes=config.inline_bytes,
        ),
        overhead_s=overhead_s,
        cached=config.store.startswith(VALKEY),
        prices=prices_of(config.region),
    )
    return estimate(program, profiles, terms)


def batch_s(timeout_s: float) -> float:
    """Return what the tasks of a batch may take together, where no invocation takes longer than this."""
    return min(_BATCH_S, timeout_s / 2)
