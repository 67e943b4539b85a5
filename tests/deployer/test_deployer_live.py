"""Deployments on the local Lambda: what really goes over the wire, and functions that answer."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.deployer import Deployment, Settings, deploy
from graphlambda.deployer.aws import AwsCloud, endpoint_cloud
from graphlambda.local import LocalLambda, LocalSettings, start
from graphlambda.testing.artifacts import make_artifact, make_layer, write_zip
from graphlambda.testing.clouds import ROLE, manifests_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.packager.artifact import Artifact

SETTINGS = Settings(memory_mb=256, timeout_s=10, ephemeral_mb=512, role=ROLE)


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalLambda]:
    with start(LocalSettings(state=tmp_path / "state")) as service:
        yield service


def cloud_of(local: LocalLambda) -> AwsCloud:
    keys = local.credentials
    return endpoint_cloud(local.endpoint, "us-east-1", access_key=keys.access_key, secret_key=keys.secret_key)


def requests_of(cloud: AwsCloud) -> list[str]:
    """Return a list that grows by the name of each request that the cloud sends."""
    sent: list[str] = []
    cloud.client.meta.events.register("before-call.lambda", lambda model, **_: sent.append(model.name))
    return sent


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    layer = make_layer(tmp_path, "greeting")
    made = [make_artifact(tmp_path, f"greet{number}", (layer,)) for number in range(5)]
    for artifact in made:
        source = f"import greeting\n\ndef handler(event, context):\n    return [greeting.VERSION, {artifact.name!r}]\n"
        write_zip(artifact.zip_path, {"greet.py": source})
    return [replace(artifact, handler="greet.handler") for artifact in made]


def deployed(artifacts: list[Artifact], cloud: AwsCloud, settings: Settings = SETTINGS) -> Deployment:
    """Deploy as a client of its own does, beside others of the same deployment."""
    manifests = manifests_in(artifacts[0].zip_path.parent / "manifests")
    return deploy(artifacts, settings, cloud=cloud, deployment_id="local", manifests=manifests)


def test_every_function_answers_with_its_own_code_on_the_shared_layer(
    local: LocalLambda, artifacts: list[Artifact]
) -> None:
    cloud = cloud_of(local)
    functions = deployed(artifacts, cloud).functions

    def answer(function: str) -> Any:
        return json.loads(cloud.client.invoke(FunctionName=function)["Payload"].read())

    assert [answer(functions[artifact.operation]) for artifact in artifacts] == [
        [1, artifact.name] for artifact in artifacts
    ]


def test_a_first_deploy_is_one_create_a_function_and_a_second_only_looks(
    local: LocalLambda, artifacts: list[Artifact]
) -> None:
    cloud = cloud_of(local)
    sent = requests_of(cloud)
    first = deployed(artifacts, cloud)
    writes = [name for name in sent if not name.startswith(("Get", "List"))]
    assert writes == ["PublishLayerVersion"] + ["CreateFunction"] * 5
    assert len(first.created) == 5

    sent.clear()
    assert deployed(artifacts, cloud) == replace(first, created=())
    assert sent == ["GetFunction"] * 5


def test_two_deployers_at_once_end_with_the_same_functions_each_made_once(
    local: LocalLambda, artifacts: list[Artifact]
) -> None:
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda cloud: deployed(artifacts, cloud), [cloud_of(local), cloud_of(local)])
    assert one.functions == other.functions
    assert sorted(one.created + other.created) == sorted(one.functions.values())


def test_other_settings_make_other_functions_beside_the_first(
    local: LocalLambda, artifacts: list[Artifact]
) -> None:
    cloud = cloud_of(local)
    first = deployed(artifacts[:1], cloud)
    larger = deployed(artifacts[:1], cloud, replace(SETTINGS, memory_mb=512))
    names = {*first.functions.values(), *larger.functions.values()}
    assert len(names) == 2
    assert set(cloud.describe(functions=names).functions) == names
