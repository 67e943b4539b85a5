"""Who hands one generator of random numbers to several tasks is told that they draw the same numbers."""

from __future__ import annotations

import random
import warnings
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.bag as db
import numpy as np
import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.errors import RandomWarning

if TYPE_CHECKING:
    from collections.abc import Callable


def drawing(generator: Any) -> Callable[[float], float]:
    def drawn(x: float) -> float:
        return x + float(generator.random())

    return drawn


def drawn_from(block: Any, generator: Any) -> Any:
    return block + generator.random(size=block.shape)


def seeded_by_the_system(x: float) -> float:
    return x + random.random() + float(np.random.rand())  # noqa: NPY002  (the functions that users call)


@pytest.mark.parametrize(
    ("collection", "kind"),
    [
        (db.range(8, npartitions=4).map(drawing(random.Random(3))), "Random"),
        (da.zeros(8, chunks=2).map_blocks(drawn_from, np.random.default_rng(3)), "Generator"),
        (
            [delayed(drawing(np.random.RandomState(3)), pure=False)(each) for each in (1.0, 2.0)],
            "RandomState",
        ),
    ],
    ids=["closure", "argument", "legacy"],
)
def test_a_generator_that_several_tasks_share_is_told_once_at_the_users_line(
    collection: Any, kind: str
) -> None:
    with pytest.warns(
        RandomWarning, match=rf"of the \d tasks of operation .* gets a copy of the same {kind} "
    ) as told:
        compile_collections(collection)
    assert [each.filename for each in told] == [__file__]


@pytest.mark.parametrize(
    "collection",
    [
        da.random.default_rng(3).normal(size=8, chunks=2),
        da.random.RandomState(3).normal(size=8, chunks=2),
        [delayed(drawn_from)(np.ones(2), each) for each in np.random.default_rng(3).spawn(3)],
        [delayed(seeded_by_the_system)(each) for each in (1.0, 2.0)],
        delayed(drawing(np.random.default_rng(3)))(1.0),
    ],
    ids=["dask", "dask-legacy", "spawned", "modules", "one-task"],
)
def test_tasks_with_generators_of_their_own_are_told_nothing(collection: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compile_collections(collection)
