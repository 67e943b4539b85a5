"""What is done to one block: parts, order, types.

In: a block and what to do. Out: a block. Must not keep a whole block alive for a small part of it.
"""

from __future__ import annotations

from contextlib import suppress
from numbers import Integral
from typing import Any

import numpy as np

from .kinds import dasks, flattened, is_numpys


def getitem(obj: Any, index: Any) -> Any:
    """Return a part of a block; what is at most half of it is copied, so that the rest can go."""
    try:
        part = obj[index]
    except IndexError as error:
        raise ValueError(
            "Array chunk size or shape is unknown. Possible solution with x.compute_chunk_sizes()"
        ) from error
    with suppress(AttributeError):
        if not part.flags.owndata and obj.size >= 2 * part.size:
            part = part.copy()
    return part


def trim(x: Any, axes: Any = None) -> Any:
    """Cut both ends of each axis off."""
    if isinstance(axes, Integral):
        axes = [axes] * x.ndim
    if isinstance(axes, dict):
        axes = [axes.get(axis, 0) for axis in range(x.ndim)]
    return x[tuple(slice(depth, -depth if depth else None) for depth in axes)]


def coarsen(reduction: Any, x: Any, axes: Any, trim_excess: Any = False, **kwargs: Any) -> Any:
    """Reduce neighbours, so many of each axis."""
    sizes = [axes.get(axis, 1) for axis in range(x.ndim)]
    if trim_excess:
        excess = [length % size for length, size in zip(x.shape, sizes, strict=True)]
        x = x[tuple(slice(0, -rest) if rest else slice(None) for rest in excess)]
    shape = [part for length, size in zip(x.shape, sizes, strict=True) for part in (length // size, size)]
    return reduction(x.reshape(tuple(shape)), axis=tuple(range(1, 2 * x.ndim, 2)), **kwargs)


def topk(a: Any, k: Any, axis: Any, keepdims: Any) -> Any:
    """Return the k largest (of a negative k: smallest) along an axis, in any order."""
    assert keepdims is True
    along = axis[0]
    if abs(k) >= a.shape[along]:
        return a
    return np.partition(a, -k, axis=along)[_along(along, _ends(k), a.ndim)]


def topk_aggregate(a: Any, k: Any, axis: Any, keepdims: Any) -> Any:
    """Return the k largest along an axis, the largest first."""
    found = np.sort(topk(a, k, axis, keepdims), axis=axis[0])
    return found if k < 0 else found[_along(axis[0], slice(None, None, -1), found.ndim)]


def argtopk_preprocess(a: Any, idx: Any) -> Any:
    """Put a block and its places side by side."""
    return a, idx


def argtopk(a_plus_idx: Any, k: Any, axis: Any, keepdims: Any) -> Any:
    """Return the k largest along an axis with their places, in any order."""
    assert keepdims is True
    along = axis[0]
    if isinstance(a_plus_idx, list):
        a_plus_idx = list(flattened(a_plus_idx))
        a = np.concatenate([values for values, _ in a_plus_idx], along)
        places = np.concatenate([np.broadcast_to(at, values.shape) for values, at in a_plus_idx], along)
    else:
        a, places = a_plus_idx
    if abs(k) >= a.shape[along]:
        return a_plus_idx
    best = np.argpartition(a, -k, axis=along)[_along(along, _ends(k), a.ndim)]
    return np.take_along_axis(a, best, along), np.take_along_axis(places, best, along)


def argtopk_aggregate(a_plus_idx: Any, k: Any, axis: Any, keepdims: Any) -> Any:
    """Return the places of the k largest along an axis, the largest first."""
    assert keepdims is True
    a, places = argtopk(a_plus_idx if len(a_plus_idx) > 1 else a_plus_idx[0], k, axis, keepdims)
    found = np.take_along_axis(places, np.argsort(a, axis=axis[0]), axis[0])
    return found if k < 0 else found[_along(axis[0], slice(None, None, -1), found.ndim)]


def _ends(k: Any) -> slice:
    return slice(-k, None) if k > 0 else slice(-k)


def _along(axis: int, index: Any, ndim: int) -> tuple[Any, ...]:
    return tuple(index if each == axis else slice(None) for each in range(ndim))


def arange(start: Any, stop: Any, step: Any, length: Any, dtype: Any, like: Any = None) -> Any:
    """Return a range of at most `length` numbers."""
    if is_numpys(type(like)):
        numbers = np.arange(start, stop, step, dtype=dtype)
    else:
        numbers = dasks("dask.array.utils", "arange_safe")(start, stop, step, dtype, like=like)
    return numbers[:-1] if len(numbers) > length else numbers


def linspace(start: Any, stop: Any, num: Any, endpoint: Any = True, dtype: Any = None) -> Any:
    """Return numbers at equal distances."""
    if hasattr(start, "__dask_graph__") or hasattr(stop, "__dask_graph__"):
        return dasks("dask.array.chunk", "linspace")(start, stop, num, endpoint, dtype)
    return np.linspace(start, stop, num, endpoint=endpoint, dtype=dtype)


def astype(x: Any, astype_dtype: Any = None, **kwargs: Any) -> Any:
    """Convert a block."""
    return x.astype(astype_dtype, **kwargs)


def view(x: Any, dtype: Any, order: Any = "C") -> Any:
    """Return the bytes of a block as another type; the last axis (of Fortran's order: the first) changes."""
    if order == "C":
        return _like(np.ascontiguousarray, x).view(dtype)
    return _like(np.asfortranarray, x).T.view(dtype).T


def _like(convert: Any, x: Any) -> Any:
    try:
        return convert(x, like=x)
    except TypeError:
        return convert(x)


def slice_with_int_dask_array(x: Any, idx: Any, offset: Any, x_size: Any, axis: Any) -> Any:
    """Return those members of a block, which starts at `offset`, that an index into the whole array picks."""
    if not (is_numpys(type(x)) and is_numpys(type(idx))):
        return dasks("dask.array.chunk", "slice_with_int_dask_array")(x, idx, offset, x_size, axis)
    index = np.asarray(idx).astype(np.int64)
    index = np.where(index < 0, index + x_size, index) - offset
    inside = index[(index >= 0) & (index < x.shape[axis])]
    return x[_along(axis, inside, x.ndim)]


def slice_with_int_dask_array_aggregate(idx: Any, chunk_outputs: Any, x_chunks: Any, axis: Any) -> Any:
    """Put what an index has picked of each block into the index's order."""
    index = idx.astype(np.int64)
    index = np.where(index < 0, index + np.sum(x_chunks), index)
    order = np.zeros_like(index)
    start = given = 0
    for length in x_chunks:
        inside = (index >= start) & (index < start + length)
        counted = np.cumsum(inside)
        order += np.where(inside, counted - 1 + given, 0)
        start += length
        given += counted[-1] if counted.size > 0 else 0
    return chunk_outputs[_along(axis, order, chunk_outputs.ndim)]
