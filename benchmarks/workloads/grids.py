"""xarray over Dask: days by latitude by longitude."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.workloads.workload import workloads

YEAR_DAYS = 365


def climatology(scale: int) -> Any:
    grid = _grid(years=2, tiles=max(1, scale))
    normal = grid.groupby("time.month").mean()
    return (grid.groupby("time.month") - normal).std("time").data


def rolling_resample(scale: int) -> Any:
    grid = _grid(years=1, tiles=max(1, scale))
    smooth = grid.rolling(time=7, center=True).mean()
    return smooth.resample(time="QS").max().data


def weighted_mean(scale: int) -> Any:
    grid = _grid(years=1, tiles=4 * scale)
    weights = np.cos(np.deg2rad(grid.latitude))
    return grid.weighted(weights).mean(("latitude", "longitude")).data


def _grid(years: int, tiles: int) -> Any:
    """Return a data array in chunks of 90 days by all latitudes by two longitudes, `tiles` along longitude."""
    shape = (years * YEAR_DAYS, 4, tiles * 2)
    times = pd.date_range("2001-01-01", periods=shape[0])
    values = da.arange(shape[0], chunks=90, dtype="f8")[:, None, None] * da.ones(shape, chunks=(90, 4, 2))
    coordinates = {"time": times, "latitude": np.linspace(-60, 60, 4), "longitude": np.arange(shape[2])}
    return xr.DataArray(values, dims=("time", "latitude", "longitude"), coords=coordinates)


WORKLOADS = workloads("xarray", climatology, rolling_resample, weighted_mean)
