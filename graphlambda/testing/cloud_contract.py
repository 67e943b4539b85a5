"""What every Cloud promises, as tests to inherit.

In: nothing. Out: `CloudTests` for who writes a Cloud, and more of them for one that has more. Must not reach a network.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.deployer.apply import apply
from graphlambda.deployer.capacity import give_capacity
from graphlambda.deployer.functions import (
    Call,
    Deployed,
    DeployedLayer,
    FunctionSpec,
    LayerSpec,
    Made,
    Provisioned,
    Settings,
)
from graphlambda.deployer.plan import plan
from graphlambda.deployer.proofs import code_sha256
from graphlambda.deployer.specs import configuration
from graphlambda.errors import CloudError
from graphlambda.testing.artifacts import TARGET, write_zip
from graphlambda.testing.clouds import ROLE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphlambda.deployer.cloud import Cloud


class CloudTests(ABC):
    """What every cloud promises. Subclass it, give `cloud` (empty, one a test), and inherit the tests."""

    role = ROLE
    """ARN of a role that the cloud's functions may run under."""

    @pytest.fixture
    @abstractmethod
    def cloud(self) -> Cloud:
        """Return a cloud that holds nothing under the names used here."""

    @pytest.fixture
    def layer(self, tmp_path: Path) -> LayerSpec:
        """Return a layer of one module."""
        return LayerSpec(
            name="gl-test-words-1-0-py311-x86-0123456789ab",
            digest="0123456789ab" + "0" * 52,
            zip_path=write_zip(tmp_path / "layer.zip", {"python/words.py": "HELLO = 'hello'\n"}),
            zip_bytes=200,
            python=TARGET.python,
            architecture="x86_64",
        )

    @pytest.fixture
    def function(self, tmp_path: Path, layer: LayerSpec) -> FunctionSpec:
        """Return a function on that layer."""
        source = "def handler(event, context):\n    return event\n"
        return FunctionSpec(
            name="gl-test-echo-0123456789abcdef0123",
            deployment="test",
            operation="e" * 64,
            zip_path=write_zip(tmp_path / "echo.zip", {"echo.py": source}),
            zip_bytes=200,
            handler="echo.handler",
            python=TARGET.python,
            architecture="x86_64",
            layers=(layer.name,),
            settings=Settings(memory_mb=256, timeout_s=5, ephemeral_mb=512, role=self.role),
            description="answers what it is given",
        )

    def test_what_was_never_made_is_not_described(self, cloud: Cloud) -> None:
        """Absence is an answer, not an error."""
        there = cloud.describe(functions=["gl-test-nothing"], layers=["gl-nothing"])
        assert there == Deployed(functions={}, layers={})

    def test_a_published_layer_is_described_by_its_version_and_digest(
        self, cloud: Cloud, layer: LayerSpec
    ) -> None:
        """The ARN that publishing gave is the one that describing gives."""
        made = self._publish(cloud, layer)
        assert made.new
        assert cloud.describe(layers=[layer.name]).layers == {
            layer.name: DeployedLayer(made.arn, layer.digest, code_sha256(layer.zip_path))
        }
        assert made.code_sha256 == code_sha256(layer.zip_path)

    def test_the_newest_version_of_a_layer_is_described(self, cloud: Cloud, layer: LayerSpec) -> None:
        """Lambda numbers versions even where their bytes are equal."""
        first, second = self._publish(cloud, layer), self._publish(cloud, layer)
        assert first.arn != second.arn
        assert cloud.describe(layers=[layer.name]).layers[layer.name].arn == second.arn

    def test_a_created_function_becomes_active_and_reports_what_was_asked(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """All of a function's configuration takes one call."""
        made = self._apply(cloud, layer, function)[function.name]
        active = cloud.wait_active(function.name)
        assert (made.new, made.arn, active.state) == (True, active.arn, "Active")
        assert active.configuration == configuration(function, code_sha256(function.zip_path))
        assert (made.code_sha256, active.layers, dict(active.tags)) == (
            active.configuration.code_sha256,
            (cloud.describe(layers=[layer.name]).layers[layer.name].arn,),
            {"graphlambda": "test", "graphlambda-operation": function.operation},
        )
        assert cloud.describe(functions=[function.name]).functions == {function.name: active}

    def test_what_exists_is_not_planned_again(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """The cloud's own report satisfies the planner."""
        self._apply(cloud, layer, function)
        deployed = cloud.describe(functions=[function.name], layers=[layer.name])
        assert plan([layer], [function], deployed) == ()

    def test_creating_what_exists_is_no_error_and_not_new(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """Two deployers of one program may meet."""
        deployed = Deployed(functions={}, layers={})
        calls = plan([layer], [function], deployed)
        made = [left.new for _deployer in range(2) for _, left in apply(calls, cloud.call)]
        assert made == [True, True, True, False]

    def test_a_deleted_function_is_gone(self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec) -> None:
        """Its name is free again."""
        self._apply(cloud, layer, function)
        cloud.wait_active(function.name)
        cloud.call(Call("delete_function", {"FunctionName": function.name}))
        cloud.wait_gone(function.name)
        assert cloud.describe(functions=[function.name]).functions == {}
        assert self._apply(cloud, layer, function)[function.name].new

    def test_what_begins_so_is_listed_and_nothing_else(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """Names carry the id of the deployment."""
        self._apply(cloud, layer, function)
        newest = self._publish(cloud, layer).arn
        assert cloud.names("gl-test-") == ([function.name], [layer.name])
        assert cloud.names("gl-tes-") == ([], [])
        assert (cloud.versions(layer.name)[0], len(cloud.versions(layer.name))) == (newest, 2)
        assert cloud.versions("gl-test-nothing") == []
        assert cloud.layer_version(newest) == cloud.describe(layers=[layer.name]).layers[layer.name]

    def test_a_deleted_layer_version_is_gone_and_the_function_on_it_stays(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """A sweep deletes functions first, and others' may still stand on a layer."""
        self._apply(cloud, layer, function)
        (arn,) = cloud.versions(layer.name)
        number = int(arn.rpartition(":")[2])
        cloud.call(Call("delete_layer_version", {"LayerName": layer.name, "VersionNumber": number}))
        assert (cloud.versions(layer.name), cloud.describe(layers=[layer.name]).layers) == ([], {})
        with pytest.raises(CloudError, match="ResourceNotFoundException"):
            cloud.layer_version(arn)
        assert cloud.wait_active(function.name).layers == (arn,)

    def test_a_refusal_names_the_call_and_the_function(self, cloud: Cloud, function: FunctionSpec) -> None:
        """Here: a function on a layer that was never published."""
        arn = "arn:aws:lambda:us-east-1:123456789012:layer:gl-nowhere:1"
        there = Deployed(functions={}, layers={function.layers[0]: DeployedLayer(arn, "", "")})
        (call,) = plan([], [function], there)
        with pytest.raises(CloudError) as refusal:
            cloud.call(call)
        assert refusal.value.call == f"create_function {function.name}"
        assert refusal.value.code
        assert refusal.value.message

    def test_deleting_or_awaiting_what_was_never_made_is_refused(self, cloud: Cloud) -> None:
        """A wait for nothing would never end."""
        with pytest.raises(CloudError, match="ResourceNotFoundException"):
            cloud.call(Call("delete_function", {"FunctionName": "gl-test-nothing"}))
        with pytest.raises(CloudError, match="ResourceNotFoundException"):
            cloud.wait_active("gl-test-nothing")

    @staticmethod
    def _publish(cloud: Cloud, layer: LayerSpec) -> Made:
        params = {
            "LayerName": layer.name,
            "Description": layer.digest,
            "Content": {"ZipFile": layer.zip_path},
            "CompatibleRuntimes": [f"python{layer.python}"],
            "CompatibleArchitectures": [layer.architecture],
        }
        return cloud.call(Call("publish_layer_version", params))

    @staticmethod
    def _apply(cloud: Cloud, layer: LayerSpec, function: FunctionSpec) -> Mapping[str, Made]:
        deployed = cloud.describe(functions=[function.name], layers=[layer.name])
        return {call.subject: made for call, made in apply(plan([layer], [function], deployed), cloud.call)}


class CapacityTests(CloudTests):
    """What every cloud promises, and that it reserves concurrency and has versions."""

    def test_concurrency_is_reserved_and_stays_where_nothing_is_said_of_it(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """A deploy sees by this what is left to do."""
        self._apply(cloud, layer, function)
        cloud.wait_active(function.name)
        for reserved in (1, None):
            spec = replace(function, settings=replace(function.settings, reserved=reserved))
            give_capacity([spec], cloud.describe(functions=[spec.name]).functions, cloud)
            assert cloud.describe(functions=[spec.name]).functions[spec.name].reserved == 1

    def test_a_version_is_published_with_its_function_and_described_as_the_function_is(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """Invocations name it."""
        spec = replace(function, settings=replace(function.settings, provisioned=1))
        self._apply(cloud, layer, spec)
        active = cloud.wait_active(spec.invoked)
        assert (active.name, active.state) == (spec.invoked, "Active")
        assert active.configuration == configuration(spec, code_sha256(spec.zip_path))
        assert plan([layer], [spec], cloud.describe(functions=[spec.invoked])) == ()


class ProvisioningTests(CapacityTests):
    """What a cloud promises beside that has environments which are initialised in advance; moto has none."""

    def test_environments_wait_for_a_version(
        self, cloud: Cloud, layer: LayerSpec, function: FunctionSpec
    ) -> None:
        """A deploy asks for them, and waits until they do."""
        spec = replace(function, settings=replace(function.settings, provisioned=1))
        self._apply(cloud, layer, spec)
        cloud.wait_active(spec.invoked)
        assert cloud.provisioned(spec.invoked) is None
        give_capacity([spec], cloud.describe(functions=[spec.name, spec.invoked]).functions, cloud)
        assert cloud.provisioned(spec.invoked) == Provisioned(1, "READY")
