"""Dask arrays: blocks of 8 by 8, so that the graph is what is large."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np

from benchmarks.workloads.workload import edge, side, workloads

BLOCK = 8
"""Elements along each axis of a block."""


def elementwise_mean(scale: int) -> Any:
    x = _ones(side(75 * scale))
    return ((da.sin(x) * 2 + x**2 - 1) / 3).mean()


def from_numpy_axes(scale: int) -> Any:
    n = side(25 * scale) * BLOCK
    x = da.from_array(np.arange(n * n, dtype="f8").reshape(n, n), chunks=BLOCK)
    scaled = (x - x.mean(axis=0)) / (x.std(axis=1, keepdims=True) + 1)
    return scaled.max(axis=0), scaled.sum(axis=1)


def matmul(scale: int) -> Any:
    x = _ramp(edge(55 * scale))
    return x @ x.T


def tensordot(scale: int) -> Any:
    n = edge(35 * scale)
    x = da.ones((n * 4, n * 4, 8), chunks=(4, 4, 4))
    y = da.ones((n * 4, 8, n * 4), chunks=(4, 4, 4))
    return da.tensordot(x, y, axes=((1, 2), (0, 1)))


def tall_svd(scale: int) -> Any:
    x = da.random.default_rng(0).random((15 * scale * 16, 4), chunks=(16, 4))
    return da.linalg.svd(x)


def compressed_svd(scale: int) -> Any:
    k = side(12 * scale)
    x = da.random.default_rng(0).random((k * 16, k * 16), chunks=16)
    u, s, v = da.linalg.svd_compressed(x, k=4, n_power_iter=1, seed=0)
    return u, s, v


def random_std(scale: int) -> Any:
    n = side(54 * scale)
    return da.random.default_rng(0).normal(10, 2, size=(n * BLOCK, n * BLOCK), chunks=BLOCK).std()


def rechunk_transpose(scale: int) -> Any:
    n = side(90 * scale)
    rows = _ones(n).rechunk((n * BLOCK, BLOCK))
    return (rows.T + rows.rechunk((BLOCK, n * BLOCK))).sum(axis=0)


def map_overlap(scale: int) -> Any:
    return da.map_overlap(_smooth, _ramp(side(9 * scale)), depth=1, boundary="reflect")


def fft(scale: int) -> Any:
    n = side(80 * scale)
    rows = _ramp(n).rechunk((BLOCK, n * BLOCK))
    columns = da.fft.fft(rows, axis=1).rechunk((n * BLOCK, BLOCK))
    return abs(da.fft.fft(columns, axis=0)).sum()


def inverse(scale: int) -> Any:
    return da.linalg.inv(_dominant(edge(64 * scale)))


def solve(scale: int) -> Any:
    n = edge(120 * scale)
    return da.linalg.solve(_dominant(n), da.ones(n * BLOCK, chunks=BLOCK))


def slicing_concatenate(scale: int) -> Any:
    n = side(12 * scale)
    x = _ramp(n)
    parts = [x[start :: n + 1, 3:] for start in range(n)]
    return da.concatenate([*parts, x[::-1, 3:]]).sum(axis=1)[::2]


def sliding_window(scale: int) -> Any:
    x = da.arange(25 * scale * BLOCK, chunks=BLOCK)
    return da.lib.stride_tricks.sliding_window_view(x, 4).mean(axis=-1)


def map_blocks_user(scale: int) -> Any:
    return _ramp(side(75 * scale)).map_blocks(_wave, frequency=0.5, dtype="f8").mean()


def cumulative_sum(scale: int) -> Any:
    return da.ones(28 * scale * BLOCK, chunks=BLOCK).cumsum(axis=0)


def histogram_top(scale: int) -> Any:
    x = da.random.default_rng(0).random(45 * scale * BLOCK, chunks=BLOCK)
    counts, _edges = da.histogram(x, bins=10, range=(0, 1))
    return counts, da.topk(x, 5)


def _ones(blocks: int) -> Any:
    return da.ones((blocks * BLOCK, blocks * BLOCK), chunks=BLOCK)


def _ramp(blocks: int) -> Any:
    """Return a square array, no two elements of which are equal."""
    n = blocks * BLOCK
    return da.arange(n, chunks=BLOCK, dtype="f8")[:, None] * n + da.arange(n, chunks=BLOCK, dtype="f8")


def _dominant(blocks: int) -> Any:
    """Return a square array that has a stable inverse."""
    n = blocks * BLOCK
    return da.from_array(np.eye(n) * n + np.tri(n), chunks=BLOCK)


def _smooth(block: Any) -> Any:
    return (block + np.roll(block, 1, axis=0) + np.roll(block, -1, axis=0)) / 3


def _wave(block: Any, frequency: float) -> Any:
    return np.where(block > block.mean(), np.sin(block * frequency), -block)


WORKLOADS = workloads(
    "array",
    elementwise_mean,
    from_numpy_axes,
    matmul,
    tensordot,
    tall_svd,
    compressed_svd,
    random_std,
    rechunk_transpose,
    map_overlap,
    fft,
    inverse,
    solve,
    slicing_concatenate,
    sliding_window,
    map_blocks_user,
    cumulative_sum,
    histogram_top,
)
