"""`graphlambda.persist`: values stay in the store for as long as the collection lives, and no longer."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed

import graphlambda
from graphlambda.store.file import default_root

if TYPE_CHECKING:
    from collections.abc import Callable


class Seen:
    """What this process opens in the store's folder."""

    def __init__(self) -> None:
        self.root = ""
        self.opened: list[str] = []
        self.runs: set[str] = set()

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take what an audit hook is told: it hears of every open, whoever asks for it."""
        if event != "open" or not self.root or not isinstance(arguments[0], str):
            return
        run, _, name = arguments[0].removeprefix(self.root).rpartition("/")
        if arguments[0].startswith(self.root) and run:
            self.runs.add(run)
            self.opened += [name] if name.lstrip(".").startswith("v-") else []


_seen = Seen()
sys.addaudithook(_seen.note)


@pytest.fixture
def seen() -> Seen:
    """Return what notes the values and runs that this process opens from now on."""
    _seen.__init__()  # type: ignore[misc]  # hooks are for ever
    _seen.root = f"{default_root(Path(os.environ['GRAPHLAMBDA_CACHE_DIR']))}/"
    return _seen


def large() -> Any:
    return da.arange(400_000, chunks=100_000) * 2


def test_large_values_are_never_downloaded_nor_uploaded_again(seen: Seen) -> None:
    (kept,) = graphlambda.persist(large())
    (total,) = graphlambda.compute(kept.sum())
    assert total == 400_000 * 399_999
    assert seen.opened == []


def test_small_values_do_not_pass_through_the_client_either(seen: Seen) -> None:
    (kept,) = graphlambda.persist(da.arange(40, chunks=10) + 1)
    assert seen.opened == []
    assert graphlambda.compute(kept.sum()) == (820,)


def test_what_is_computed_of_a_persisted_collection_starts_from_its_values(seen: Seen) -> None:
    (kept,) = graphlambda.persist(large())
    program = graphlambda.compile(kept.sum())
    assert program.task_count == 5
    np.testing.assert_array_equal(graphlambda.compute(kept)[0], np.arange(400_000) * 2, strict=True)
    assert len(seen.opened) == 4


@pytest.mark.parametrize(
    "make",
    [
        lambda: da.arange(10, chunks=3) + 1,
        lambda: dd.from_pandas(pd.DataFrame({"a": range(9)}), npartitions=3).a * 2,
        lambda: db.range(9, npartitions=3).map(str),
        lambda: delayed(sum)([1, 2]),
    ],
    ids=["array", "dataframe", "bag", "delayed"],
)
def test_each_kind_of_collection_can_be_kept_and_read_by_any_scheduler(make: Any) -> None:
    wanted = make().compute(scheduler="sync")
    (kept,) = graphlambda.persist(make())
    assert type(kept) is type(make())
    for scheduler in ("graphlambda", "sync"):
        got = kept.compute(scheduler=scheduler)
        assert np.array_equal(got, wanted)


def test_collections_are_kept_where_they_lie_in_containers() -> None:
    (kept, other) = graphlambda.persist({"x": [large(), 1]}, "text")
    assert (list(kept), kept["x"][1], other) == (["x"], 1, "text")
    assert graphlambda.compute(kept["x"][0].max()) == (799_998,)


def test_dasks_own_persist_keeps_values_through_the_scheduler(seen: Seen) -> None:
    (kept,) = dask.persist(large(), scheduler="graphlambda")
    assert kept.sum().compute(scheduler="graphlambda") == 400_000 * 399_999
    with dask.config.set(scheduler=graphlambda.get):
        again = large().persist()
        assert again.sum().compute() == 400_000 * 399_999
    assert seen.opened == []


def test_values_go_with_the_last_collection_that_holds_them(runs: Callable[[], set[str]], seen: Seen) -> None:
    (kept,) = graphlambda.persist(large())
    derived = kept[:5]
    assert seen.runs & runs() == seen.runs
    del kept
    gc.collect()
    assert graphlambda.compute(derived)[0].tolist() == [0, 2, 4, 6, 8]
    del derived
    gc.collect()
    assert seen.runs & runs() == set()


def test_keeping_what_is_kept_copies_nothing(seen: Seen) -> None:
    (kept,) = graphlambda.persist(large())
    (again,) = graphlambda.persist(kept)
    del kept
    gc.collect()
    assert graphlambda.compute(again.sum()) == (400_000 * 399_999,)
    assert seen.opened == []


def test_a_run_leaves_no_values_behind(runs: Callable[[], set[str]], seen: Seen) -> None:
    graphlambda.compute(large())
    assert len(seen.runs) == 1
    assert seen.runs & runs() == set()


def test_a_kept_collection_does_not_leave_its_process() -> None:
    import cloudpickle

    (kept,) = graphlambda.persist(large())
    with pytest.raises(TypeError, match="to_zarr, to_parquet"):
        cloudpickle.dumps(kept)
