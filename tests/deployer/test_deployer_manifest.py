"""A deployment's manifest: comes back whole, or is refused."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.deployer import Deployment, Settings, manifest
from graphlambda.errors import DeployError

if TYPE_CHECKING:
    from pathlib import Path

DEPLOYMENT = Deployment(
    functions={"b" * 64: "gl-local-sum-1", "a" * 64: "gl-local-mean-2"},
    created=("gl-local-sum-1",),
    endpoint="us-east-1",
    settings=Settings(memory_mb=2048, timeout_s=300, ephemeral_mb=512, role="arn:role"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "manifest.json"


def test_a_deployment_comes_back_as_it_was_with_nothing_newly_created(path: Path) -> None:
    manifest.save(DEPLOYMENT, path)
    assert manifest.load(path) == replace(DEPLOYMENT, created=())


def test_a_manifest_is_the_same_bytes_whatever_the_order_and_for_its_owner_alone(path: Path) -> None:
    manifest.save(DEPLOYMENT, path)
    first = path.read_bytes()
    manifest.save(replace(DEPLOYMENT, functions=dict(sorted(DEPLOYMENT.functions.items()))), path)
    assert path.read_bytes() == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("schema", 2, "its version is 2"),
        ("endpoint", "elsewhere", "does not agree with its digest"),
        ("functions", {}, "does not agree with its digest"),
    ],
)
def test_a_changed_manifest_is_refused_with_the_reason(
    path: Path, field: str, value: object, reason: str
) -> None:
    manifest.save(DEPLOYMENT, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(DeployError, match=f"{path} is not a manifest.*{reason}.*Deploy again"):
        manifest.load(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "0"}', "null", "\x00"])
def test_what_is_no_manifest_is_refused(path: Path, text: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(DeployError, match="is not a manifest of version 1"):
        manifest.load(path)


def test_a_write_that_fails_leaves_the_old_manifest_and_no_other_file(path: Path) -> None:
    manifest.save(DEPLOYMENT, path)
    first = path.read_bytes()
    with pytest.raises(TypeError):
        manifest.save(replace(DEPLOYMENT, endpoint=object()), path)  # type: ignore[arg-type]
    assert path.read_bytes() == first
    assert list(path.parent.iterdir()) == [path]
