"""Dask dataframes: partitions of 20 rows that a function makes, or that lie in a parquet file."""

from __future__ import annotations

from typing import Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.workloads.workload import folder, workloads

ROWS = 20
"""Rows of a partition."""


def parquet_groupby(scale: int) -> Any:
    frame = dd.read_parquet(_parquet(80 * scale), split_row_groups=True)
    large = frame[frame.value > 3].assign(double=lambda part: part.value * 2)
    return large.groupby("name").agg({"value": ["mean", "max"], "double": "sum"})


def merge(scale: int) -> Any:
    left, right = _frame(5 * scale), _frame(3 * scale)
    return left.merge(right, on="key").groupby("name_x").value_y.sum()


def set_index(scale: int) -> Any:
    parts = max(4, 5 * scale)
    divisions = np.linspace(0, 1000, parts + 1).astype(int).tolist()
    return _frame(parts).set_index("key", divisions=sorted(set(divisions))).value.cumsum()


def value_counts(scale: int) -> Any:
    return _frame(12 * scale).key.value_counts(split_out=2, split_every=4)


def rolling(scale: int) -> Any:
    return _frame(22 * scale).value.rolling(5).mean()


def map_partitions_lambda(scale: int) -> Any:
    frame = _frame(100 * scale)
    return frame.map_partitions(lambda part, limit: part[part.value < limit], 40).value.sum()


def describe(scale: int) -> Any:
    values = _frame(6 * scale).value
    return values.mean(), values.std(), values.nunique()


def _frame(partitions: int) -> Any:
    divisions = (*range(0, partitions * ROWS, ROWS), partitions * ROWS - 1)
    return dd.from_map(_partition, range(partitions), meta=_partition(0), divisions=divisions)


def _partition(number: int) -> pd.DataFrame:
    rows = np.arange(number * ROWS, (number + 1) * ROWS)
    names = np.array(["ash", "birch", "cedar", "elm"])[rows % 4]
    return pd.DataFrame({"key": rows * 37 % 1000, "value": rows % 50 / 2, "name": names}, index=rows)


def _parquet(partitions: int) -> str:
    """Return the path of a parquet file with one row group a partition."""
    path = folder("parquet") / f"{partitions}.parquet"
    if not path.exists():
        with pq.ParquetWriter(path, pa.Schema.from_pandas(_partition(0))) as writer:
            for number in range(partitions):
                writer.write_table(pa.Table.from_pandas(_partition(number)), row_group_size=ROWS)
    return str(path)


WORKLOADS = workloads(
    "dataframe",
    parquet_groupby,
    merge,
    set_index,
    value_counts,
    rolling,
    map_partitions_lambda,
    describe,
)
