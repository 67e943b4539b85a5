"""Files of this machine: what the graph names is read and written by functions, at the same paths."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

import graphlambda
from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from pathlib import Path

TABLE = pd.DataFrame({"a": np.arange(60) % 7, "b": np.arange(60) / 4, "c": ["x", "y", "z"] * 20})

pytestmark = pytest.mark.filterwarnings("default")


def test_csv_files_are_read(tmp_path: Path) -> None:
    for part in range(3):
        TABLE[part * 20 : (part + 1) * 20].to_csv(tmp_path / f"part-{part}.csv", index=False)
    (got,) = graphlambda.compute(dd.read_csv(str(tmp_path / "part-*.csv")).groupby("a").b.sum())
    pd.testing.assert_series_equal(got, TABLE.groupby("a").b.sum())


def test_parquet_files_are_written_and_read_back(tmp_path: Path) -> None:
    table = dd.from_pandas(TABLE, npartitions=3)
    graphlambda.compute(table.to_parquet(tmp_path / "table", compute=False))
    made = pd.read_parquet(tmp_path / "table").rename_axis(None)
    pd.testing.assert_frame_equal(made.astype({"c": object}), TABLE.astype({"c": object}))
    read = dd.read_parquet(tmp_path / "table")
    assert graphlambda.compute(read.b.sum(), read[read.a == 3].b.max()) == (
        TABLE.b.sum(),
        TABLE[TABLE.a == 3].b.max(),
    )


def test_to_parquet_computes_with_the_scheduler_of_the_configuration(tmp_path: Path) -> None:
    import dask

    with dask.config.set(scheduler="graphlambda"):
        dd.from_pandas(TABLE, npartitions=2).to_parquet(tmp_path / "table")
    assert len(pd.read_parquet(tmp_path / "table")) == 60


def test_an_array_is_stored_into_zarr_and_read_back(tmp_path: Path) -> None:
    x = da.arange(100, chunks=30).reshape((10, 10)).rechunk((4, 5))
    graphlambda.compute(x.to_zarr(str(tmp_path / "made.zarr"), compute=False))
    np.testing.assert_array_equal(
        zarr.open(str(tmp_path / "made.zarr"), mode="r")[:], np.arange(100).reshape(10, 10)
    )
    (total,) = graphlambda.compute(da.from_zarr(str(tmp_path / "made.zarr")).sum(axis=0))
    np.testing.assert_array_equal(total, np.arange(100).reshape(10, 10).sum(axis=0))


def test_storing_needs_no_lock_where_chunks_align_and_is_refused_where_they_do_not(tmp_path: Path) -> None:
    target = zarr.open(str(tmp_path / "target.zarr"), mode="w", shape=(20,), chunks=(5,), dtype="i8")
    graphlambda.compute(da.store(da.arange(20, chunks=10), target, compute=False))
    np.testing.assert_array_equal(target[:], np.arange(20))
    with pytest.raises(RefusedError, match="Rechunk"):
        graphlambda.compute(da.store(da.arange(20, chunks=7), target, compute=False))


def test_netcdf_files_are_opened_as_one_dataset(tmp_path: Path) -> None:
    times = pd.date_range("2020-01-01", periods=12)
    whole = xr.Dataset(
        {"t": (("time", "x"), np.random.default_rng(1).random((12, 5)))},
        coords={"time": times, "x": np.arange(5)},
    )
    for part in range(3):
        whole.isel(time=slice(part * 4, part * 4 + 4)).to_netcdf(
            tmp_path / f"part-{part}.nc", engine="netcdf4"
        )
    with xr.open_mfdataset(str(tmp_path / "part-*.nc"), engine="netcdf4", chunks={"time": 2}) as opened:
        (mean,) = graphlambda.compute(opened.t.mean("time"))
        (same,) = graphlambda.compute(opened)
    np.testing.assert_allclose(mean, whole.t.mean("time"))
    xr.testing.assert_equal(same, whole)


def test_netcdf_is_not_written_by_functions_and_the_refusal_says_what_to_do(tmp_path: Path) -> None:
    data = xr.Dataset({"t": ("x", da.arange(10, chunks=5))})
    with pytest.raises(RefusedError, match="to_zarr"):
        graphlambda.compute(data.to_netcdf(tmp_path / "out.nc", engine="netcdf4", compute=False))


def test_a_dataset_is_written_to_zarr(tmp_path: Path) -> None:
    data = xr.Dataset({"t": ("x", da.arange(10, chunks=5))})
    written: Any = data.to_zarr(str(tmp_path / "out.zarr"), compute=False, consolidated=False)
    graphlambda.compute(written)
    xr.testing.assert_equal(
        xr.open_zarr(str(tmp_path / "out.zarr"), consolidated=False).load(), data.compute()
    )


def test_arrays_in_memory_are_no_targets() -> None:
    target = np.zeros(10)
    with pytest.raises(RefusedError, match="share no memory"):
        graphlambda.compute(da.store(da.ones(10, chunks=5), target, compute=False))
    assert not target.any()
