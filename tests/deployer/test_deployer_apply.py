"""The whole verb against an account in memory: what is asked, in which order, and what is refused."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from threading import Event, Timer, main_thread
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

import pytest

from graphlambda.deployer import Deployment, Settings, apply, deploy, function_specs, layer_specs, plan
from graphlambda.deployer.functions import Call, Deployed, Made
from graphlambda.deployer.specs import layer_name
from graphlambda.errors import CloudError, DeployError, DeployTimeoutError
from graphlambda.testing.artifacts import make_three
from graphlambda.testing.clouds import ROLE, RecordingCloud, manifests_in

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.packager.artifact import Artifact

Deploying: TypeAlias = Callable[..., Deployment]

SETTINGS = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role=ROLE)


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    return make_three(tmp_path)


@pytest.fixture
def deployed(tmp_path: Path) -> Deploying:
    """Return a deployer, who has the deployment's key."""
    manifests = manifests_in(tmp_path / "manifests")
    return partial(deploy, settings=SETTINGS, deployment_id="local", manifests=manifests)


def test_a_first_deploy_makes_every_function_and_says_which(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud(endpoint="memory", pending_looks=3)
    names = {spec.operation: spec.name for spec in function_specs(artifacts, SETTINGS, "local")}
    assert deployed(artifacts, cloud=cloud) == Deployment(
        functions=names, created=tuple(names.values()), endpoint="memory", settings=SETTINGS
    )
    assert {name: function.state for name, function in cloud.functions.items()} == dict.fromkeys(
        names.values(), "Active"
    )


def test_a_second_deploy_changes_nothing_and_reads_each_function_once(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud()
    first = deployed(artifacts, cloud=cloud)
    cloud.changes.clear()
    cloud.reads.clear()
    assert deployed(artifacts, cloud=cloud) == replace(first, created=())
    assert cloud.changes == []
    assert cloud.reads == [("describe_function", name) for name in first.functions.values()]


def test_an_interrupted_deploy_is_resumed_where_it_stopped(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud()
    deployed(artifacts[:1], cloud=cloud)
    cloud.changes.clear()
    resumed = deployed(artifacts, cloud=cloud)
    names = [resumed.functions[artifact.operation] for artifact in artifacts]
    rest = layer_name("local", artifacts[1].layers[1].name)
    assert sorted(call.subject for call in cloud.changes) == sorted([rest, *names[1:]])
    assert resumed.created == tuple(names[1:])


def test_two_artifacts_of_one_identity_share_a_function(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud()
    deployment = deployed([artifacts[0], artifacts[0]], cloud=cloud)
    assert list(cloud.functions) == list(deployment.created) == list(deployment.functions.values())


def test_no_artifacts_need_no_calls(deployed: Deploying) -> None:
    cloud = RecordingCloud()
    assert deployed([], cloud=cloud) == Deployment(
        functions={}, created=(), endpoint="memory", settings=SETTINGS
    )
    assert (cloud.reads, cloud.changes) == ([], [])


def test_a_layers_arn_reaches_the_functions_that_stand_on_it(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud()
    deployment = deployed(artifacts, cloud=cloud)
    asked = {call.subject: call.params["Layers"] for call in cloud.changes if "Layers" in call.params}
    assert asked == {
        deployment.functions[artifact.operation]: [
            cloud.layers[layer_name("local", layer.name)].arn for layer in artifact.layers
        ]
        for artifact in artifacts
    }


def test_progress_counts_every_call_to_the_end(artifacts: list[Artifact], deployed: Deploying) -> None:
    told: list[tuple[str, int, int]] = []
    cloud = RecordingCloud()
    deployed(artifacts, cloud=cloud, on_progress=lambda *progress: told.append(progress))
    planned = plan(
        layer_specs(artifacts, "local"),
        function_specs(artifacts, SETTINGS, "local"),
        Deployed(functions={}, layers={}),
    )
    assert told == [(call.subject, done, 5) for done, call in enumerate(planned, 1)]


def test_a_planted_function_is_never_used(artifacts: list[Artifact], deployed: Deploying) -> None:
    cloud = RecordingCloud()
    name = deployed(artifacts, cloud=cloud).functions[artifacts[0].operation]
    found = cloud.functions[name]
    cloud.functions[name] = replace(
        found, configuration=replace(found.configuration, code_sha256="cGxhbnRlZA==")
    )
    with pytest.raises(DeployError, match=rf"{name}.*code_sha256 is 'cGxhbnRlZA=='.*deployment_id="):
        deployed(artifacts, cloud=cloud)


class Overtaken(RecordingCloud):
    """A cloud where another deployer creates each function a moment before us."""

    def call(self, call: Call) -> Made:
        if call.method == "create_function":
            RecordingCloud.call(self, call)
        return RecordingCloud.call(self, call)


def test_a_deployer_that_is_overtaken_uses_what_is_there_and_claims_nothing(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    deployment = deployed(artifacts, cloud=Overtaken())
    assert len(deployment.functions) == 3
    assert deployment.created == ()


def test_functions_left_pending_by_a_crash_are_awaited(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    cloud = RecordingCloud(pending_looks=2)
    specs = function_specs(artifacts, SETTINGS, "local")
    list(apply(plan(layer_specs(artifacts, "local"), specs, Deployed(functions={}, layers={})), cloud.call))
    assert deployed(artifacts, cloud=cloud).created == ()
    looks = [(what, spec.name) for what in ("describe_function", "wait_active") for spec in specs]
    layers = [("layer_version", cloud.layers[layer].arn) for spec in specs for layer in spec.layers]
    assert sorted(cloud.reads) == sorted(looks + layers)
    assert {function.state for function in cloud.functions.values()} == {"Active"}


def test_a_failed_function_is_made_again(artifacts: list[Artifact], deployed: Deploying) -> None:
    cloud = RecordingCloud()
    name = deployed(artifacts, cloud=cloud).functions[artifacts[0].operation]
    cloud.functions[name] = replace(cloud.functions[name], state="Failed")
    cloud.changes.clear()
    assert deployed(artifacts, cloud=cloud).created == (name,)
    assert [call.method for call in cloud.changes] == ["delete_function", "create_function"]


def test_a_creation_that_fails_ends_the_deploy_with_its_reason(
    artifacts: list[Artifact], deployed: Deploying
) -> None:
    with pytest.raises(CloudError, match=r"creation of gl-local-sum-.* failed with Failed"):
        deployed(artifacts[:1], cloud=RecordingCloud(fate="Failed"))


def test_a_wait_that_ends_names_function_and_state(artifacts: list[Artifact], deployed: Deploying) -> None:
    with pytest.raises(DeployTimeoutError, match=r"gl-local-sum-.*Pending"):
        deployed(artifacts[:1], cloud=RecordingCloud(fate="Pending"))


def test_a_refused_call_ends_the_apply_and_keeps_what_was_made(artifacts: list[Artifact]) -> None:
    cloud = RecordingCloud()
    content = {"ZipFile": artifacts[0].zip_path}
    good = Call("publish_layer_version", {"LayerName": "gl-a", "Description": "d", "Content": content})
    bad = Call("delete_function", {"FunctionName": "gl-none"})
    with pytest.raises(CloudError, match="delete_function gl-none failed with ResourceNotFoundException"):
        list(apply([good, bad], cloud.call))
    assert cloud.changes == [good]


@dataclass(slots=True)
class Stuck(RecordingCloud):
    """A cloud that answers only when it is released, but for layers."""

    released: Event = field(default_factory=Event)

    def call(self, call: Call) -> Made:
        if call.method == "create_function":
            self.released.wait(60)
        return RecordingCloud.call(self, call)


def test_an_interrupt_waits_for_no_call_in_flight(artifacts: list[Artifact], deployed: Deploying) -> None:
    cloud = Stuck()
    timer = Timer(0.3, signal.pthread_kill, (main_thread().ident, signal.SIGINT))
    timer.start()
    began_s = monotonic()
    with pytest.raises(KeyboardInterrupt):
        deployed(artifacts, cloud=cloud)
    assert monotonic() - began_s < 10
    cloud.released.set()
    timer.join()
