"""What Lambda answers of a function or a layer version, in our nouns.

Pure. In: answers to GetFunction and GetLayerVersion. Out: `DeployedFunction`, `DeployedLayer`. Must not ask anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.functions import Configuration, DeployedFunction, DeployedLayer

if TYPE_CHECKING:
    from collections.abc import Mapping


def read_function(answer: Mapping[str, Any]) -> DeployedFunction:
    """Translate what GetFunction answers."""
    report = answer["Configuration"]
    placed = report.get("VpcConfig") or {}
    return DeployedFunction(
        arn=report["FunctionArn"],
        state=report.get("State", "Active"),
        reason=report.get("StateReason", ""),
        configuration=Configuration(
            code_sha256=report["CodeSha256"],
            role=report["Role"],
            runtime=report.get("Runtime", ""),  # an image has neither: somebody else's
            handler=report.get("Handler", ""),
            architecture=report["Architectures"][0],
            memory_mb=report["MemorySize"],
            timeout_s=report["Timeout"],
            ephemeral_mb=report["EphemeralStorage"]["Size"],
            environment=tuple(sorted(report.get("Environment", {}).get("Variables", {}).items())),
            layers=tuple(layer["Arn"].split(":")[-2] for layer in report.get("Layers", ())),
            subnets=tuple(sorted(placed.get("SubnetIds", ()))),
            security_groups=tuple(sorted(placed.get("SecurityGroupIds", ()))),
            snap_start=report.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
        ),
        layers=tuple(layer["Arn"] for layer in report.get("Layers", ())),
        tags=answer.get("Tags") or {},
        age_s=_age_s(report.get("LastModified", "")),
        reserved=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
    )


def read_layer(answer: Mapping[str, Any]) -> DeployedLayer:
    """Translate what GetLayerVersion answers."""
    return DeployedLayer(
        answer["LayerVersionArn"],
        answer.get("Description", ""),
        answer["Content"]["CodeSha256"],
        _age_s(answer.get("CreatedDate", "")),
    )


def _age_s(date: str) -> float:
    """Return how long ago it was; 0 where nobody says. A date without a zone is Greenwich's."""
    if not date:
        return 0.0
    then = datetime.fromisoformat(date)
    return (datetime.now(UTC) - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()
