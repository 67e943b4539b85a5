"""The nouns of the deployer: what we want, what the account reports, the calls between, the deployment.

In: nothing. Out: what plan, apply and the callers read. Must not know Dask or how a run goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What one function is given beside its code; a part of its identity."""

    memory_mb: int
    """MiB for each execution environment, 128 to 10,240; vCPU share follows from it."""

    timeout_s: int
    """1 to 900."""

    ephemeral_mb: int
    """MiB of /tmp, 512 to 10,240."""

    role: str
    """ARN of the functions' role; the local Lambda takes any well-formed one."""

    logs: bool = True
    """Whether it writes logs: without, only what Lambda warns of, so that few environments ask for a log stream."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerSpec:
    """One layer as we want it to be."""

    name: str
    """`gl-<deployment id>-…`; ends in the digest, so a name never changes meaning."""

    digest: str
    zip_path: Path
    zip_bytes: int
    python: str
    """Minor version: `3.11`."""

    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionSpec:
    """One function as we want it to be."""

    name: str
    """`gl-<deployment id>-<operation name>-<20 digits>`, at most 64 characters; never changes meaning."""

    deployment: str
    """Id of the deployment that it belongs to: tag and log group carry it."""

    operation: str
    """Operation id."""

    zip_path: Path
    zip_bytes: int
    handler: str
    python: str
    architecture: str
    layers: tuple[str, ...]
    """Names of layers, in mount order."""

    settings: Settings
    """What was asked for, and the /tmp that the function itself takes on top."""

    description: str
    """How tight it is packed, for people who look at the plan or at the account."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What decides how a function behaves, in Lambda's words: compared between wish and report."""

    code_sha256: str
    """Base64, of the zip's bytes, as Lambda reports it."""

    role: str
    runtime: str
    """`python3.11`."""

    handler: str
    architecture: str
    memory_mb: int
    timeout_s: int
    ephemeral_mb: int
    environment: tuple[tuple[str, str], ...]
    """Variables, sorted by name."""

    layers: tuple[str, ...]
    """Names, in mount order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedFunction:
    """One function as the account reports it."""

    arn: str
    state: str
    """`Pending`, `Active`, `Inactive` (idle for long; wakes by itself), `Failed`, `Deleting`, …"""

    reason: str
    """Why it is in that state, in Lambda's words; often empty."""

    configuration: Configuration
    layers: tuple[str, ...] = ()
    """ARNs of the layer versions that it stands on, in mount order: what is behind one never changes."""

    tags: Mapping[str, str] = field(default_factory=dict)
    age_s: float = field(default=0.0, compare=False)
    """Since it was made, by this machine's clock; nothing of ours is changed afterwards."""

    @property
    def name(self) -> str:
        """The last part of its ARN."""
        return self.arn.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class DeployedLayer:
    """One version of a layer as the account reports it."""

    arn: str
    """Of the version."""

    digest: str
    """The tree digest that its description gives: whoever published it may have written anything there."""

    code_sha256: str
    """Base64, of its zip's bytes: Lambda's own word."""

    age_s: float = field(default=0.0, compare=False)
    """Since it was published, by this machine's clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployed:
    """What the account holds of what we asked about."""

    functions: Mapping[str, DeployedFunction]
    """By name; absent ones are left out."""

    layers: Mapping[str, DeployedLayer]
    """The newest version, by name; absent ones are left out."""


@dataclass(frozen=True, slots=True)
class Ref:
    """The ARN of a layer version that an earlier call of the plan will have published."""

    layer: str


@dataclass(frozen=True, slots=True)
class Shelved:
    """Where the bytes of a zip lie in S3, once they do: it is too large for a request."""

    zip_path: Path


@dataclass(frozen=True, slots=True)
class Call:
    """One API call that a plan asks for."""

    method: str
    """boto3's name of it: `create_function`, `publish_layer_version`, `delete_function`, `delete_layer_version`."""

    params: Mapping[str, Any]
    """Its arguments; may hold `Ref`s, `Shelved`s, and `Path`s for a zip's content."""

    @property
    def subject(self) -> str:
        """Name of the function or layer that the call is about."""
        return str(self.params.get("FunctionName") or self.params.get("LayerName"))


@dataclass(frozen=True, slots=True)
class Made:
    """What a call left behind."""

    arn: str
    """Of the function or the layer version; empty after a deletion."""

    new: bool
    """False where somebody else had made it in the meantime."""

    code_sha256: str = ""
    """Base64, of the zip that the service took; empty where it took none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountLimits:
    """What an account allows in a region, and what of it is used."""

    concurrency: int
    """Invocations at one moment."""

    unreserved: int
    """What of it no function has for itself."""

    code_bytes: int
    most_code_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the account holds for a program."""

    functions: Mapping[str, str]
    """By operation id, the function's name."""

    created: tuple[str, ...]
    """Names of the functions that this deploy made; the others were there."""

    endpoint: str
    """Where they are: a URL, or a region's name."""

    settings: Settings

    artifact_bytes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By operation id, its zip and those of its layers; known to who deployed, not kept in a manifest."""
