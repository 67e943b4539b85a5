"""A script as a user has it: the deviation from each month's mean, times a factor. Prints seconds to the result.

The factor is written into the lambda's source, so that another one is an edit.
"""

from __future__ import annotations

import sys
import time

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

import graphlambda

if __name__ == "__main__":
    scale = eval(f"lambda block: block * {float(sys.argv[1])}")
    times = pd.date_range("2001-01-01", periods=730)
    values = da.random.default_rng(5).random((730, 20, 40), chunks=(180, 20, 20))
    grid = xr.DataArray(values, dims=("time", "latitude", "longitude"), coords={"time": times})
    anomaly = grid.groupby("time.month") - grid.groupby("time.month").mean()
    collection = anomaly.data.map_blocks(scale, dtype="f8").std(axis=0)
    start_s = time.perf_counter()
    (result,) = graphlambda.compute(collection)
    elapsed_s = time.perf_counter() - start_s
    np.testing.assert_allclose(result, collection.compute(scheduler="sync"), rtol=1e-12)
    print(elapsed_s)
