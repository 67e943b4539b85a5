"""Artifacts made by hand, as the packager would hand them over: small zips on disk and their nouns.

In: a folder, names. Out: `Layer`s and `Artifact`s for who tests a deploy. Must not build anything real.
"""

from __future__ import annotations

import hashlib
import zipfile
from typing import TYPE_CHECKING

from graphlambda.packager.artifact import Artifact, Layer, Target, this_target

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

TARGET = Target(python=this_target().python, architecture="x86_64")
"""Of the minor version that the tests run on: the local Lambda takes no other."""


def write_zip(path: Path, files: Mapping[str, str]) -> Path:
    """Write a zip whose bytes depend on `files` alone; return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o100644 << 16  # Lambda needs world-readable files
            archive.writestr(entry, files[name])
    return path


def make_layer(folder: Path, name: str) -> Layer:
    """Return a layer that holds one module called `name`."""
    path = write_zip(folder / f"layer-{name}.zip", {f"python/{name}.py": "VERSION = 1\n"})
    digest = hashlib.sha256(name.encode()).hexdigest()
    return Layer(
        name=f"gl-{name}-1-0-py311-x86-{digest[:12]}",
        digest=digest,
        zip_path=path,
        size_bytes=12,
        zip_bytes=path.stat().st_size,
        requirements=(),
    )


def make_three(folder: Path) -> list[Artifact]:
    """Return the artifacts of three operations: two share a layer, one has another besides, one has none."""
    numpy, rest = make_layer(folder, "numpy"), make_layer(folder, "rest")
    return [
        make_artifact(folder, "sum", (numpy,)),
        make_artifact(folder, "mean", (numpy, rest)),
        make_artifact(folder, "words"),
    ]


def make_artifact(folder: Path, name: str, layers: tuple[Layer, ...] = ()) -> Artifact:
    """Return the artifact of an operation called `name`, whose identity is its name."""
    path = write_zip(folder / f"{name}.zip", {"operation.py": f"# {name}\n"})
    return Artifact(
        operation=hashlib.sha256(f"operation {name}".encode()).hexdigest(),
        name=name,
        digest=hashlib.sha256(f"artifact {name}".encode()).hexdigest(),
        handler="graphlambda_runtime.handler.handler",
        target=TARGET,
        zip_path=path,
        size_bytes=len(name) + 3,
        zip_bytes=path.stat().st_size,
        layers=layers,
        requirements=(),
    )
