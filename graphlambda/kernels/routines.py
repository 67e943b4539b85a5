"""What NumPy's own routines do to a block, with the axes that Dask expects of the result.

In: blocks. Out: blocks. Must not look further than one block: what joins them comes after.
"""

from __future__ import annotations

from functools import partial, reduce
from importlib import import_module
from typing import Any

import numpy as np

from .kinds import multiplier


def _broadcast_trick_inner(func: Any, shape: Any, meta: Any = (), *args: Any, **kwargs: Any) -> Any:
    """Return a uniform block that holds its value once: read-only."""
    return np.broadcast_to(func(meta, *args, shape=() if shape == () else 1, **kwargs), shape)


def _tensordot(a: Any, b: Any, axes: Any, is_sparse: Any) -> Any:
    ranking = max([a, b], key=lambda x: x.__array_priority__)
    product = multiplier(type(ranking))(a, b, axes=axes)
    if is_sparse and len(axes[0]) == 1:
        return product
    index: list[Any] = [slice(None)] * product.ndim
    for axis in sorted(axes[0]):
        index.insert(axis, None)
    return product[tuple(index)]


def _matmul(a: Any, b: Any) -> Any:
    """Multiply; the axis that was summed over stays, with length 1."""
    numpy: Any = import_module("cupy") if "cupy" in str(type(a)) else np
    return numpy.matmul(a, b)[..., None, :]


def _chunk_sum(a: Any, axis: Any = None, dtype: Any = None, keepdims: Any = None) -> Any:
    """Add blocks of equal shape up, whose axis to sum over has length 1."""
    total = reduce(partial(np.add, dtype=dtype), a) if type(a) is list else a
    return total if keepdims else total.squeeze(axis[0])


def _inner_apply_along_axis(
    arr: Any, func1d: Any, func1d_axis: Any, func1d_args: Any, func1d_kwargs: Any
) -> Any:
    return np.apply_along_axis(func1d, func1d_axis, arr, *func1d_args, **func1d_kwargs)


def _gradient_kernel(x: Any, block_id: Any, coord: Any, axis: Any, array_locs: Any, grad_kwargs: Any) -> Any:
    if array_locs is not None:
        starts, stops = array_locs[0], array_locs[1]
        coord = coord[starts[block_id[axis]] : stops[block_id[axis]]]
    return np.gradient(x, coord, axis=axis, **grad_kwargs)


def _bincount_agg(bincounts: Any, dtype: Any, **kwargs: Any) -> Any:  # noqa: ARG001 - graphs give more
    if not isinstance(bincounts, list):
        return bincounts
    total = np.zeros_like(bincounts[0], shape=max(map(len, bincounts)), dtype=dtype)
    for counts in bincounts:
        total[: len(counts)] += counts
    return total


def _searchsorted_block(x: Any, y: Any, side: Any) -> Any:
    """Find places in a block; its very start is marked, since only the first block may say 0."""
    places = np.searchsorted(x, y, side=side)
    places[places == 0] = -1
    return places[None, :]


def _linspace(bins_range: Any) -> Any:
    bins, (start, stop) = bins_range
    return np.linspace(start, stop, num=bins + 1)


def _block_hist(x: Any, bins_range: Any, weights: Any = None) -> Any:
    bins, limits = bins_range
    return np.histogram(x, bins, range=limits, weights=weights)[0][None]


def _block_histogramdd_rect(sample: Any, bins: Any, range: Any, weights: Any) -> Any:  # noqa: A002 - graphs name it
    return np.histogramdd(sample, bins, range=range, weights=weights)[0:1]


def _block_histogramdd_multiarg(*args: Any) -> Any:
    *sample, bins, limits, weights = args
    return np.histogramdd(tuple(sample), bins=bins, range=limits, weights=weights)[0:1]


