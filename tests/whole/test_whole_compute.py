"""`graphlambda.compute` keeps `dask.compute`'s contract, on the local Lambda."""

from __future__ import annotations

from dataclasses import dataclass
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

if TYPE_CHECKING:
    from tests.whole.conftest import Scripts

TABLE = pd.DataFrame({"a": np.arange(40) % 7, "b": np.arange(40) / 3, "c": ["x", "y", "z", "w"] * 10})


def array() -> Any:
    x = da.arange(60, chunks=7)
    return (x + 1) ** 2 - x.mean()


def frame() -> Any:
    table = dd.from_pandas(TABLE, npartitions=4)
    return table[table.a > 1].groupby("c").b.agg(["sum", "max"])


def bag() -> Any:
    return (
        db.from_sequence(["to be", "or not", "to be"], npartitions=2).map(str.split).flatten().frequencies()
    )


def task() -> Any:
    return delayed(divmod, nout=2)(delayed(int)("17"), 5)[1]


def same(got: Any, wanted: Any) -> None:
    """Compare as each library does."""
    assert type(got) is type(wanted)
    if isinstance(wanted, tuple | list):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, dict):
        assert list(got) == list(wanted)
        same(list(got.values()), list(wanted.values()))
    elif isinstance(wanted, np.ndarray):
        np.testing.assert_array_equal(got, wanted, strict=True)
    elif isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(got, wanted)
    else:
        assert got == wanted


@pytest.mark.parametrize("make", [array, frame, bag, task])
def test_each_kind_of_collection_gives_what_dask_gives(make: Any) -> None:
    same(graphlambda.compute(make()), dask.compute(make(), scheduler="sync"))


def test_several_kinds_at_once_come_back_in_order() -> None:
    collections = [array(), frame(), bag(), task()]
    wanted = tuple(each.compute(scheduler="sync") for each in collections)
    same(graphlambda.compute(*collections), wanted)


def test_collections_are_found_in_containers_and_what_is_none_passes_through() -> None:
    marker = object()
    nested = {"list": [task(), 1, None], "tuple": (array().sum(), "text"), "set": {3}}
    got = graphlambda.compute(nested, marker, 5)
    same(got[0], dask.compute(nested, scheduler="sync")[0])
    assert got[1] is marker
    assert got[2] == 5


@dataclass
class Pair:
    left: Any
    right: Any


def test_collections_are_found_in_dataclasses() -> None:
    assert graphlambda.compute(Pair(task(), 1)) == (Pair(2, 1),)


def test_without_traversal_containers_stay_as_they_are() -> None:
    held = [task()]
    (got,) = graphlambda.compute(held, traverse=False)
    assert got is held


def test_nothing_to_compute_is_an_empty_tuple_or_what_was_given() -> None:
    assert graphlambda.compute() == ()
    assert graphlambda.compute(1, "a") == (1, "a")


def test_the_same_collection_twice_comes_back_twice() -> None:
    one = task()
    assert graphlambda.compute(one, one) == (2, 2)


def test_an_unoptimised_graph_gives_the_same() -> None:
    same(graphlambda.compute(array(), optimize_graph=False), dask.compute(array(), scheduler="sync"))


def test_a_setting_that_does_not_exist_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(graphlambda.errors.ConfigError, match="did you mean memory_mb"):
        graphlambda.compute(task(), memory_md=512)


@pytest.mark.parametrize("make", [array, frame, bag, task])
def test_a_collection_computes_with_the_scheduler_by_name(make: Any) -> None:
    same(make().compute(scheduler="graphlambda"), make().compute(scheduler="sync"))


@pytest.mark.parametrize("make", [array, frame, bag, task])
def test_a_collection_computes_with_the_scheduler_in_dasks_configuration(make: Any) -> None:
    wanted = make().compute(scheduler="sync")
    with dask.config.set(scheduler=graphlambda.get):
        same(make().compute(), wanted)
    with dask.config.set(scheduler="graphlambda"):
        same(dask.compute(make(), [make()]), (wanted, [wanted]))


def test_dasks_own_variable_chooses_the_scheduler(scripts: Scripts) -> None:
    printed = scripts.run(
        """
        import dask, os
        import graphlambda

        def of_process():
            return os.environ["AWS_LAMBDA_FUNCTION_NAME"]

        print(dask.delayed(of_process)().compute())
        """,
        DASK_SCHEDULER="graphlambda",
    )
    assert printed.startswith("gl-")


def test_groups_by_text_are_whole_though_functions_hash_apart_from_the_client(scripts: Scripts) -> None:
    """Python salts the hash of text in each process; functions must agree on one salt to shuffle by it."""
    printed = scripts.run(
        """
        import dask.bag as db
        import graphlambda

        words = [f"word-{number % 13}" for number in range(200)]
        groups = db.from_sequence(words, npartitions=8).groupby(str, shuffle="tasks", npartitions=5)
        print(sorted((name, len(members)) for name, members in graphlambda.compute(groups)[0])
              == sorted((f"word-{n}", len(range(n, 200, 13))) for n in range(13)))
        """,
        PYTHONHASHSEED="77",
    )
    assert printed == "True\n"
