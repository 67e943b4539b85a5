"""An in-memory Cloud that keeps the promises of one (see `cloud_contract`).

In: nothing. Out: `RecordingCloud` for who tests a deploy. Must not
reach a network.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.functions import (
    VERSION,
    Call,
    Configuration,
    Deployed,
    DeployedFunction,
    DeployedLayer,
    Made,
    Provisioned,
)
from graphlambda.deployer.manifests import Manifests
from graphlambda.deployer.proofs import code_sha256
from graphlambda.errors import CloudError, DeployTimeoutError
from graphlambda.store.folders import DiskFolders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path


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

    environments: dict[str, Provisioned] = field(default_factory=dict)
    """Those that are initialised in advance, by `name:version`."""

    versions_of_functions: dict[str, DeployedFunction] = field(default_factory=dict)
    """By `name:version`."""

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
            "put_function_concurrency": self._reserve,
            "put_provisioned_concurrency_config": self._provision,
            "delete_layer_version": self._unpublish,
        }
        with self._lock:
            made = actions[call.method](call)
            if made.new:
                self.changes.append(call)
            return made

    def provisioned(self, function: str) -> Provisioned | None:
        """Return what is initialised in advance."""
        with self._lock:
            return self.environments.get(function)

    def wait_active(self, name: str) -> DeployedFunction:
        """Look until the function is active; time passes by looking."""
        with self._lock:
            self.reads.append(("wait_active", name))
            if name not in self._all():
                raise CloudError(f"get_function {name}", "ResourceNotFoundException", "not found")
            for _look in range(self.pending_looks + 1):
                function = self._look(name)
            if function.state == "Failed":
                raise CloudError(f"creation of {name}", "Failed", function.reason)
            if function.state != "Active":
                raise DeployTimeoutError(f"function {name!r} is still {function.state}")
            return function

    def wait_gone(self, name: str) -> None:
        """Return at once: what is deleted here is gone."""

    def _known(self, name: str) -> bool:
        self.reads.append(("describe_function", name))
        return name in self._all()

    def _known_layer(self, name: str) -> bool:
        self.reads.append(("describe_layer", name))
        return name in self.layers

    def _look(self, name: str) -> DeployedFunction:
        looks = self._looks.get(name, 0)
        self._looks[name] = looks + 1
        where = self.functions if name in self.functions else self.versions_of_functions
        if where[name].state == "Pending" and looks >= self.pending_looks:
            where[name] = replace(where[name], state=self.fate)
        return where[name]

    def _all(self) -> dict[str, DeployedFunction]:
        return {**self.functions, **self.versions_of_functions}

    def _reserve(self, call: Call) -> Made:
        reserved = call.params.get("ReservedConcurrentExecutions")
        self.functions[call.subject] = replace(self.functions[call.subject], reserved=reserved)
        return Made("", new=True)

    def _provision(self, call: Call) -> Made:
        which = f"{call.subject}:{call.params['Qualifier']}"
        if which not in self.versions_of_functions:
            raise CloudError(f"{call.method} {which}", "ResourceNotFoundException", "not found")
        self.environments[which] = Provisioned(call.params["ProvisionedConcurrentExecutions"], "READY")
        return Made("", new=True)

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
        made = DeployedFunction(
            arn=arn,
            state="Pending",
            reason="",
            configuration=reported,
            layers=tuple(call.params["Layers"]),
            tags=call.params["Tags"],
        )
        self.functions[call.subject] = made
        if call.params.get("Publish"):
            self.versions_of_functions[f"{call.subject}:{VERSION}"] = replace(made, arn=f"{arn}:{VERSION}")
        return Made(arn, new=True, code_sha256=reported.code_sha256)

    def _delete(self, call: Call) -> Made:
        if call.subject not in self.functions:
            raise CloudError(f"{call.method} {call.subject}", "ResourceNotFoundException", "not found")
        del self.functions[call.subject]
        self.versions_of_functions.pop(f"{call.subject}:{VERSION}", None)
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
        subnets=tuple(sorted(params.get("VpcConfig", {}).get("SubnetIds", ()))),
        security_groups=tuple(sorted(params.get("VpcConfig", {}).get("SecurityGroupIds", ()))),
        snap_start="SnapStart" in params,
    )
