"""The nouns of the deployer: what we want, what the account reports, the calls between, the deployment.

In: nothing. Out: what plan, apply and the callers read. Must not know Dask or how a run goes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def version_of(function: str) -> dict[str, str]:
    """Return a version as Lambda's calls about versions take it, from `name:version`."""
    name, _, version = function.partition(":")
    return {"FunctionName": name, "Qualifier": version}


VERSION = "1"
"""The one version of a function that is published: what changes is another function."""


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

    subnets: tuple[str, ...] = ()
    """Ids, sorted, at most 16: where functions in a VPC are put; none: outside any VPC."""

    security_groups: tuple[str, ...] = ()
    """Ids, sorted, at most 5; some exactly where there are subnets."""

    variables: tuple[tuple[str, str], ...] = ()
    """Plain environment variables of the user's own, sorted by name."""

    secrets: tuple[tuple[str, str], ...] = ()
    """(variable, ARN of what the function reads it from when it starts), sorted by name."""

    reserved: int | None = None
    """Concurrency that is the function's own, and its most; None: nothing is said of
    it, and a limit that somebody set stays. No part of its identity."""

    snap_start: bool = False
    """Whether environments start from a snapshot of an initialised one."""

    provisioned: int = 0
    """Environments that are initialised before anybody asks; they cost while they wait. Of its identity, whether there are any."""

    @property
    def is_published(self) -> bool:
        """Whether invocations go to a version: only of one there are snapshots or environments in advance."""
        return self.snap_start or self.provisioned > 0


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

    @property
    def invoked(self) -> str:
        """What invocations name: the function, or its one version."""
        return f"{self.name}:{VERSION}" if self.settings.is_published else self.name


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

    subnets: tuple[str, ...] = ()
    """Ids, sorted."""

    security_groups: tuple[str, ...] = ()
    """Ids, sorted."""

    snap_start: bool = False


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

    reserved: int | None = None
    """Concurrency that is its own."""

    @property
    def name(self) -> str:
        """What its ARN ends in, a version included."""
        return self.arn.partition(":function:")[2]


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


@dataclass(frozen=True, slots=True)
class Provisioned:
    """Environments of a version that are initialised in advance, as the account reports it."""

    wanted: int
    state: str
    """`IN_PROGRESS`, `READY` or `FAILED`."""

    reason: str = ""
    """Why it failed, in Lambda's words."""


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
    """boto3's name of it: `create_function`, `publish_layer_version`, `delete_function`, `delete_layer_version`,
    `put_function_concurrency`, `put_provisioned_concurrency_config`."""

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
    libc: str | None = None
    """C library of the machine that runs functions, such as `glibc 2.36`, where it says so, as the local Lambda does; AWS
    does not: it has its managed runtimes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What the account holds for a program."""

    functions: Mapping[str, str]
    """By operation id, what invocations name: a function, or a version of one."""

    created: tuple[str, ...]
    """Names of the functions that this deploy made; the others were there."""

    endpoint: str
    """Where they are: a URL, or a region's name."""

    settings: Settings
    """Of all functions but those that have their own."""

    own: Mapping[str, Settings] = field(default_factory=dict)
    """By operation id, where an operation was given its own."""

    tmp_mb: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By operation id, MiB of /tmp of its function: what it unpacks for itself included."""

    artifact_bytes: Mapping[str, int] = field(default_factory=dict, compare=False)
    """By operation id, its zip and those of its layers; known to who deployed, not kept in a manifest."""

    def of(self, operation: str) -> Settings:
        """Return the settings of one operation's function."""
        return self.own.get(operation, self.settings)

    def timeouts_s(self) -> list[int]:
        """Return how long invocations may take, of each function."""
        return [self.of(operation).timeout_s for operation in self.functions] or [self.settings.timeout_s]
