"""The cache is seen, bounded and cleared; what is gone is made again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.api import caching
from graphlambda.config import load
from graphlambda.errors import PackageError
from graphlambda.packager.cache import Cache

if TYPE_CHECKING:
    from pathlib import Path

    from tests.whole.conftest import Scripts

CODE = """
    import dask
    import graphlambda
    print(graphlambda.compute(dask.delayed(sum)([1, 2, 3]))[0])
"""


def test_what_was_cleared_is_made_again(scripts: Scripts, tmp_path: Path) -> None:
    folders = {"GRAPHLAMBDA_CACHE_DIR": str(tmp_path / "c"), "GRAPHLAMBDA_STATE_DIR": str(tmp_path / "s")}
    config = load({}, folders)
    assert scripts.run(CODE, **folders) == "6\n"
    held = caching.cached(config)
    assert held[caching.FUNCTIONS].entries == 1
    assert {"artifacts", "functions", "trees"} <= held.keys()
    assert caching.clear(config) == sum(kind.size_bytes for kind in held.values())
    assert caching.cached(config) == {caching.FUNCTIONS: (0, 0)}
    assert scripts.run(CODE, **folders) == "6\n"


def test_nothing_is_cleared_under_a_build(tmp_path: Path) -> None:
    config = load({"cache_dir": tmp_path}, {"HOME": str(tmp_path)})
    with Cache(tmp_path).lease(), pytest.raises(PackageError, match="in use by a build"):
        caching.clear(config)
