"""How blocks are read, made and stored.

In: what holds data, an index, a function. Out: a block; or nothing, where one was stored. Must not hold a lock longer
than reading or writing takes.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from .chunk import getitem
from .kinds import concatenator, dasks, is_arraylike, summer, taker

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def getter(a: Any, b: Any, asarray: Any = True, lock: Any = None) -> Any:
    """Return a part of something that holds data, as an array if asked for."""
    if isinstance(b, tuple) and any(index is None for index in b):
        part = getter(a, tuple(index for index in b if index is not None), asarray=asarray, lock=lock)
        return part[tuple(None if i is None else slice(None) for i in b if not isinstance(i, Integral))]
    with _held(lock):
        part = a[b]
        if asarray and (not is_arraylike(part) or isinstance(part, np.matrix)):
            part = np.asarray(part)
    return part


def getter_nofancy(a: Any, b: Any, asarray: Any = True, lock: Any = None) -> Any:
    """Return a part of something that knows slices only: Dask has seen to that."""
    return getter(a, b, asarray=asarray, lock=lock)


def getter_inline(a: Any, b: Any, asarray: Any = True, lock: Any = None) -> Any:
    """Return a part of something that is cheap to read twice."""
    return getter(a, b, asarray=asarray, lock=lock)


def load_store_chunk(
    x: Any, out: Any, index: Any, region: Any, lock: Any, return_stored: Any, load_stored: Any
) -> Any:
    """Store a block where it belongs; return the target, what is now there, or nothing."""
    if region and index:
        index = dasks("dask.array.optimization", "fuse_slice")(region, index)
    elif region:
        index = region
    with _held(lock):
        if x is not None and x.size != 0:
            out[index] = x if is_arraylike(x) else np.asanyarray(x)
        if not return_stored:
            return None
        return out[index] if load_stored else out


def load_chunk(out: Any, index: Any, lock: Any, region: Any) -> Any:
    """Return what was stored of a block."""
    return load_store_chunk(None, out, index, region, lock, return_stored=True, load_stored=True)


def _held(lock: Any) -> AbstractContextManager[Any]:
    return _Held(lock) if lock else nullcontext()


class _Held:
    """Holds what can be acquired and released; it need not be a context itself."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def dotmany(A: Any, B: Any, leftfunc: Any = None, rightfunc: Any = None, **kwargs: Any) -> Any:  # noqa: N803 - graphs name them
    """Add up the products of blocks that lie side by side."""
    left = map(leftfunc, A) if leftfunc else A
    right = map(rightfunc, B) if rightfunc else B
    return sum(map(partial(np.dot, **kwargs), left, right))


def chunk_einsum(*operands: Any, **kwargs: Any) -> Any:
    """Evaluate one of Einstein's sums; each axis that is summed over stays, with length 1."""
    subscripts, summed, dtype = (
        kwargs.pop(name) for name in ("subscripts", "ncontract_inds", "kernel_dtype")
    )
    block = summer(type(operands[0]))(subscripts, *operands, dtype=dtype, **kwargs)
    return block.reshape(block.shape + (1,) * summed)


def _getitem(obj: Any, index: Any) -> Any:
    return getitem(obj, index[1])


def concatenate_arrays(arrs: Any, sorter: Any, axis: Any) -> Any:
    """Join what was taken of several blocks, in the order in which it was asked for."""
    joined = concatenator(type(arrs[0]))(arrs, axis=axis)
    return taker(type(joined))(joined, np.argsort(sorter[1]), axis=axis)


def _pass_extra_kwargs(func: Any, keys: Any, *args: Any, **kwargs: Any) -> Any:
    kwargs.update(zip(keys, args, strict=False))
    return func(*args[len(keys) :], **kwargs)


def apply_and_enforce(*args: Any, **kwargs: Any) -> Any:
    """Call a function and insist on the number of dimensions of what it gives."""
    function, expected = kwargs.pop("_func"), kwargs.pop("expected_ndim")
    made = function(*args, **kwargs)
    ndim = getattr(made, "ndim", 0)
    if ndim != expected:
        raise ValueError(
            f"Dimension mismatch: expected output of {function} to have dims = {expected}.  Got {ndim} instead."
        )
    return made


