"""Say what the account should hold: artifacts + settings + deployment id → specs.

Pure. In: what the packager built. Out: LayerSpecs, FunctionSpecs and the Configuration that each function
must report. Reads no file and calls nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from graphlambda.deployer.functions import Configuration, FunctionSpec, LayerSpec
from graphlambda.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphlambda.deployer.functions import Settings
    from graphlambda.packager.artifact import Artifact

NAME_LENGTH = 64
"""Most characters of a function's name: `[a-zA-Z0-9-_]` (AWS: CreateFunction, FunctionName)."""

DIGITS = 20
"""Hexadecimal digits of a function's identity in its name: 80 bits, so names do not collide by chance."""

MB_PER_VCPU = 1769
"""MiB that buy one vCPU (AWS: Configure Lambda function memory)."""

MOST_TMP_MB = 10_240
"""MiB of /tmp (AWS: EphemeralStorage)."""

MOST_VCPUS = 6
"""What 10,240 MiB buy; Lambda calls the 5.8 of the rule six."""

SNAPSHOT_TMP_MB = 512
"""Most MiB of /tmp of a function that starts from a snapshot (AWS: SnapStart, limitations)."""

POOLS = (
    "BLIS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
)
"""Variables that say how large a library's pool is. Arrow's for computing and torch's follow OMP_NUM_THREADS; Dask's are
not used. What waits for the network alone has no such bound (ARROW_IO_THREADS)."""

SECRETS = "GRAPHLAMBDA_SECRETS"
"""The variable that tells a function of which ARN it reads which variable, as JSON (see `runtime.secret_values`)."""

HASH_SEED = "6640"
"""One seed in all environments, the one of Dask's own schedulers: partitioning by `hash` must agree."""

_IDENTITY_VERSION = 2
"""Raised when the same artifact and settings begin to give a function that behaves in another way."""


def layer_specs(artifacts: Iterable[Artifact], deployment_id: str) -> tuple[LayerSpec, ...]:
    """Return every layer that the artifacts stand on, once, sorted by name."""
    wanted = {
        layer.name: LayerSpec(
            name=layer_name(deployment_id, layer.name),
            digest=layer.digest,
            zip_path=layer.zip_path,
            zip_bytes=layer.zip_bytes,
            python=artifact.target.python,
            architecture=artifact.target.architecture,
        )
        for artifact in artifacts
        for layer in artifact.layers
    }
    return tuple(wanted[name] for name in sorted(wanted))


def function_specs(
    artifacts: Iterable[Artifact],
    settings: Settings,
    deployment_id: str,
    own: Mapping[str, Settings] = MappingProxyType({}),
) -> tuple[FunctionSpec, ...]:
    """Return one function for each artifact, in the artifacts' order; `own` are settings by operation id.

    Raises:
        DeployError: a function cannot have what was asked for it.
    """
    return tuple(
        _function_spec(artifact, _with_room(own.get(artifact.operation, settings), artifact), deployment_id)
        for artifact in artifacts
    )


def _function_spec(artifact: Artifact, settings: Settings, deployment_id: str) -> FunctionSpec:
    return FunctionSpec(
        name=function_name(deployment_id, artifact.name, identity(artifact, settings)),
        deployment=deployment_id,
        operation=artifact.operation,
        zip_path=artifact.zip_path,
        zip_bytes=artifact.zip_bytes,
        handler=artifact.handler,
        python=artifact.target.python,
        architecture=artifact.target.architecture,
        layers=tuple(layer_name(deployment_id, layer.name) for layer in artifact.layers),
        settings=settings,
        description=description(artifact),
    )


def _with_room(settings: Settings, artifact: Artifact) -> Settings:
    """Return the settings with what the function unpacks for itself beside the /tmp that its tasks were promised."""
    together_mb = min(MOST_TMP_MB, settings.ephemeral_mb + artifact.tmp_mb)
    if settings.snap_start and together_mb > SNAPSHOT_TMP_MB:
        raise DeployError(
            f"snap_start: the function of operation {artifact.name} needs {together_mb} MiB of /tmp, of which "
            f"{artifact.tmp_mb} for distributions that it unpacks, and Lambda makes snapshots of at most {SNAPSHOT_TMP_MB}. "
            "Take `provisioned_concurrency` for it, or leave `snap_start` out"
        )
    return replace(settings, ephemeral_mb=together_mb)


def description(artifact: Artifact) -> str:
    """Return in a line how tight an artifact is packed."""
    size_mb = (artifact.size_bytes + sum(layer.size_bytes for layer in artifact.layers)) / 1e6
    unpacked = f", unpacks {artifact.tmp_mb} MiB to /tmp" if artifact.tmp_mb else ""
    return f"packed {artifact.level}: {size_mb:.1f} MB in {len(artifact.layers)} layers and its own{unpacked}"


def identity(artifact: Artifact, settings: Settings) -> str:
    """Return 64 hexadecimal digits over all that decides how the function behaves, and nothing else."""
    given = asdict(replace(settings, reserved=None, provisioned=int(settings.is_published)))
    facts = [_IDENTITY_VERSION, artifact.operation, artifact.digest, artifact.handler, given]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def function_name(deployment_id: str, operation_name: str, digest: str) -> str:
    """Return the function's name, its middle cut so that the whole has at most 64 characters."""
    room = NAME_LENGTH - len(f"gl-{deployment_id}--") - DIGITS
    words = re.sub(r"[^a-z0-9]+", "-", operation_name.lower())[:room].strip("-")
    return f"gl-{deployment_id}-{words or 'operation'}-{digest[:DIGITS]}"


def layer_name(deployment_id: str, packaged: str) -> str:
    """Return a layer's name in the account: the packager's, and whose it is. At most 73 of Lambda's 140 characters."""
    return f"gl-{deployment_id}-{packaged.removeprefix('gl-')}"


def configuration(spec: FunctionSpec, code_sha256: str) -> Configuration:
    """Return what Lambda must report of the function if it is the one that we want."""
    return Configuration(
        code_sha256=code_sha256,
        role=spec.settings.role,
        runtime=runtime_name(spec.python),
        handler=spec.handler,
        architecture=spec.architecture,
        memory_mb=spec.settings.memory_mb,
        timeout_s=spec.settings.timeout_s,
        ephemeral_mb=spec.settings.ephemeral_mb,
        environment=environment(spec.settings),
        layers=spec.layers,
        subnets=spec.settings.subnets,
        security_groups=spec.settings.security_groups,
        snap_start=spec.settings.snap_start,
    )


def environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return a function's variables, sorted: the user's own; as many threads as it has vCPUs; a fixed hash seed."""
    threads = str(vcpus(settings.memory_mb))
    secrets = {SECRETS: json.dumps(dict(settings.secrets))} if settings.secrets else {}
    ours = {"PYTHONHASHSEED": HASH_SEED, **secrets}
    return tuple(sorted({**dict.fromkeys(POOLS, threads), **dict(settings.variables), **ours}.items()))


def vcpus(memory_mb: int) -> int:
    """Return how many threads a function's memory buys time for: the nearest whole number of vCPUs, at least one.

    It shows more processors than that: threads on them would wait for each other's turns.
    """
    return min(MOST_VCPUS, max(1, round(memory_mb / MB_PER_VCPU)))


def runtime_name(python: str) -> str:
    """Return Lambda's name of a managed runtime: `python3.11`."""
    return f"python{python}"
