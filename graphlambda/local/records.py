"""What the service keeps of a function and of a layer version: Function, LayerVersion.

In: nothing. Out: what is written to disk as JSON, and how Lambda's API shows it. Must not check anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphlambda.local.names import LATEST, function_arn, layer_arn

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """An unzipped deployment package or layer."""

    digest: str
    """SHA-256 of the zip, 64 hex digits: the name of its folder."""

    sha256: str
    """The same in base64, as the API has it."""

    zip_bytes: int
    unzipped_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A layer version that a function stands on; it goes on working after the version was deleted."""

    arn: str
    digest: str
    """Name of its folder."""

    zip_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function as it was created."""

    name: str
    runtime: str
    """`python3.11`."""

    role: str
    handler: str
    code: Code
    description: str = ""
    memory_mb: int = 128
    timeout_s: int = 3
    ephemeral_mb: int = 512
    architecture: str = "x86_64"
    layers: tuple[Mount, ...] = ()
    """In mount order: later ones win."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    tags: Mapping[str, str] = field(default_factory=dict)
    log_group: str = ""
    reserved: int | None = None
    """Reserved concurrency; 0 lets no invocation in."""

    published: bool = False
    """Whether it has a version."""

    snap_start: bool = False
    """Whether that version would start from a snapshot; here each environment is initialised anew."""

    provisioned: int = 0
    """Environments that would be initialised in advance; here none is."""

    vpc: Mapping[str, Any] = field(default_factory=dict)
    """Subnets and security groups; here they change nothing."""

    revision: str
    """New with every change."""

    modified: str
    """`2026-01-01T00:00:00.000+0000`."""

    def configuration(self, state: str = "Active", version: str = LATEST) -> dict[str, Any]:
        """Return the FunctionConfiguration of the API."""
        arn = function_arn(self.name)
        snapshots = ("PublishedVersions", "Off" if version == LATEST else "On")
        apply_on, optimized = snapshots if self.snap_start else ("None", "Off")
        layers = [{"Arn": layer.arn, "CodeSize": layer.zip_bytes} for layer in self.layers]
        pending = {"StateReason": "The function is being created.", "StateReasonCode": "Creating"}
        return {
            "FunctionName": self.name,
            "FunctionArn": arn if version == LATEST else f"{arn}:{version}",
            "Runtime": self.runtime,
            "Role": self.role,
            "Handler": self.handler,
            "CodeSize": self.code.zip_bytes,
            "CodeSha256": self.code.sha256,
            "Description": self.description,
            "Timeout": self.timeout_s,
            "MemorySize": self.memory_mb,
            "LastModified": self.modified,
            "Version": version,
            "RevisionId": self.revision,
            "State": state,
            **(pending if state == "Pending" else {}),
            "LastUpdateStatus": "Successful",
            "PackageType": "Zip",
            "Architectures": [self.architecture],
            "EphemeralStorage": {"Size": self.ephemeral_mb},
            "SnapStart": {"ApplyOn": apply_on, "OptimizationStatus": optimized},
            "TracingConfig": {"Mode": "PassThrough"},
            "LoggingConfig": {"LogFormat": "Text", "LogGroup": self.log_group or f"/aws/lambda/{self.name}"},
            **({"Layers": layers} if layers else {}),
            **({"VpcConfig": dict(self.vpc)} if self.vpc else {}),
            **({"Environment": {"Variables": dict(self.variables)}} if self.variables else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerVersion:
    """A layer version as it was published."""

    name: str
    version: int
    code: Code
    description: str = ""
    license: str = ""
    runtimes: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()
    created: str

    @property
    def arn(self) -> str:
        """Return the version's own ARN."""
        return f"{layer_arn(self.name)}:{self.version}"

    def summary(self) -> dict[str, Any]:
        """Return it as ListLayerVersions shows it."""
        return {
            "LayerVersionArn": self.arn,
            "Version": self.version,
            "Description": self.description,
            "CreatedDate": self.created,
            "CompatibleRuntimes": list(self.runtimes),
            "CompatibleArchitectures": list(self.architectures),
            "LicenseInfo": self.license,
        }

    def whole(self) -> dict[str, Any]:
        """Return it as GetLayerVersion shows it."""
        content = {"CodeSha256": self.code.sha256, "CodeSize": self.code.zip_bytes}
        return {"LayerArn": layer_arn(self.name), "Content": content, **self.summary()}
