"""What every Cloud promises, as tests to inherit; and an in-memory Cloud that keeps the promises.

In: nothing. Out: `CloudTests` for who writes a Cloud, `RecordingCloud` for who tests a deploy. Must not
reach a network.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.deployer.apply import apply
from graphlambda.deployer.functions import (
    Call,
    Configuration,
    Deployed,
    DeployedFunction,
    DeployedLayer,
    FunctionSpec,
    LayerSpec,
    Made,
    Settings,
)
from graphlambda.deployer.manifests import Manifests
from graphlambda.deployer.plan import plan
from graphlambda.deployer.proofs import code_sha256
from graphlambda.deployer.specs import configuration
from graphlambda.errors import CloudError, DeployTimeoutError
from graphlambda.store.folders import DiskFolders
from graphlambda.testing.artifacts import TARGET, write_zip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from graphlambda.deployer.cloud import Cloud

ROLE = "arn:aws:iam::123456789012:role/graphlambda"

ROOT = b"the root key of who deploys here"
"""Of 32 bytes."""


def manifests_in(folder: Path, root: bytes = ROOT, deployment: str = "local") -> Manifests:
    """Return the manifests of a deployment in a folder of its own."""
    return Manifests(DiskFolders(folder), DiskFolders(folder / ".leases"), root, deployment)


def _no_object(key: str) -> bytes:
    raise AssertionError(f"nothing lies in S3, nor under {key}")


@dataclass(slots=True)
class RecordingCloud:
    """An account in memory. Refuses what Lambda refuses, and writes down what was asked of it."""

    endpoint: str = "memory"
    pending_looks: int = 0
    """How often a new function is still `Pending` when it is looked at."""

    fate: str = "Active"
    """State that new functions come to."""

    objects: Callable[[str], bytes] = _no_object
    """Reads what lies in S3 under a key."""

    functions: dict[str, DeployedFunction] = field(default_factory=dict)
    layers: dict[str, DeployedLayer] = field(default_factory=dict)
    reads: list[tuple[str, str]] = field(default_factory=list)
    """(what, name), in the order asked."""

    changes: list[Call] = field(default_factory=list)
    """Calls that changed something, in the order made."""

    _published: list[DeployedLayer] = field(default_factory=list)
    _looks: dict[str, int] = field(default_factory=dict)
    _versions: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def describe(self, *, functions: Iterable[str] = (), layers: Iterable[str] = ()) -> Deployed:
        """Return what there is under these names."""
        with self._lock:
            return Deployed(
                functions={name: self._look(name) for name in functions if self._known(name)},
                layers={name: self.layers[name] for name in layers if self._known_layer(name)},
            )

    def layer_version(self, arn: str) -> DeployedLayer:
        """Return one version of a layer."""
        with self._lock:
            self.reads.append(("layer_version", arn))
            for layer in self._published:
                if layer.arn == arn:
                    return layer
        raise CloudError(f"get_layer_version {arn}", "ResourceNotFoundException", "not found")

    def names(self, prefix: str) -> tuple[list[str], list[str]]:
        """Return the names of functions and layers that begin so."""
        with self._lock:
            functions, layers = sorted(self.functions), sorted(self.layers)
        return (
            [name for name in functions if name.startswith(prefix)],
            [name for name in layers if name.startswith(prefix)],
        )

    def versions(self, layer: str) -> list[str]:
        """Return the ARNs of all versions of a layer, the newest first."""
        with self._lock:
            return [each.arn for each in reversed(self._published) if each.arn.split(":")[-2] == layer]

    def call(self, call: Call) -> Made:
        """Make one call of a plan."""
        actions = {
            "publish_layer_version": self._publish,
            "create_function": self._create,
            "delete_function": self._delete,
            "delete_layer_version": self._unpublish,
        }
        with self._lock:
            made = actions[call.method](call)
            if made.new:
                self.changes.append(call)
            return made

    def wait_active(self, name: str) -> DeployedFunction:
        """Look until the function is active; time passes by looking."""
        with self._lock:
            self.reads.append(("wait_active", name))
            if name not in self.functions:
                raise CloudError(f"get_function {name}", "ResourceNotFoundException", "not found")
            for _look in range(self.pending_looks + 1):
                function = self._look(name)
            if function.state == "Failed":
                raise CloudError(f"creation of {name}", "Failed", function.reason)
            if function.state != "Active":
                raise DeployTimeoutError(f"function {name!r} is still {function.state}")
            return function

    def _known(self, name: str) -> bool:
        self.reads.append(("describe_function", name))
        return name in self.functions

    def _known_layer(self, name: str) -> bool:
        self.reads.append(("describe_layer", name))
        return name in self.layers

    def _look(self, name: str) -> DeployedFunction:
        looks = self._looks.get(name, 0)
        self._looks[name] = looks + 1
        if self.functions[name].state == "Pending" and looks >= self.pending_looks:
            self.functions[name] = replace(self.functions[name], state=self.fate)
        return self.functions[name]

    def _publish(self, call: Call) -> Made:
        self._versions += 1
        arn = f"arn:aws:lambda:us-east-1:123456789012:layer:{call.subject}:{self._versions}"
        taken = self._taken(call.params["Content"])
        self.layers[call.subject] = DeployedLayer(arn, call.params["Description"], taken)
        self._published.append(self.layers[call.subject])
        return Made(arn, new=True, code_sha256=taken)

    def _taken(self, code: Mapping[str, Any]) -> str:
        """Return the digest of a zip, wherever it comes from."""
        if "S3Key" not in code:
            return code_sha256(code["ZipFile"])
        content = self.objects(code["S3Key"])
        return base64.b64encode(hashlib.sha256(content).digest()).decode()

    def _unpublish(self, call: Call) -> Made:
        gone = f":{call.subject}:{call.params['VersionNumber']}"
        self._published = [layer for layer in self._published if not layer.arn.endswith(gone)]
        newest = {layer.arn.split(":")[-2]: layer for layer in self._published}
        self.layers = {name: newest[name] for name in self.layers if name in newest}
        return Made("", new=True)

    def _create(self, call: Call) -> Made:
        if call.subject in self.functions:
            return Made("", new=False)
        known = {layer.arn for layer in self._published}
        if unknown := set(call.params["Layers"]) - known:
            raise CloudError(f"{call.method} {call.subject}", "InvalidParameterValueException", str(unknown))
        arn = f"arn:aws:lambda:us-east-1:123456789012:function:{call.subject}"
        reported = _report(call.params, self._taken(call.params["Code"]))
        self.functions[call.subject] = DeployedFunction(
            arn=arn,
            state="Pending",
            reason="",
            configuration=reported,
            layers=tuple(call.params["Layers"]),
            tags=call.params["Tags"],
        )
        return Made(arn, new=True, code_sha256=reported.code_sha256)

    def _delete(self, call: Call) -> Made:
        if call.subject not in self.functions:
            raise CloudError(f"{call.method} {call.subject}", "ResourceNotFoundException", "not found")
        del self.functions[call.subject]
        self._looks.pop(call.subject, None)
        return Made("", new=True)


def _report(params: Mapping[str, Any], taken: str) -> Configuration:
    """Return what Lambda reports of a function that was created with these params."""
    return Configuration(
        code_sha256=taken,
        role=params["Role"],
        runtime=params["Runtime"],
        handler=params["Handler"],
        architecture=params["Architectures"][0],
        memory_mb=params["MemorySize"],
        timeout_s=params["Timeout"],
        ephemeral_mb=params["EphemeralStorage"]["Size"],
        environment=tuple(sorted(params["Environment"]["Variables"].items())),
        layers=tuple(arn.split(":")[-2] for arn in params["Layers"]),
    )


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
