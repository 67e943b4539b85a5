"""Every workload is what Dask computes today; the benchmark's numbers are about nothing else."""

from __future__ import annotations

from typing import Any

import dask
import numpy as np
import pytest
import zarr
from dask.base import tokenize

from benchmarks.workloads import WORKLOADS
from benchmarks.workloads.stores import _array
from benchmarks.workloads.workload import folder


def computed(name: str) -> tuple[Any, ...]:
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        values: tuple[Any, ...] = dask.compute(*WORKLOADS[name].collections(1), scheduler="sync")
    return values


@pytest.mark.parametrize("name", WORKLOADS)
def test_dask_computes_a_workload_and_twice_the_same(name: str) -> None:
    assert tokenize(computed(name)) == tokenize(computed(name))


def test_there_are_workloads_of_every_family_that_people_use() -> None:
    counts: dict[str, int] = {}
    for workload in WORKLOADS.values():
        counts[workload.family] = counts.get(workload.family, 0) + 1
    assert counts == {
        "array": 17,
        "dataframe": 7,
        "bag": 3,
        "delayed": 2,
        "scikit-learn": 1,
        "xarray": 3,
        "store": 3,
    }


@pytest.mark.parametrize(("name", "file"), [("to-zarr", "1.zarr"), ("store-zarr", "store-1.zarr")])
def test_what_a_store_workload_writes_is_the_array(name: str, file: str) -> None:
    computed(name)
    written = zarr.open_array(folder("zarr") / file, mode="r")
    np.testing.assert_array_equal(written[:], _array(1).compute(scheduler="sync"))


def test_a_solved_system_is_solved() -> None:
    matrix = np.eye(40) * 40 + np.tri(40)
    (solution,) = computed("solve")
    np.testing.assert_allclose(matrix @ solution, np.ones(40))
