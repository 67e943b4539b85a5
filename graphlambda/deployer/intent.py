"""What a deploy is about to do: describe → prove → plan, and how that is told to people.

In: artifacts, settings, a `Cloud`, the deployment's manifests. Out: a `Plan`. Changes nothing in the account; a dry one writes
nothing anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from graphlambda.deployer.capacity import lacking
from graphlambda.deployer.functions import VERSION, Call, Deployed, FunctionSpec, LayerSpec
from graphlambda.deployer.plan import INLINE_BYTES, plan, usable
from graphlambda.deployer.proofs import Proofs
from graphlambda.deployer.specs import function_specs, layer_specs
from graphlambda.deployer.threads import AtOnce, at_once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import Settings
    from graphlambda.deployer.manifests import Manifests
    from graphlambda.packager.artifact import Artifact

_VERBS = {
    "publish_layer_version": "publish",
    "create_function": "create",
    "delete_function": "delete",
    "put_function_concurrency": "reserve",
    "put_provisioned_concurrency_config": "start",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The calls that would make the account hold what a program needs. `print` lists them."""

    functions: tuple[FunctionSpec, ...]
    """All that are wanted."""

    layers: tuple[LayerSpec, ...]
    deployed: Deployed
    """What there is of them."""

    calls: tuple[Call, ...]
    """In their order; none where nothing is missing."""

    capacity: tuple[Call, ...]
    """What would follow once the functions are there: concurrency of their own, environments that wait. Of a dry plan only."""

    endpoint: str
    """Where: a URL, or a region's name."""

    def __str__(self) -> str:
        """List the calls, each with what it carries."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        there = sum(usable(name, self.deployed) for name in {spec.invoked for spec in self.functions})
        calls = len(self.calls) + len(self.capacity)
        yield f"{self.endpoint}: {calls} calls would change something; {there} functions are there"
        layers = {layer.name: _carried(layer.zip_bytes) for layer in self.layers}
        functions = {spec.name: f"{_carried(spec.zip_bytes)}  {_told(spec)}" for spec in self.functions}
        states = {found.name.partition(":")[0]: found.state for found in self.deployed.functions.values()}
        for call in self.calls:
            about = layers.get(call.subject) or functions[call.subject]
            carries = f"it is {states[call.subject]}" if call.method == "delete_function" else about
            yield f"  {_VERBS[call.method]:<8} {call.subject:<64}  {carries}"
        for call in self.capacity:
            yield f"  {_VERBS[call.method]:<8} {call.subject:<64}  {_asked(call)}"


def intended(
    artifacts: Sequence[Artifact],
    settings: Settings,
    own: Mapping[str, Settings] = MappingProxyType({}),
    *,
    cloud: Cloud,
    deployment_id: str,
    manifests: Manifests,
    is_dry: bool = True,
    at_once: AtOnce = at_once,
) -> tuple[Plan, Proofs]:
    """Return the plan, and what proves that functions are ours; all that was found is proved.

    Raises:
        CloudError: the control plane refused to say.
        DeployError: a name is taken by what is not ours; the manifests are out of reach.
    """
    functions = function_specs(artifacts, settings, deployment_id, own)
    layers = layer_specs(artifacts, deployment_id)
    if not is_dry:
        manifests.hold([*(spec.name for spec in functions), *(layer.name for layer in layers)])
    deployed = survey(layers, functions, cloud)
    proofs = Proofs(layers, manifests, cloud, at_once, learns=not is_dry)
    proofs.check(functions, deployed)
    planned = Plan(
        functions=functions,
        layers=layers,
        deployed=deployed,
        calls=plan(layers, functions, deployed),
        capacity=lacking(functions, deployed.functions, cloud) if is_dry else (),
        endpoint=cloud.endpoint,
    )
    return planned, proofs


def survey(layers: Iterable[LayerSpec], functions: Sequence[FunctionSpec], cloud: Cloud) -> Deployed:
    """Return what the account holds of these; layers are looked up only where a function needs them."""
    there = cloud.describe(functions=dict.fromkeys(spec.invoked for spec in functions))
    needed = {layer for spec in functions if not usable(spec.invoked, there) for layer in spec.layers}
    if not needed:
        return there
    found = cloud.describe(layers=[layer.name for layer in layers if layer.name in needed])
    return Deployed(functions=there.functions, layers=found.layers)


def _carried(zip_bytes: int) -> str:
    through = " through S3" if zip_bytes > INLINE_BYTES else ""
    return f"{zip_bytes / 1e6:,.2f} MB{through}"


def _asked(call: Call) -> str:
    """Return what a call about concurrency asks for."""
    if call.method == "put_function_concurrency":
        return f"{call.params['ReservedConcurrentExecutions']:,} of the account's concurrency, and no more"
    return f"{call.params['ProvisionedConcurrentExecutions']:,} environments that wait"


def _told(spec: FunctionSpec) -> str:
    settings = spec.settings
    published = f", version {VERSION}" * settings.is_published + " with a snapshot" * settings.snap_start
    return (
        f"{settings.memory_mb:,} MiB, {settings.timeout_s} s, /tmp {settings.ephemeral_mb:,} MiB{published}; "
        f"{spec.description}"
    )
