"""Operations whose distributions do not fit into layers: unpacked to /tmp by functions of the local Lambda."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import dask.array as da
import pytest

import graphlambda
from graphlambda.api.given import settings_of
from graphlambda.api.session import session_of
from graphlambda.compiler import called_operations
from graphlambda.config import load
from graphlambda.deployer import deploy
from graphlambda.errors import UnpackError
from graphlambda.packager import build, this_target
from graphlambda.packager.levels import Limits
from graphlambda.runtime import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.deployer import Deployment
    from graphlambda.packager.artifact import Artifact, Layer

LIMITS = Limits(unzipped_bytes=42_000_000)
"""Less than NumPy takes as byte code."""


@pytest.fixture(scope="module")
def program() -> graphlambda.Program:
    return graphlambda.compile((da.arange(1000, chunks=500) ** 2).sum())


@pytest.fixture(scope="module")
def artifacts(program: graphlambda.Program) -> tuple[Artifact, ...]:
    return build(
        called_operations(program),
        this_target(),
        cache=load().cache_dir,
        runtime=Path(unpack.__file__).parent,
        limits=LIMITS,
    )


def deployed(artifacts: Sequence[Artifact]) -> Deployment:
    config = load()
    session = session_of(config)
    return deploy(
        artifacts,
        settings_of(config),
        cloud=session.cloud,
        deployment_id=config.deployment_id,
        manifests=session.manifests,
    )


def truncated(layer: Layer, folder: Path) -> Layer:
    """Return a layer whose piece of an archive has lost its second half."""
    path = folder / "truncated.zip"
    with zipfile.ZipFile(layer.zip_path) as whole, zipfile.ZipFile(path, "w") as archive:
        for name in whole.namelist():
            content = whole.read(name)
            archive.writestr(whole.getinfo(name), content[: len(content) // 2])
    return replace(layer, zip_path=path, digest="0" * 64, name=f"{layer.name}-truncated")


def test_an_array_is_computed_by_functions_that_unpack_numpy_first(
    program: graphlambda.Program, artifacts: tuple[Artifact, ...]
) -> None:
    assert {artifact.level for artifact in artifacts} == {"archive"}
    assert all(artifact.tmp_mb * 2**20 > LIMITS.unzipped_bytes for artifact in artifacts)
    assert graphlambda.run(program, deployed(artifacts)) == (332_833_500,)


def test_a_damaged_archive_ends_the_run_with_what_is_wrong_and_what_to_do(
    program: graphlambda.Program, artifacts: tuple[Artifact, ...], tmp_path: Path
) -> None:
    pieces = {
        layer.name: truncated(layer, tmp_path)
        for artifact in artifacts
        for layer in artifact.layers
        if layer.name.startswith("gl-archive-")
    }
    damaged = [
        replace(
            artifact,
            digest=artifact.digest[::-1],
            layers=tuple(pieces.get(layer.name, layer) for layer in artifact.layers),
        )
        for artifact in artifacts
    ]
    with pytest.raises(UnpackError, match=r"is not what was built.*`ephemeral_mb=`.*deploy it again"):
        graphlambda.run(program, deployed(damaged))
