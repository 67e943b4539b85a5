"""Prove that artifacts import where nothing but themselves and the standard library can be seen.

In: the layers of a requirement set laid out in one folder, the functions that stand on them. Out: what failed.
Must not call what it imports. One interpreter serves all functions of a set: see `isolated/prove.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.packager.alone import ask

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Failure:
    """Why something did not import."""

    type: str
    message: str
    missing: tuple[str, ...]
    """Modules that were not found, by it or by what caused it."""

    files: tuple[str, ...] = ()
    """Whose code was running, as a function sees them."""

    def __str__(self) -> str:
        return f"{self.type}: {self.message}"


@dataclass(frozen=True, slots=True)
class Proof:
    """What failed, of what was tried."""

    modules: Mapping[str, Failure]
    operations: Mapping[str, Failure]
    """By operation id."""


def prove(opt: Iterable[Path], modules: Iterable[str], tasks: Mapping[str, Path], scratch: Path) -> Proof:
    """Import modules and operations in isolation. Raises ProofError when the interpreter does not answer."""
    job: dict[str, Any] = {
        "opt": [str(folder) for folder in opt],
        "modules": sorted(modules),
        "tasks": {operation: str(folder) for operation, folder in sorted(tasks.items())},
    }
    found = ask("prove", job, ", ".join(job["modules"]) or "an operation", scratch)
    return Proof(_failures(found["modules"]), _failures(found["operations"]))


def _failures(found: Mapping[str, Any]) -> dict[str, Failure]:
    return {
        name: Failure(
            failure["type"], failure["message"], tuple(failure["missing"]), tuple(failure.get("files", ()))
        )
        for name, failure in found.items()
        if failure
    }
