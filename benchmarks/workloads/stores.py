"""Writing: to zarr by two ways, to parquet."""

from __future__ import annotations

from typing import Any

import dask.array as da
import dask.dataframe as dd
import pandas as pd
import zarr

from benchmarks.workloads.workload import folder, side, workloads

BLOCK = 8


def to_zarr(scale: int) -> Any:
    return _array(scale).to_zarr(str(folder("zarr") / f"{scale}.zarr"), overwrite=True, compute=False)


def store_zarr(scale: int) -> Any:
    source = _array(scale)
    path = str(folder("zarr") / f"store-{scale}.zarr")
    target = zarr.create_array(
        store=path, shape=source.shape, chunks=(BLOCK, BLOCK), dtype="f8", overwrite=True
    )
    return da.store(source, target, compute=False)


def to_parquet(scale: int) -> Any:
    frame = dd.from_map(_partition, range(100 * scale), meta=_partition(0))
    return frame.to_parquet(folder("parquet") / f"written-{scale}", overwrite=True, compute=False)


def _array(scale: int) -> Any:
    n = side(50 * scale) * BLOCK
    return da.arange(n, chunks=BLOCK, dtype="f8")[:, None] + da.ones((n, n), chunks=BLOCK)


def _partition(number: int) -> pd.DataFrame:
    return pd.DataFrame({"part": [number] * 3, "half": [number / 2] * 3})


WORKLOADS = workloads("store", to_zarr, store_zarr, to_parquet)
