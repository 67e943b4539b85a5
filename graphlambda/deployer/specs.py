"""Say what the account should hold: artifacts + settings + deployment id → specs.

Pure. In: what the packager built. Out: LayerSpecs, FunctionSpecs and the Configuration that each function
must report. Reads no file and calls nothing.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from graphlambda.deployer.functions import Configuration, FunctionSpec, LayerSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

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

HASH_SEED = "6640"
"""One seed in all environments, the one of Dask's own schedulers: partitioning by `hash` must agree."""

_IDENTITY_VERSION = 1
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
    artifacts: Iterable[Artifact], settings: Settings, deployment_id: str
) -> tuple[FunctionSpec, ...]:
    """Return one function for each artifact, in the artifacts' order."""
    return tuple(
        _function_spec(artifact, _with_room(settings, artifact), deployment_id) for artifact in artifacts
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
    return replace(settings, ephemeral_mb=together_mb)


def description(artifact: Artifact) -> str:
    """Return in a line how tight an artifact is packed."""
    size_mb = (artifact.size_bytes + sum(layer.size_bytes for layer in artifact.layers)) / 1e6
    unpacked = f", unpacks {artifact.tmp_mb} MiB to /tmp" if artifact.tmp_mb else ""
    return f"packed {artifact.level}: {size_mb:.1f} MB in {len(artifact.layers)} layers and its own{unpacked}"


def identity(artifact: Artifact, settings: Settings) -> str:
    """Return 64 hexadecimal digits over all that decides how the function behaves, and nothing else."""
    facts = [_IDENTITY_VERSION, artifact.operation, artifact.digest, artifact.handler, asdict(settings)]
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
    )


def environment(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return a function's variables, sorted: a fixed hash seed, and as many BLAS threads as it has vCPUs."""
    threads = str(max(1, settings.memory_mb // MB_PER_VCPU))
    pools = ("MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return (*((pool, threads) for pool in pools), ("PYTHONHASHSEED", HASH_SEED))


def runtime_name(python: str) -> str:
    """Return Lambda's name of a managed runtime: `python3.11`."""
    return f"python{python}"
