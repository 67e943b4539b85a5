"""The ten graphs. Two cores take one to two seconds for each.

In: a folder for files, which all peers share. Out: collections, and what a result comes down to: a few numbers, which
are equal for all peers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORDS = np.array(["graph", "task", "key", "chunk", "block", "layer", "alias", "value", "lambda", "frame"])
MATRIX = 6144
"""Rows and columns of the matrices that are multiplied."""

ROWS = 3_000_000
"""Of a parquet file."""


@dataclass(frozen=True, slots=True)
class Case:
    """One workload."""

    name: str
    build: Callable[[Path], Any]
    """From the folder to a collection."""

    numbers: Callable[[Any], Any]
    """From the result to an array of numbers that sum it up."""

    ready: Callable[[], Any] | None = None
    """Collections that every peer persists before; `build` is given them in place of the folder."""


def elementwise_reduce(_folder: Path) -> Any:
    import dask.array as da

    x = da.random.default_rng(0).random((24, 4_000_000), chunks=(1, -1))
    return ((da.sin(x) * 2 + x**2 - 1) / 3).mean(axis=1)


def matrices() -> Any:
    import dask.array as da

    draw = da.random.default_rng(0).random
    return [draw((MATRIX, MATRIX), chunks=MATRIX // 2) for _ in range(2)]


def gemm(pair: Any) -> Any:
    """Return a few elements of a product, all of which is computed."""
    return (pair[0] @ pair[1])[::64, ::64]


def tsqr_svd(_folder: Path) -> Any:
    import dask.array as da

    x = da.random.default_rng(0).normal(size=(12 * 100_000, 50), chunks=(100_000, 50))
    _u, s, _v = da.linalg.svd(x)
    return s


def rechunk(_folder: Path) -> Any:
    import dask.array as da

    x = da.random.default_rng(0).normal(size=(4096, 12288), chunks=(512, -1))
    return abs(da.fft.fft(x.rechunk((-1, 1536)), axis=0)).sum(axis=0)


def overlap(_folder: Path) -> Any:
    import dask.array as da

    x = da.random.default_rng(0).normal(size=(8000, 8000), chunks=2000)
    return da.map_overlap(_smoothed, x, depth=2, boundary="reflect").mean(axis=0)


def parquet_groupby(folder: Path) -> Any:
    import dask.dataframe as dd

    frame = dd.read_parquet(_parquet(folder))
    long = frame[frame.distance > 200].assign(late=lambda part: part.delay > 15)
    return long.groupby("carrier").agg({"delay": ["count", "sum", "max"], "late": "sum"})


def merge(_folder: Path) -> Any:
    import dask.dataframe as dd

    left = dd.from_map(partial(_sales, rows=3_000_000), range(8))
    right = dd.from_map(partial(_sales, rows=40_000), range(100, 108))
    return left.merge(right, on="key").groupby("shop_x").amount_y.sum()


def word_count(_folder: Path) -> Any:
    import dask.bag as db

    return db.from_sequence(range(32), npartitions=32).map(_text).str.split().flatten().frequencies()


def delayed_tree(_folder: Path) -> Any:
    from dask import delayed

    level = [delayed(_leaf)(number) for number in range(32)]
    while len(level) > 1:
        level = [delayed(_joined)(level[start], level[start + 1]) for start in range(0, len(level), 2)]
    return level[0]


def sklearn_sweep(_folder: Path) -> Any:
    from dask import delayed
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    split = delayed(train_test_split, nout=4)(*load_digits(return_X_y=True), random_state=0)
    return delayed(list)([delayed(fitted_score)(depth, list(split)) for depth in range(2, 22)])


def fitted_score(depth: int, split: list[Any]) -> float:
    """Return how well one forest does."""
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(n_estimators=50, max_depth=depth, random_state=0)
    return float(forest.fit(split[0], split[2]).score(split[1], split[3]))


def _smoothed(block: Any) -> Any:
    for axis in (0, 1):
        block = (np.roll(block, 1, axis) + block + np.roll(block, -1, axis)) / 3
    return np.arctan(np.exp(-block) ** 1.5)


def _parquet(folder: Path) -> str:
    """Return a folder of eight parquet files, written by whoever comes first."""
    import pandas as pd

    written = folder / "flights"
    if not written.exists():
        written.mkdir()
        for number in range(8):
            draw = np.random.default_rng(number)
            columns = {
                "carrier": WORDS[draw.integers(0, len(WORDS), ROWS)],
                "delay": draw.integers(-20, 200, ROWS),
                "distance": draw.integers(50, 3000, ROWS),
            }
            pd.DataFrame(columns).to_parquet(written / f"{number:02}.parquet")
    return str(written)


def _sales(number: int, rows: int) -> Any:
    import pandas as pd

    draw = np.random.default_rng(number)
    key = draw.integers(0, 300_000, rows)
    return pd.DataFrame({"key": key, "shop": key % 97, "amount": draw.integers(0, 1000, rows)})


def _text(number: int) -> str:
    draw = np.random.default_rng(number)
    return " ".join(WORDS[draw.integers(0, len(WORDS), 400_000)])


def _leaf(number: int) -> Any:
    return _worn(np.random.default_rng(number).random(500_000))


def _joined(left: Any, right: Any) -> Any:
    return _worn(left * np.sqrt(right))


def _worn(values: Any) -> Any:
    for _ in range(30):
        values = np.arctan(values) ** 0.9
    return values


def _of_frame(frame: Any) -> Any:
    return frame.sort_index().to_numpy().ravel()


CASES = (
    Case("elementwise + reduce", elementwise_reduce, np.asarray),
    Case("GEMM", gemm, np.ravel, matrices),
    Case("tsqr SVD", tsqr_svd, np.asarray),
    Case("rechunk", rechunk, np.asarray),
    Case("overlap", overlap, np.asarray),
    Case("parquet groupby", parquet_groupby, _of_frame),
    Case("merge", merge, _of_frame),
    Case("bag word count", word_count, lambda pairs: np.array([count for _, count in sorted(pairs)])),
    Case("delayed tree", delayed_tree, lambda values: values[::1000]),
    Case("scikit-learn sweep", sklearn_sweep, np.asarray),
)
