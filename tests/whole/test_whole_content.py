"""`content_cache=True`: a later process starts from what an earlier one has left, and gives what Dask gives."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphlambda.api.account import root_of
from graphlambda.config import load
from graphlambda.store.file import FileStore, default_root
from graphlambda.store.namespaces import namespace_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.whole.conftest import Scripts

SCRIPT = """
    import sys
    import dask.array as da
    import numpy as np
    import graphlambda

    def result(scale):
        x = da.random.default_rng(7).random((1000, 500), chunks=500)
        return (x.map_blocks(np.linalg.pinv) * scale).sum(axis=0)

    settings = {"fuse": False, "inline_bytes": 0}

    if __name__ == "__main__":
        for scale, namespace in [(2.0, "ours"), (2.0, "theirs"), (3.0, "ours")]:
            (found,) = graphlambda.compute(result(scale), content_cache=True, namespace=namespace, **settings)
            assert np.allclose(found, result(scale).compute())  # BLAS has other threads there
            print(graphlambda.last_summary().tasks_spared)
        graphlambda.compute(result(2.0), **settings)
        print(graphlambda.last_summary().tasks_spared)
"""


@pytest.fixture
def no_namespaces() -> Iterator[None]:
    """Leave none behind: they would stay for a day. What else lies in the store may be another session's."""
    yield
    store, root = FileStore(default_root(Path(os.environ["GRAPHLAMBDA_CACHE_DIR"]))), root_of(load({}))
    for name in ("ours", "theirs"):
        store.drop(namespace_run(root, name))


@pytest.mark.usefixtures("no_namespaces")
def test_another_process_starts_from_what_this_one_has_left(scripts: Scripts) -> None:
    first = scripts.run(SCRIPT, PYTHONHASHSEED="1").split()
    later = scripts.run(SCRIPT, PYTHONHASHSEED="2").split()
    assert (first[0], first[1], first[3]) == ("0", "0", "0")
    assert all(int(spared) > 0 for spared in later[:3])
    assert later[3] == "0"