def _unique_internal(ar: Any, indices: Any, counts: Any, return_inverse: Any = False) -> Any:
    """Return what occurs, in fields: with its first place, any numbering and its count, as far as asked for."""
    values = np.unique(ar)
    wanted = {"indices": indices is not None, "inverse": return_inverse, "counts": counts is not None}
    fields = [("values", values.dtype), *((name, np.intp) for name, is_wanted in wanted.items() if is_wanted)]
    found = np.empty(values.shape, dtype=fields)
    found["values"] = values
    if return_inverse:
        found["inverse"] = np.arange(len(found), dtype=np.intp)
    if wanted["indices"] or wanted["counts"]:
        for number, value in enumerate(found["values"]):
            here = ar == value
            if wanted["indices"]:
                indices[here].min(keepdims=True, out=found["indices"][number : number + 1])
            if wanted["counts"]:
                counts[here].sum(keepdims=True, out=found["counts"][number : number + 1])
    return found


def _isin_kernel(element: Any, test_elements: Any, assume_unique: Any = False) -> Any:
    found = np.isin(element.ravel(), test_elements, assume_unique=assume_unique)
    return found.reshape(element.shape + (1,) * test_elements.ndim)


def variadic_choose(a: Any, *choices: Any) -> Any:
    """Choose from arrays that come as arguments."""
    return np.choose(a, choices)


_is_nonzero = np.vectorize(lambda value: bool(np.count_nonzero(value)), otypes=[bool])


def _isnonzero(a: Any) -> Any:
    return _is_nonzero(a)


def _unravel_index_kernel(indices: Any, func_kwargs: Any) -> Any:
    return np.stack(np.unravel_index(indices, **func_kwargs))


def _int_piecewise(x: Any, *condlist: Any, **kwargs: Any) -> Any:
    return np.piecewise(x, list(condlist), kwargs["funclist"], *kwargs["func_args"], **kwargs["func_kw"])


def _select(*args: Any, **kwargs: Any) -> Any:
    """Select; the first half of the arguments are conditions, the second are choices."""
    half = len(args) // 2
    return np.select(args[:half], args[half:], **kwargs)


def _fftfreq_block(i: Any, n: Any, d: Any) -> Any:
    frequencies = i.copy()
    frequencies[i >= (n + 1) // 2] -= n
    frequencies /= n * d
    return frequencies


def linear_ramp_chunk(start: Any, stop: Any, num: Any, dim: Any, step: Any) -> Any:
    """Return ramps along an axis from each member of a block to one value; the member itself is left out."""
    ramps = np.empty_like(start, shape=(*start.shape[:dim], num, *start.shape[dim + 1 :]), dtype=start.dtype)
    for place in np.ndindex(start.shape):
        line = np.linspace(start[place], stop, num + 1, dtype=np.dtype(start.dtype))
        ramps[(*place[:dim], slice(None), *place[dim + 1 :])] = line[1:][::step]
    return ramps


def wrapped_pad_func(
    array: Any, pad_func: Any, iaxis_pad_width: Any, iaxis: Any, pad_func_kwargs: Any
) -> Any:
    """Call the user's padding function on each line along an axis; what it returns is the line."""
    padded = np.empty_like(array)
    for place in np.ndindex(array.shape[:iaxis] + array.shape[iaxis + 1 :]):
        line = (*place[:iaxis], slice(None), *place[iaxis:])
        padded[line] = pad_func(array[line], iaxis_pad_width, iaxis, pad_func_kwargs)
    return padded


def _masked_array(data: Any, mask: Any = np.ma.nomask, masked_dtype: Any = None, **kwargs: Any) -> Any:
    kwargs.pop("chunks", None)
    return np.ma.MaskedArray(data, mask=mask, dtype=masked_dtype, **kwargs)


def _set_fill_value(x: Any, fill_value: Any) -> Any:
    if not isinstance(x, np.ma.MaskedArray):
        return x
    changed = x.copy()
    np.ma.set_fill_value(changed, fill_value)
    return changed


def _chunk_count(x: Any, axis: Any = None, keepdims: Any = None) -> Any:
    return np.ma.count(x, axis=axis, keepdims=keepdims)
