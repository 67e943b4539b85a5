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


def lacking(
    specs: Iterable[FunctionSpec], found: Mapping[str, DeployedFunction], cloud: Cloud
) -> tuple[Call, ...]:
    """Return the calls that would give functions the concurrency that they reserve, and versions their environments.

    Asks about what was `found`, and changes nothing. Raises CloudError where the control plane refuses to say.
    """
    wanted = {spec.name: spec for spec in specs}.values()
    asked = [
        *(_reservation(spec, found, cloud) for spec in wanted),
        *(_start(spec, found, cloud) for spec in wanted),
    ]
    return tuple(call for call in asked if call is not None)


def give_capacity(
    specs: Iterable[FunctionSpec],
    found: Mapping[str, DeployedFunction],
    cloud: Cloud,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Make functions have what they lack of this; return when they do.

    Raises:
        CloudError: the account has not so much, or a function fails to initialise.
        DeployTimeoutError: environments are not ready in time.
    """
    specs = tuple(specs)
    for call in lacking(specs, found, cloud):
        cloud.call(call)
    until_s = clock() + READY_S
    for spec in specs:
        while spec.settings.provisioned and not _is_ready(spec, cloud):
            if clock() > until_s:
                raise DeployTimeoutError(
                    f"{spec.invoked} has not all of its {spec.settings.provisioned} environments after {READY_S:.0f} s. "
                    "Deploy again to go on waiting"
                )
            sleep(POLL_S)


def _reservation(spec: FunctionSpec, found: Mapping[str, DeployedFunction], cloud: Cloud) -> Call | None:
    """Return the call that reserves concurrency; what is not said takes nobody's limit away."""
    reserved = spec.settings.reserved
    if reserved is None or _reserved(spec, found, cloud) == reserved:
        return None
    params = {"FunctionName": spec.name, "ReservedConcurrentExecutions": reserved}
    return Call("put_function_concurrency", params)


def _reserved(spec: FunctionSpec, found: Mapping[str, DeployedFunction], cloud: Cloud) -> int | None:
    """Return what a function has for itself and all of its versions; None where it is not there, either."""
    there = found if spec.name in found else cloud.describe(functions=[spec.name]).functions
    return there[spec.name].reserved if spec.name in there else None


def _start(spec: FunctionSpec, found: Mapping[str, DeployedFunction], cloud: Cloud) -> Call | None:
    """Return the call that has environments started in advance, also where they failed."""
    wanted = spec.settings.provisioned
    there = cloud.provisioned(spec.invoked) if wanted and spec.invoked in found else None
    if not wanted or (there is not None and there.wanted == wanted and there.state != FAILED):
        return None
    params = {**version_of(spec.invoked), "ProvisionedConcurrentExecutions": wanted}
    return Call("put_provisioned_concurrency_config", params)


def _is_ready(spec: FunctionSpec, cloud: Cloud) -> bool:
    """Tell whether a version's environments wait."""
    there = cloud.provisioned(spec.invoked)
    if there is not None and there.state == FAILED:
        raise CloudError(f"put_provisioned_concurrency_config {spec.invoked}", FAILED, there.reason)
    return there is not None and there.wanted == spec.settings.provisioned and there.state == READY
