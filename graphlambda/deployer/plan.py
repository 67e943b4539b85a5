"""Plan a deployment: what we want + what the account holds → the calls to make, in their order.

Pure. In: specs and a `Deployed`. Out: `Call`s as data, to be shown, compared or applied. Reads nothing and
calls nothing: a `Cloud` describes the account, `apply` makes the calls.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.functions import Call, Ref, Shelved
from graphlambda.deployer.names import TAG, log_group
from graphlambda.deployer.specs import environment, runtime_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graphlambda.deployer.functions import (
        Configuration,
        Deployed,
        DeployedLayer,
        FunctionSpec,
        LayerSpec,
        Settings,
    )

_LOGS = {"LogFormat": "Text"}
_NO_LOGS = {"LogFormat": "JSON", "ApplicationLogLevel": "FATAL", "SystemLogLevel": "WARN"}
"""As little as Lambda allows: its own lines of each invocation are INFO (AWS, "Configuring advanced logging controls")."""

READY = frozenset({"Active", "Inactive"})
"""States in which a function takes invocations; the first one wakes an inactive function by itself."""

FAILED, PENDING, DELETING = "Failed", "Pending", "Deleting"
"""State of a function whose creation went wrong: it never recovers; of one that is being created; of one that is being deleted,
whose name is taken until it is gone (AWS: Lambda function states)."""

ENDING = frozenset({FAILED, DELETING})
"""States that a function leaves by being deleted, and by nothing else."""

STUCK_S = 900.0
"""A function that is pending for so long never gets out of it: in a VPC creation takes several minutes, not fifteen."""

INLINE_BYTES = 52_428_800
"""Largest zip that travels in a request: in base64, with 262,143 bytes for the rest, it makes the 70,167,211 that Lambda takes."""


def plan(
    layers: Iterable[LayerSpec], functions: Iterable[FunctionSpec], deployed: Deployed
) -> tuple[Call, ...]:
    """Return the calls that make the account hold all `functions` and the `layers` that new ones need.

    Layers first, each published once; then failed functions go, and those that are going; then one create for each
    function that is not there. Nothing is asked for what exists: names are content addresses. That what exists is ours is not looked
    at here: see `proofs`.
    """
    missing = {spec.name: spec for spec in functions if not usable(spec.invoked, deployed)}
    needed = {layer for spec in missing.values() for layer in spec.layers}
    wanted = {layer.name: layer for layer in layers if layer.name in needed}
    absent = [layer for layer in wanted.values() if not _is_published(layer, deployed)]
    there = {name: deployed.layers[name] for name in needed if name in deployed.layers}
    for layer in absent:
        there.pop(layer.name, None)
    return (
        *(_publish(layer) for layer in absent),
        *(
            Call("delete_function", {"FunctionName": name})
            for name, spec in missing.items()
            if spec.invoked in deployed.functions
        ),
        *(_create(spec, there) for spec in missing.values()),
    )


def usable(name: str, deployed: Deployed) -> bool:
    """Return whether a function, or a version of one, is there and may become, or is, active."""
    found = deployed.functions.get(name)
    if found is None or found.state in ENDING:
        return False
    return found.state != PENDING or found.age_s < STUCK_S


def disagreements(wanted: Configuration, reported: Configuration) -> tuple[str, ...]:
    """Return, in words, every way in which a function is not the one that its name promises."""
    report = asdict(reported)
    return tuple(
        f"{field} is {report[field]!r} instead of {wish!r}"
        for field, wish in asdict(wanted).items()
        if report[field] != wish
    )


def _is_published(layer: LayerSpec, deployed: Deployed) -> bool:
    there = deployed.layers.get(layer.name)
    return there is not None and there.digest == layer.digest


def _publish(layer: LayerSpec) -> Call:
    return Call(
        "publish_layer_version",
        {
            "LayerName": layer.name,
            "Description": layer.digest,
            "Content": _carried(layer.zip_path, layer.zip_bytes),
            "CompatibleRuntimes": [runtime_name(layer.python)],
            "CompatibleArchitectures": [layer.architecture],
        },
    )


def _carried(zip_path: Path, zip_bytes: int) -> dict[str, Path] | Shelved:
    """Return how a zip comes to the service: in the request, or through S3."""
    return Shelved(zip_path) if zip_bytes > INLINE_BYTES else {"ZipFile": zip_path}


def _create(spec: FunctionSpec, there: Mapping[str, DeployedLayer]) -> Call:
    """Return the one call that makes a function: whatever it lacks would cost a call, and a wait, each."""
    return Call(
        "create_function",
        {
            "FunctionName": spec.name,
            "Role": spec.settings.role,
            "Runtime": runtime_name(spec.python),
            "Handler": spec.handler,
            "Description": spec.description,
            "Architectures": [spec.architecture],
            "Code": _carried(spec.zip_path, spec.zip_bytes),
            "Layers": [there[name].arn if name in there else Ref(name) for name in spec.layers],
            "MemorySize": spec.settings.memory_mb,
            "Timeout": spec.settings.timeout_s,
            "EphemeralStorage": {"Size": spec.settings.ephemeral_mb},
            "Environment": {"Variables": dict(environment(spec.settings))},
            "LoggingConfig": {
                **(_LOGS if spec.settings.logs else _NO_LOGS),
                "LogGroup": log_group(spec.deployment),
            },
            "Tags": {TAG: spec.deployment, "graphlambda-operation": spec.operation},
            **_placed(spec.settings),
            **_published(spec.settings),
        },
    )


def _placed(settings: Settings) -> dict[str, Any]:
    """Return the params that put a function into a VPC."""
    groups = list(settings.security_groups)
    there = {"SubnetIds": list(settings.subnets), "SecurityGroupIds": groups}
    return {"VpcConfig": there} if settings.subnets else {}


def _published(settings: Settings) -> dict[str, Any]:
    """Return the params that make a version of a function, and of that a snapshot."""
    snapshot = {"SnapStart": {"ApplyOn": "PublishedVersions"}} if settings.snap_start else {}
    return {"Publish": True, **snapshot} if settings.is_published else {}
