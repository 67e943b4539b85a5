"""Apply a plan, and the whole verb: describe → prove → plan → apply → wait → prove.

In: artifacts, settings, a `Cloud`, the deployment's manifests. Out: a `Deployment`. All decisions are in `specs`, `proofs`
and `plan`; nothing here knows whose cloud it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, count, groupby
from operator import attrgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.deployer.capacity import give_capacity
from graphlambda.deployer.functions import Call, Deployed, Deployment, Made, Ref, Shelved
from graphlambda.deployer.intent import Plan, intended
from graphlambda.deployer.manifests import of_function, of_layer
from graphlambda.deployer.plan import READY, usable
from graphlambda.deployer.proofs import code_sha256
from graphlambda.deployer.specs import configuration
from graphlambda.deployer.threads import LOOKERS, AtOnce, at_once
from graphlambda.errors import CloudError, DeployError

if TYPE_CHECKING:
    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import DeployedFunction, FunctionSpec, Settings
    from graphlambda.deployer.manifests import Manifests
    from graphlambda.deployer.shelf import Shelf
    from graphlambda.packager.artifact import Artifact

OnProgress: TypeAlias = Callable[[str, int, int], None]
"""Told (name, calls done, calls in all) after each call; on the thread that deploys."""


def silent(_name: str, _done: int, _total: int) -> None:
    """Tell nobody."""


def deploy(  # noqa: PLR0913  (what is wanted and who makes it, each by name)
    artifacts: Sequence[Artifact],
    settings: Settings,
    *,
    cloud: Cloud,
    deployment_id: str,
    manifests: Manifests,
    shelf: Shelf | None = None,
    own: Mapping[str, Settings] = MappingProxyType({}),
    on_progress: OnProgress = silent,
    at_once: AtOnce = at_once,
) -> Deployment:
    """Make the account hold one active function for each artifact; return which.

    Deploying again makes no call that changes anything. Every function, found or made, is proved to be ours before it is
    returned. Without a shelf, a zip that no request carries is refused. `own` are operations' own settings, by id.

    Raises:
        CloudError: the control plane refused a call.
        DeployTimeoutError: a function did not become active in time.
        DeployError: a name is taken by what is not ours; the manifests are out of reach; a zip has no way to the account.
    """
    planned, proofs = intended(
        artifacts,
        settings,
        own,
        cloud=cloud,
        deployment_id=deployment_id,
        manifests=manifests,
        is_dry=False,
        at_once=at_once,
    )
    maker = Maker(cloud, manifests, shelf, planned)
    going = apply(planned.calls, maker.make, on_progress=on_progress, at_once=at_once)
    created, active = _made(going, planned, cloud, at_once)
    proofs.check_functions(planned.functions, active)
    give_capacity(planned.functions, {**planned.deployed.functions, **active}, cloud)
    found = _deployment(planned, created, artifacts, settings)
    return replace(found, own=own)


def _deployment(
    planned: Plan, created: tuple[str, ...], artifacts: Iterable[Artifact], settings: Settings
) -> Deployment:
    return Deployment(
        functions={spec.operation: spec.invoked for spec in planned.functions},
        created=created,
        endpoint=planned.endpoint,
        settings=settings,
        tmp_mb={spec.operation: spec.settings.ephemeral_mb for spec in planned.functions},
        artifact_bytes={each.operation: each.whole_zip_bytes for each in artifacts},
    )


def _made(
    going: Iterable[tuple[Call, Made]], planned: Plan, cloud: Cloud, at_once: AtOnce
) -> tuple[tuple[str, ...], dict[str, DeployedFunction]]:
    """Make what is planned and wait for it; return which functions we made, and all that became active."""
    created: list[str] = []
    begun = chain(_pending(planned.deployed), _creating(going, created, planned.functions))
    active = {each.name: each for each in at_once(cloud.wait_active, begun, threads=LOOKERS)}
    return tuple(created), active


def apply(
    calls: Iterable[Call],
    make: Callable[[Call], Made],
    *,
    on_progress: OnProgress = silent,
    at_once: AtOnce = at_once,
) -> Iterator[tuple[Call, Made]]:
    """Make the calls; yield each with what it left behind, in order.

    Neighbours of one method do not depend on each other and go out a few at a time. After a failure no
    call is begun, and what was made stays: the next deploy finds it. Raises what `make` raises.
    """
    calls = tuple(calls)
    made: dict[str, Made] = {}
    done = count(1)
    for _method, wave in groupby(calls, key=attrgetter("method")):
        resolved = [Call(call.method, _resolve(call.params, made)) for call in wave]
        for call, left in zip(resolved, at_once(make, resolved), strict=True):
            made[call.subject] = left
            on_progress(call.subject, next(done), len(calls))
            yield call, left


class Maker:
    """Makes what was planned: says in a manifest what it is about to make, brings large zips, looks at what was taken."""

    def __init__(self, cloud: Cloud, manifests: Manifests, shelf: Shelf | None, planned: Plan) -> None:
        self._cloud = cloud
        self._manifests = manifests
        self._shelf = shelf
        self._layers = {layer.name: layer for layer in planned.layers}
        self._functions = {function.name: function for function in planned.functions}

    def make(self, call: Call) -> Made:
        """Make one call, whose params hold no `Ref`.

        Raises:
            CloudError: the control plane refused.
            DeployError: the manifest or the zip cannot be written; the service took other bytes than were meant.
        """
        if call.method == "delete_function":
            return self._deleted(call)
        ours = self._vouched(call)
        made = self._cloud.call(Call(call.method, {**call.params, **self._shelved(call)}))
        if made.new and made.code_sha256 != ours:
            raise DeployError(
                f"{call.method} {call.subject}: Lambda took a zip of CodeSha256 {made.code_sha256} in place of {ours}. "
                "Nothing of it was run. Delete it, and what lies in the bucket for it; find out who wrote there"
            )
        return made

    def _vouched(self, call: Call) -> str:
        """Say what is about to be made; return the digest of its zip."""
        if call.method == "publish_layer_version":
            ours = code_sha256(self._layers[call.subject].zip_path)
            self._manifests.vouch(call.subject, of_layer(ours))
            return ours
        spec = self._functions[call.subject]
        ours = code_sha256(spec.zip_path)
        self._manifests.vouch(spec.name, of_function(configuration(spec, ours), call.params["Layers"]))
        return ours

    def _shelved(self, call: Call) -> dict[str, Any]:
        """Return the params that say where a zip lies that is too large for a request, once it lies there."""
        too_large = {name: value for name, value in call.params.items() if isinstance(value, Shelved)}
        if too_large and self._shelf is None:
            raise DeployError(
                f"the zip of {call.subject} is too large for a request, and there is no bucket to lay it into"
            )
        return {name: self._shelf.place(value.zip_path) for name, value in too_large.items() if self._shelf}

    def _deleted(self, call: Call) -> Made:
        """Delete a function that failed, and wait until its name is free; that another deployer has done so is no error."""
        try:
            made = self._cloud.call(call)
        except CloudError as error:
            if error.code == "ResourceNotFoundException":
                return Made("", new=False)
            raise
        self._cloud.wait_gone(call.subject)
        return made


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


def _creating(
    going: Iterable[tuple[Call, Made]], created: list[str], specs: Iterable[FunctionSpec]
) -> Iterator[str]:
    """Yield what is invoked of each function as soon as it exists, while others are still to be made; note what we made."""
    invoked = {spec.name: spec.invoked for spec in specs}
    for call, left in going:
        if call.method == "create_function":
            created.extend([invoked[call.subject]] * left.new)
            yield invoked[call.subject]


def _pending(deployed: Deployed) -> list[str]:
    """Return the functions that were found neither ready nor to be made anew."""
    found = deployed.functions.items()
    return [name for name, function in found if function.state not in READY and usable(name, deployed)]
