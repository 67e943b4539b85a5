"""One cache and one copy of our runtime for all of the packager's tests, so that each tree is made once."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path

import pytest

import graphlambda
from graphlambda.packager import Target


@pytest.fixture(scope="session")
def target() -> Target:
    machine = {"x86_64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}[platform.machine()]
    return Target(python=f"{sys.version_info.major}.{sys.version_info.minor}", architecture=machine)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="session")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, since the checkout may be edited while tests run."""
    copy = tmp_path_factory.mktemp("runtime") / "runtime"
    source = Path(graphlambda.__path__[0]) / "runtime"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """An empty folder like site-packages."""
    path = tmp_path / "site-packages"
    path.mkdir()
    return path
