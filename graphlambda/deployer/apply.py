"""Apply a plan, and the whole verb: describe → plan → apply → wait → compare.

In: artifacts, settings, a `Cloud`. Out: a `Deployment`. All decisions are in `specs` and `plan`; nothing here
knows whose cloud it is.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.deployer.functions import Call, Deployed, Deployment, Made, Ref
from graphlambda.deployer.plan import READY, disagreements, plan, usable
from graphlambda.deployer.specs import configuration, function_specs, layer_specs
from graphlambda.deployer.threads import AtOnce, at_once
from graphlambda.errors import DeployError

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import DeployedFunction, FunctionSpec, LayerSpec, Settings
    from graphlambda.packager.artifact import Artifact

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Told (name, calls done, calls in all) after each call; on the thread that deploys."""


def silent(_name: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def deploy(
    artifacts: Sequence[Artifact],
    settings: Settings,
    *,
    cloud: Cloud,
    deployment_id: str,
    on_progress: OnProgress = silent,
    at_once: AtOnce = at_once,
) -> Deployment:
    """Make the account hold one active function for each artifact; return which.

    Deploying again makes no call that changes anything. Every function, found or made, is compared with
    what its name promises before it is returned.

    Raises:
        CloudError: the control plane refused a call.
        DeployTimeoutError: a function did not become active in time.
        DeployError: a name is taken by a function that is not ours.
    """
    specs = function_specs(artifacts, settings, deployment_id)
    layers = layer_specs(artifacts, deployment_id)
    deployed = survey(layers, specs, cloud)
    made = apply(plan(layers, specs, deployed), cloud, on_progress=on_progress, at_once=at_once)
    _compare(specs, _wait(specs, deployed, cloud))
    return Deployment(
        functions={spec.operation: spec.name for spec in specs},
        created=tuple(dict.fromkeys(s.name for s in specs if s.name in made and made[s.name].new)),
        endpoint=cloud.endpoint,
        settings=settings,
        artifact_bytes={
            a.operation: a.zip_bytes + sum(layer.zip_bytes for layer in a.layers) for a in artifacts
        },
    )


def survey(layers: Iterable[LayerSpec], functions: Sequence[FunctionSpec], cloud: Cloud) -> Deployed:
    """Return what the account holds of these; layers are looked up only where a function needs them."""
    there = cloud.describe(functions=dict.fromkeys(spec.name for spec in functions))
    needed = {layer for spec in functions if not usable(spec.name, there) for layer in spec.layers}
    if not needed:
        return there
    found = cloud.describe(layers=[layer.name for layer in layers if layer.name in needed])
    return Deployed(functions=there.functions, layers=found.layers)


def apply(
    calls: Iterable[Call], cloud: Cloud, *, on_progress: OnProgress = silent, at_once: AtOnce = at_once
) -> Mapping[str, Made]:
    """Make the calls; return what each left behind, by function or layer name.

    Neighbours of one method do not depend on each other and go out a few at a time. After a failure no
    call is begun, and what was made stays: the next deploy finds it.

    Raises:
        CloudError: the control plane refused a call.
    """
    calls = tuple(calls)
    made: dict[str, Made] = {}
    done = count(1)
    for _method, wave in groupby(calls, key=attrgetter("method")):
        resolved = [Call(call.method, _resolve(call.params, made)) for call in wave]
        for call, left in zip(resolved, at_once(cloud.call, resolved), strict=True):
            made[call.subject] = left
            on_progress(call.subject, next(done), len(calls))
    return made


def code_sha256(zip_path: Path) -> str:
    """Return the digest of a zip as Lambda reports it."""
    with zip_path.open("rb") as file:
        return base64.b64encode(hashlib.file_digest(file, "sha256").digest()).decode()


def _resolve(value: Any, made: Mapping[str, Made]) -> Any:
    """Return `value` with each Ref in it replaced by the ARN that its layer got."""
    match value:
        case Ref(layer):
            return made[layer].arn
        case Mapping():
            return {key: _resolve(item, made) for key, item in value.items()}
        case list():
            return [_resolve(item, made) for item in value]
        case _:
            return value


def _wait(specs: Iterable[FunctionSpec], deployed: Deployed, cloud: Cloud) -> dict[str, DeployedFunction]:
    """Return all functions once they can be invoked; those found active are not asked about again."""
    awaited = [spec.name for spec in specs if not _ready(deployed.functions.get(spec.name))]
    looked = cloud.describe(functions=dict.fromkeys(awaited)) if awaited else deployed
    found = {**deployed.functions, **looked.functions}
    return found | {name: cloud.wait_active(name) for name in awaited if not _ready(found.get(name))}


def _ready(function: DeployedFunction | None) -> bool:
    return function is not None and function.state in READY


def _compare(specs: Iterable[FunctionSpec], found: Mapping[str, DeployedFunction]) -> None:
    """Let no function pass that is not what its name promises: names can be guessed and planted."""
    for spec in specs:
        wanted = configuration(spec, code_sha256(spec.zip_path))
        differences = disagreements(wanted, found[spec.name].configuration)
        if differences:
            raise DeployError(
                f"function {spec.name!r} exists and is not the one that this name promises: "
                f"{'; '.join(differences)}. Find out who made it; then delete it, or choose another "
                "deployment_id= (GRAPHLAMBDA_DEPLOYMENT_ID)"
            )
