"""What earlier builds and runs found out: finished artifacts, modules that evidence did not show, memory.

In: keys. Out: an `Artifact` whose zips are there, or nothing. Must not build.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.packager.artifact import Artifact, Layer, Requirement, Target
from graphlambda.packager.cache import touch
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.compiler.program import Operation
    from graphlambda.packager.cache import Cache


def recall(cache: Cache, key: str) -> Artifact | None:
    """Return the artifact that was built for a key, if all its zips are still whole."""
    text = cache.get("artifacts", f"{key}.json")
    if text is None:
        return None
    artifact = _artifact(json.loads(text))
    zips = [
        (artifact.zip_path, artifact.zip_bytes),
        *((each.zip_path, each.zip_bytes) for each in artifact.layers),
    ]
    if not all(path.is_file() and path.stat().st_size == size for path, size in zips):
        return None
    for path, _ in zips:
        touch(path)
    return artifact


def remember(cache: Cache, key: str, artifact: Artifact) -> None:
    """Keep an artifact that is proved and zipped."""
    cache.put("artifacts", f"{key}.json", json.dumps(asdict(artifact), default=str).encode())


def learnt(cache: Cache, operation: Operation) -> frozenset[str]:
    """Return the modules that an operation turned out to need, beside its evidence."""
    return _names(cache.get("learnt", _note_of(operation)))


def learn(cache: Cache, operation: Operation, modules: Iterable[str]) -> None:
    """Remember modules that an operation turned out to need: the next build takes them for evidence."""
    new = frozenset(modules)
    cache.alter("learnt", _note_of(operation), lambda text: json.dumps(sorted(_names(text) | new)).encode())


def needed_mb(cache: Cache, operation: Operation) -> int:
    """Return the memory in MiB that an operation was given after it ran out; 0 where it never did."""
    return _number(cache.get("memory", f"{operation.id}.json"))


def need_mb(cache: Cache, operation: Operation, memory_mb: int) -> None:
    """Remember that an operation ran out of less memory than this: its next run begins with so much."""
    cache.alter(
        "memory", f"{operation.id}.json", lambda text: json.dumps(max(memory_mb, _number(text))).encode()
    )


def _names(text: bytes | None) -> frozenset[str]:
    return frozenset(json.loads(text)) if text else frozenset()


def _number(text: bytes | None) -> int:
    return int(json.loads(text)) if text else 0


def _note_of(operation: Operation) -> str:
    """Another program's inputs may be of other kinds: what un-pickling those needed says nothing of these."""
    inputs = operation.value_imports
    return f"{key_of(operation.id, *inputs) if inputs else operation.id}.json"


def _artifact(fields: dict[str, Any]) -> Artifact:
    layers = tuple(_layer(layer) for layer in fields.pop("layers"))
    fields["aws_refuses"] = tuple(fields["aws_refuses"])
    target = Target(**fields.pop("target"))
    return Artifact(**_common(fields), layers=layers, target=target)


def _layer(fields: dict[str, Any]) -> Layer:
    return Layer(**_common(fields))


def _common(fields: dict[str, Any]) -> dict[str, Any]:
    requirements = tuple(Requirement(**each) for each in fields["requirements"])
    return {**fields, "zip_path": Path(fields["zip_path"]), "requirements": requirements}
