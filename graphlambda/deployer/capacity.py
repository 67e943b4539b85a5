"""What a function has beside its configuration: concurrency of its own, environments that wait for it.

In: specs, what the account holds, a `Cloud`. Out: the account gives what the specs ask for. Must not make a function for
it: how many may run is no part of what a function is, so of two that ask for it, the last has its way.

Lambda takes neither when a function is made, and both are looked at each time: a deploy that was cut short is gone on with.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graphlambda.deployer.functions import Call, version_of
from graphlambda.errors import CloudError, DeployTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import DeployedFunction, FunctionSpec

FAILED, READY = "FAILED", "READY"

READY_S = 600.0
"""How long environments may take to be ready: Lambda starts up to 6,000 a minute, each with its initialisation."""

POLL_S = 2.0


def give_capacity(
    specs: Iterable[FunctionSpec],
    found: Mapping[str, DeployedFunction],
    cloud: Cloud,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make functions have the concurrency that they reserve, and versions the environments that wait; return when they do.

    Raises:
        CloudError: the account has not so much, or a function fails to initialise.
        DeployTimeoutError: environments are not ready in time.
    """
    wanted = {spec.name: spec for spec in specs}.values()
    for spec in wanted:
        _reserve(spec, _function(spec, found, cloud).reserved, cloud)
    waiting = [spec for spec in wanted if spec.settings.provisioned and not _is_ready(spec, cloud)]
    until_s = clock() + READY_S
    for spec in waiting:
        while not _is_ready(spec, cloud, asked=True):
            if clock() > until_s:
                raise DeployTimeoutError(
                    f"{spec.invoked} has not all of its {spec.settings.provisioned} environments after {READY_S:.0f} s. "
                    "Deploy again to go on waiting"
                )
            sleep(POLL_S)


def _function(spec: FunctionSpec, found: Mapping[str, DeployedFunction], cloud: Cloud) -> DeployedFunction:
    """Return a function itself, whose reservation is that of all its versions."""
    there = found if spec.name in found else cloud.describe(functions=[spec.name]).functions
    return there[spec.name]


def _reserve(spec: FunctionSpec, there: int | None, cloud: Cloud) -> None:
    reserved, function = spec.settings.reserved, {"FunctionName": spec.name}
    if reserved is None or there == reserved:
        return  # what is not said takes nobody's limit away
    cloud.call(Call("put_function_concurrency", {**function, "ReservedConcurrentExecutions": reserved}))


def _is_ready(spec: FunctionSpec, cloud: Cloud, *, asked: bool = False) -> bool:
    """Tell whether a version's environments wait; ask for them, unless that is done."""
    wanted, there = spec.settings.provisioned, cloud.provisioned(spec.invoked)
    if there is not None and there.state == FAILED and asked:
        raise CloudError(f"put_provisioned_concurrency_config {spec.invoked}", FAILED, there.reason)
    if there is not None and there.wanted == wanted and there.state != FAILED:
        return there.state == READY
    if not asked:
        params = {**version_of(spec.invoked), "ProvisionedConcurrentExecutions": wanted}
        cloud.call(Call("put_provisioned_concurrency_config", params))
    return False
