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
from graphlambda.prices import prices_of, second_usd, traffic_usd
from graphlambda.report.estimate import Terms, estimate
from graphlambda.scheduler import Limits
from graphlambda.scheduler.spending import Tariff

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphlambda.compiler import Program
    from graphlambda.compiler.program import Operation
    from graphlambda.config import Config
    from graphlambda.deployer import Settings
    from graphlambda.report.estimate import Estimate

_BATCH_S = 1.0
"""What the tasks of a batch may take together; never more than half of the function's timeout."""

_CONCURRENCY = 1_000
"""What an account allows at once, unless it was asked for more or is new. Source: AWS, "Lambda quotas"."""


def tariff_of(
    program: Program, functions: Mapping[str, str], settings: Callable[[str], Settings], config: Config
) -> Tariff:
    """Return what invocations of functions, by operation id, cost; `settings` gives those of one by its name."""
    prices, architecture = prices_of(config.region), target_of(config).architecture
    known = measured(config)[0] if config.budget_usd is not None else {}
    late_s = {
        functions[table.operation.id]: known[table.operation.form].p95_s
        for table in program.tables
        if table.operation.id in functions and table.operation.form in known
    }
    return Tariff(
        request_usd=prices.request.usd,
        second_usd=lambda function: second_usd(
            settings(function).memory_mb, settings(function).ephemeral_mb, architecture, prices
        ),
        timeout_s=lambda function: settings(function).timeout_s,
        traffic_usd=partial(traffic_usd, prices=prices),
        late_s=late_s,
        budget_usd=config.budget_usd,
    )


def estimated(program: Program, config: Config) -> Estimate:
    """Return what a run of a program is expected to be billed."""
    profiles, overhead_s = measured(config)
    cache, given = Cache(config.cache_dir), given_to(program, config)

    def memory_mb(operation: Operation) -> int:
        return max(given.of(operation.id).memory_mb, needed_mb(cache, operation))

    terms = Terms(
        architecture=target_of(config).architecture,
        memory_mb=memory_mb,
        ephemeral_mb=config.ephemeral_mb,
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
