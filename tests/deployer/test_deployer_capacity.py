"""Concurrency of a function's own and environments in advance: what is there is left, what is not is asked for, once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.deployer import Settings
from graphlambda.deployer.capacity import READY_S, give_capacity
from graphlambda.deployer.functions import Call, FunctionSpec, Provisioned
from graphlambda.errors import CloudError, DeployTimeoutError
from graphlambda.testing.artifacts import TARGET
from graphlambda.testing.clouds import ROLE, RecordingCloud

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role=ROLE)
NAME = "gl-test-echo-0123456789abcdef0123"


@dataclass(slots=True)
class Slow(RecordingCloud):
    """A cloud whose environments come to a state of their own, one look after the other."""

    states: list[str] = field(default_factory=list)

    def provisioned(self, function: str) -> Provisioned | None:
        there = RecordingCloud.provisioned(self, function)
        if there is not None and self.states:
            return replace(there, state=self.states.pop(0), reason="no room")
        return there


@pytest.fixture
def spec(tmp_path: Path) -> FunctionSpec:
    return FunctionSpec(
        name=NAME, deployment="test", operation="e" * 64, zip_path=tmp_path / "echo.zip", zip_bytes=0,
        handler="echo.handler", python=TARGET.python, architecture="x86_64", layers=(), settings=SETTINGS,
        description="",
    )  # fmt: skip


def given(spec: FunctionSpec, cloud: RecordingCloud) -> list[Call]:
    """Return the calls that change something for a function, in a time that passes by waiting."""
    now_s = [0.0]
    already = len(cloud.changes)
    if spec.name not in cloud.functions:
        spec.zip_path.write_bytes(b"")
        params = {
            "FunctionName": spec.name, "Layers": [], "Tags": {}, "Code": {"ZipFile": spec.zip_path}, "Role": ROLE,
            "Runtime": "python3.12", "Handler": "h", "Architectures": ["x86_64"], "MemorySize": 128, "Timeout": 3,
            "EphemeralStorage": {"Size": 512}, "Environment": {"Variables": {}}, "Publish": True,
        }  # fmt: skip
        cloud.call(Call("create_function", params))
        already += 1
    found = cloud.describe(functions=[spec.name, spec.invoked]).functions
    give_capacity(
        [spec], found, cloud, clock=lambda: now_s[0], sleep=lambda s: now_s.__setitem__(0, now_s[0] + s)
    )
    return cloud.changes[already:]


def test_what_is_there_is_not_asked_for_again(spec: FunctionSpec) -> None:
    cloud = RecordingCloud()
    wanting = replace(spec, settings=replace(SETTINGS, reserved=5, provisioned=2))
    assert given(wanting, cloud) == [
        Call("put_function_concurrency", {"FunctionName": NAME, "ReservedConcurrentExecutions": 5}),
        Call(
            "put_provisioned_concurrency_config",
            {"FunctionName": NAME, "Qualifier": "1", "ProvisionedConcurrentExecutions": 2},
        ),
    ]
    assert given(wanting, cloud) == []


def test_a_limit_that_somebody_set_stays_where_nothing_is_said_of_it(spec: FunctionSpec) -> None:
    cloud = RecordingCloud()
    given(replace(spec, settings=replace(SETTINGS, reserved=5)), cloud)
    assert given(spec, cloud) == []


def test_environments_that_fail_to_start_are_an_error_with_lambdas_reason_and_are_asked_for_anew(
    spec: FunctionSpec,
) -> None:
    wanting = replace(spec, settings=replace(SETTINGS, provisioned=2))
    cloud = Slow(states=["IN_PROGRESS", "FAILED"])
    with pytest.raises(CloudError, match="FAILED: no room"):
        given(wanting, cloud)
    cloud.states[:] = ["FAILED", "IN_PROGRESS"]
    assert [call.method for call in given(wanting, cloud)] == ["put_provisioned_concurrency_config"]


def test_the_wait_for_environments_ends(spec: FunctionSpec) -> None:
    cloud = Slow(states=["IN_PROGRESS"] * int(READY_S))
    with pytest.raises(DeployTimeoutError, match="has not all of its 2 environments after 600 s"):
        given(replace(spec, settings=replace(SETTINGS, provisioned=2)), cloud)
