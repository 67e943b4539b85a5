"""Blocks in nested lists become one array. In: lists of arrays. Out: an array. Must not copy a block twice."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, pairwise, product
from typing import Any

import numpy as np

from .kinds import concatenator, dasks, flattened, is_numpys

_NESTS = (list, tuple)


def _concatenate2(arrays: Any, axes: Any = None) -> Any:
    """Join nested lists of arrays, the innermost first, each level along its axis."""
    axes = [] if axes is None else axes
    if axes == ():
        return arrays[0] if isinstance(arrays, list) else arrays
    if isinstance(arrays, Iterator):
        arrays = list(arrays)
    if not isinstance(arrays, _NESTS):
        return arrays
    if len(axes) > 1:
        arrays = [_concatenate2(inner, axes=axes[1:]) for inner in arrays]
    join = concatenator(type(_first_in_rank(arrays)))
    if not isinstance(arrays[0], dict):
        return join(arrays, axis=axes[0])
    names = list(arrays[0])
    assert all(list(each) == names for each in arrays)
    return {name: join([each[name] for each in arrays], axis=axes[0]) for name in names}


def concatenate3(arrays: Any) -> Any:
    """Join nested lists of arrays, one level an axis, into an array of the first one's dtype."""
    arrays = _concrete(arrays)
    if not arrays or all(block is None for block in flattened(arrays)):
        return np.empty(0)
    blocks = list(flattened(arrays, _NESTS))
    if not all(is_numpys(type(block)) for block in blocks):
        return dasks("dask.array.core", "concatenate3")(arrays)
    if isinstance(_first_in_rank(blocks), np.ma.MaskedArray):
        return _concatenate2(arrays, axes=list(range(_first(arrays).ndim)))
    depth = _depth(arrays)
    return _filled(arrays, blocks, depth) if depth else arrays


def concatenate_shaped(arrays: Any, shape: Any) -> Any:
    """Join a flat list of arrays that is a grid of some shape."""
    return concatenate3(_reshaped(shape, arrays))


def concatenate_axes(arrays: Any, axes: Any) -> Any:
    """Join nested lists of arrays whose levels are these axes, in any order."""
    if len(axes) != _depth(arrays):
        raise ValueError("Length of axes should equal depth of nested arrays")
    if len(axes) > len(set(axes)):
        raise ValueError("`axes` should be unique")
    last = max(axes) + 1
    lengths = _lengths(arrays)
    dimensions = max(last, _first(arrays).ndim)
    shape = [lengths[axes.index(axis)] if axis in axes else 1 for axis in range(dimensions)]
    return concatenate3(_reshaped(shape, list(flattened(arrays))))


def _filled(arrays: Any, blocks: list[Any], depth: int) -> Any:
    """Write blocks into their places; how large these are, the first block of each row says."""
    chunks = []
    level = arrays
    for axis in range(depth):
        chunks.append([_shape(_first(member))[axis] for member in level])
        level = level[0]
    first = _first(arrays)
    whole = np.empty(tuple(map(sum, chunks)), dtype=first.dtype if hasattr(first, "dtype") else type(first))
    edges = ([slice(*pair) for pair in pairwise(accumulate(lengths, initial=0))] for lengths in chunks)
    for place, block in zip(product(*edges), blocks, strict=False):
        missing = depth - block.ndim if hasattr(block, "ndim") else 0
        whole[place] = block[(None,) * missing + (...,)] if missing > 0 else block
    return whole


def _shape(block: Any) -> Any:
    return getattr(block, "shape", None) or (1,)


def _first_in_rank(arrays: Any) -> Any:
    """Return the array that decides how all are joined."""
    return max(arrays, key=lambda array: getattr(array, "__array_priority__", 0))


def _first(nested: Any) -> Any:
    while isinstance(nested, _NESTS):
        nested = nested[0]
    return nested


def _depth(nested: Any) -> int:
    if not isinstance(nested, _NESTS):
        return 0
    return 1 + _depth(nested[0]) if nested else 1


def _lengths(nested: Any) -> list[int]:
    return [len(nested), *_lengths(nested[0])] if type(nested) is list else []


def _concrete(nested: Any) -> Any:
    """Return nested iterators and tuples as lists."""
    return list(map(_concrete, nested)) if isinstance(nested, (Iterator, *_NESTS)) else nested


def _reshaped(shape: Any, flat: Any) -> Any:
    if len(shape) == 1:
        return list(flat)
    length = int(len(flat) / shape[0])
    whole = range(0, len(flat) - length + 1, length)
    return [_reshaped(shape[1:], flat[start : start + length]) for start in whole]