def _enforce_dtype(*args: Any, **kwargs: Any) -> Any:
    """Call a function and convert what it gives to the dtype that was expected."""
    dtype, function = kwargs.pop("enforce_dtype"), kwargs.pop("enforce_dtype_function")
    made = function(*args, **kwargs)
    if not hasattr(made, "dtype") or dtype in (made.dtype, object):
        return made
    if not np.can_cast(made, dtype, casting="same_kind"):
        raise ValueError(
            f"Inferred dtype from function {_name_of(function)!r} was {str(dtype)!r} but got {str(made.dtype)!r}, "
            "which can't be cast using casting='same_kind'"
        )
    ways: dict[str, Any] = {} if np.isscalar(made) else {"copy": False}
    try:
        return made.astype(dtype, **ways)
    except TypeError:
        return made.astype(dtype)


def _name_of(function: Any) -> str:
    """Return the name that Dask gives a function in messages."""
    while isinstance(function, partial):
        function = function.func
    if isinstance(function, np.vectorize):
        return ("vectorize_" + _name_of(function.pyfunc))[:50]
    name = getattr(function, "__name__", None) or str(function)
    return "lambda" if name == "<lambda>" else name[:50]


def _as_dtype(a: Any, dtype: Any) -> Any:
    return a if dtype is None else a.astype(dtype)


def _numpy_vindex(indexer: Any, arr: Any) -> Any:
    return arr[indexer]


def _vindex_slice_and_transpose(block: Any, points: Any, axis: Any) -> Any:
    index = tuple(point if isinstance(point, slice) else list(point) for point in points)
    found = block[index]
    return found.transpose([axis, *(each for each in range(found.ndim) if each != axis)])


def _vindex_merge(locations: Any, values: Any) -> Any:
    places = [list(location) for location in locations]
    blocks = list(values)
    first = blocks[0]
    shape = (sum(map(len, places)), *first.shape[1:])
    merged = np.empty_like(first, dtype=first.dtype, shape=shape)
    rest = (slice(None),) * (merged.ndim - 1)
    for place, block in zip(places, blocks, strict=False):
        merged[(place, *rest)] = block
    return merged


def setitem(x: Any, v: Any, indices: Any) -> Any:
    """Return a copy of a block with some of its members set; the block itself if there are none to set."""
    if 0 in v.shape:
        return x
    places = list(indices)
    for axis, (place, length) in enumerate(zip(indices, x.shape, strict=False)):
        if isinstance(place, np.ndarray) and place.dtype != bool:
            places[axis] = place[np.where(place < length)[0]]
    if np.ma.isMA(v) and not np.ma.isMA(x):
        x = x.view(np.ma.MaskedArray)
    changed = np.asarray(x) if isinstance(x, np.generic) else x.copy()
    try:
        changed[tuple(places)] = v
    except ValueError as error:
        raise ValueError("shape mismatch: value array could not be broadcast to indexing result") from error
    return changed


def getitem_variadic(x: Any, *index: Any) -> Any:
    """Return a part of a block; the index comes as arguments."""
    return x[index]


def _reshape_blockwise(arr: Any, shape: Any) -> Any:
    return arr.reshape(shape)


def _trim(x: Any, axes: Any, boundary: Any, _overlap_trim_info: Any) -> Any:
    """Cut off what a block has of its neighbours; where it has none, only what stands for them."""
    place, counts = _overlap_trim_info[0], _overlap_trim_info[1]
    depths = [axes.get(axis, 0) for axis in range(x.ndim)]
    kept = []
    for axis, (depth, at, count) in enumerate(zip(depths, place, counts, strict=False)):
        front, back = depth if isinstance(depth, tuple) else (depth, depth)
        bare = boundary.get(axis, "none") == "none"
        start = 0 if bare and at == 0 else front
        stop = None if (bare and at == count - 1) or not back else -back
        kept.append(slice(start, stop))
    return x[tuple(kept)]


def _fill_with_last_one(a: Any, b: Any) -> Any:
    return np.where(~np.isnan(b), b, a)
