"""Means, moments and extremes of blocks, and what joins them.

In: blocks, or what earlier steps made of blocks. Out: numbers and arrays. Must not round otherwise than Dask does: the
order of the arithmetic is a part of the result.
"""

from __future__ import annotations

import math
import operator
import warnings
from numbers import Number
from typing import Any

import numpy as np

from .joining import _concatenate2
from .kinds import dasks, deepmap, divider, is_numpys, nannumel, numel

__all__ = ["nannumel", "numel"]

_QUIET: dict[str, Any] = {"divide": "ignore", "invalid": "ignore"}


def divide(a: Any, b: Any, dtype: Any = None) -> Any:
    """Divide by what suits the array of higher rank."""
    ranking = max(a, b, key=lambda x: getattr(x, "__array_priority__", float("-inf")))
    return divider(type(ranking))(a, b, dtype=dtype)


def chunk_min(x: Any, axis: Any = None, keepdims: Any = None) -> Any:
    """Return the smallest along axes; of an empty block, nothing."""
    return np.min(x, axis=axis, keepdims=keepdims) if x.size else _none_of(x, x.ndim)


def chunk_max(x: Any, axis: Any = None, keepdims: Any = None) -> Any:
    """Return the largest along axes; of an empty block, nothing."""
    return np.max(x, axis=axis, keepdims=keepdims) if x.size else _none_of(x, x.ndim)


def _nanmin_skip(x_chunk: Any, axis: Any, keepdims: Any) -> Any:
    return _without_nan(np.nanmin, x_chunk, axis, keepdims)


def _nanmax_skip(x_chunk: Any, axis: Any, keepdims: Any) -> Any:
    return _without_nan(np.nanmax, x_chunk, axis, keepdims)


def _without_nan(reduce: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    if x.size <= 0:
        return _none_of(x, 1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "All-NaN slice encountered", RuntimeWarning)
        return reduce(x, axis=axis, keepdims=keepdims)


def _none_of(x: Any, ndim: int) -> Any:
    """Return an empty array of the block's kind and dtype."""
    if is_numpys(type(x)):
        return np.array([], ndmin=ndim, dtype=x.dtype)
    return dasks("dask.array.utils", "array_safe")([], x, ndmin=ndim, dtype=x.dtype)


def mean_chunk(
    x: Any,
    sum: Any = np.sum,  # noqa: A002 - graphs name it
    numel: Any = numel,
    dtype: Any = "f8",
    computing_meta: Any = False,
    **kwargs: Any,
) -> Any:
    """Count and add up the members of a block."""
    if computing_meta:
        return x
    return {"n": numel(x, dtype=dtype, **kwargs), "total": sum(x, dtype=dtype, **kwargs)}


def mean_combine(
    pairs: Any,
    sum: Any = np.sum,  # noqa: A002, ARG001 - graphs name it
    numel: Any = numel,  # noqa: ARG001 - graphs name it
    dtype: Any = "f8",  # noqa: ARG001 - graphs name it
    axis: Any = None,
    computing_meta: Any = False,
    **kwargs: Any,
) -> Any:
    """Add up counts and totals."""
    pairs = pairs if isinstance(pairs, list) else [pairs]
    count = _joined(pairs, "n", axis, computing_meta).sum(axis=axis, **kwargs)
    if computing_meta:
        return count
    return {"n": count, "total": _joined(pairs, "total", axis).sum(axis=axis, **kwargs)}


def mean_agg(
    pairs: Any, dtype: Any = "f8", axis: Any = None, computing_meta: Any = False, **kwargs: Any
) -> Any:
    """Divide the sum of all totals by the number of all members."""
    count = np.sum(_joined(pairs, "n", axis, computing_meta), axis=axis, dtype=dtype, **kwargs)
    if computing_meta:
        return count
    total = _joined(pairs, "total", axis).sum(axis=axis, dtype=dtype, **kwargs)
    with np.errstate(**_QUIET):
        return divide(total, count, dtype=dtype)


def moment_chunk(
    A: Any,  # noqa: N803 - graphs name it
    order: Any = 2,
    sum: Any = np.sum,  # noqa: A002 - graphs name it
    numel: Any = numel,
    dtype: Any = "f8",
    computing_meta: Any = False,
    implicit_complex_dtype: Any = False,
    **kwargs: Any,
) -> Any:
    """Count and add up the members of a block, and the powers of their distances from its mean."""
    if computing_meta:
        return A
    count = numel(A, **kwargs).astype(np.int64)
    total = sum(A, **kwargs) if implicit_complex_dtype else sum(A, dtype=dtype, **kwargs)
    with np.errstate(**_QUIET):
        mean = total / count
    distance = A - mean
    if np.issubdtype(A.dtype, np.complexfloating):
        distance = np.abs(distance)
    powers = [sum(distance**power, dtype=dtype, **kwargs) for power in range(2, order + 1)]
    return {"total": total, "n": count, "M": np.stack(powers, axis=-1)}


def moment_combine(
    pairs: Any,
    order: Any = 2,
    ddof: Any = 0,  # noqa: ARG001 - graphs name it
    dtype: Any = "f8",
    sum: Any = np.sum,  # noqa: A002 - graphs name it
    axis: Any = None,
    computing_meta: Any = False,
    **kwargs: Any,
) -> Any:
    """Move the moments of several blocks to their common mean and add them up."""
    pairs = pairs if isinstance(pairs, list) else [pairs]
    kept = {**kwargs, "dtype": None, "keepdims": True}
    counts = _joined(pairs, "n", axis, computing_meta)
    count = counts.sum(axis=axis, **kept)
    if computing_meta:
        return count
    totals, moments = _joined(pairs, "total", axis), _joined(pairs, "M", axis)
    total = totals.sum(axis=axis, **kept)
    with np.errstate(**_QUIET):
        if np.issubdtype(total.dtype, np.complexfloating):
            shift = np.abs(divide(totals, counts) - divide(total, count))
        else:
            mean = divide(total, count, dtype=dtype)
            shift = divide(totals, counts, dtype=dtype) - mean
    moved = [
        _moved(moments, counts, shift, power, sum, {"axis": axis, **kept}) for power in range(2, order + 1)
    ]
    return {"total": total, "n": count, "M": np.stack(moved, axis=-1)}


def moment_agg(
    pairs: Any,
    order: Any = 2,
    ddof: Any = 0,
    dtype: Any = "f8",
    sum: Any = np.sum,  # noqa: A002 - graphs name it
    axis: Any = None,
    computing_meta: Any = False,
    **kwargs: Any,
) -> Any:
    """Return the moment of all members about their mean."""
    pairs = pairs if isinstance(pairs, list) else [pairs]
    final = {**kwargs, "dtype": dtype}
    kept = {**final, "keepdims": True, "dtype": None}
    counts = _joined(pairs, "n", axis, computing_meta)
    count = counts.sum(axis=axis, **kept)
    if computing_meta:
        return count
    totals, moments = _joined(pairs, "total", axis), _joined(pairs, "M", axis)
    mean = divide(totals.sum(axis=axis, **kept), count)
    with np.errstate(**_QUIET):
        if np.issubdtype(totals.dtype, np.complexfloating):
            shift = np.abs(divide(totals, counts) - mean)
        else:
            shift = divide(totals, counts, dtype=dtype) - mean
    shift = np.where(counts == 0, 0, shift)
    moment = _moved(moments, counts, shift, order, sum, {"axis": axis, **final})
    return divide(moment, _freedom(count.sum(axis=axis, **final) - ddof), dtype=dtype)


def _joined(pairs: Any, name: str, axes: Any, computing_meta: Any = False) -> Any:
    """Return one part of what the blocks gave, as one array."""
    return _concatenate2(pairs if computing_meta else deepmap(lambda pair: pair[name], pairs), axes=axes)


def _moved(moments: Any, counts: Any, shift: Any, order: int, add: Any, kwargs: dict[str, Any]) -> Any:
    """Return the sum of moments of an order, each moved from its block's mean by `shift` (the binomial theorem)."""
    moved = moments[..., order - 2].sum(**kwargs) + add(counts * shift**order, **kwargs)
    for power in range(1, order - 1):
        ways = math.factorial(order) / (math.factorial(power) * math.factorial(order - power))
        moved += ways * add(moments[..., order - power - 2] * shift**power, **kwargs)
    return moved


def _freedom(degrees: Any) -> Any:
    """Return degrees of freedom; fewer than none are not a number."""
    if isinstance(degrees, Number):
        return np.nan if degrees < 0 else degrees  # type: ignore[operator]
    if degrees is not np.ma.masked:
        degrees[degrees < 0] = np.nan
    return degrees


def _sqrt(a: Any) -> Any:
    if isinstance(a, np.ma.MaskedArray) and not a.shape and a.mask.all():
        return np.ma.masked
    return np.sqrt(a)


def _prefixscan_combine(func: Any, binop: Any, pre: Any, x: Any, axis: Any, dtype: Any) -> Any:
    return binop(pre, func(x, axis=axis, dtype=dtype))


def _prefixscan_first(func: Any, x: Any, axis: Any, dtype: Any) -> Any:
    return func(x, axis=axis, dtype=dtype)


def _cumsum_merge(a: Any, b: Any) -> Any:
    return _merged(operator.add, a, b)


def _cumprod_merge(a: Any, b: Any) -> Any:
    return _merged(operator.mul, a, b)


def _merged(merge: Any, a: Any, b: Any) -> Any:
    """Merge two blocks; where there are masks, what lies behind them, and the later block's mask holds."""
    if not (isinstance(a, np.ma.MaskedArray) or isinstance(b, np.ma.MaskedArray)):
        return merge(a, b)
    return np.ma.MaskedArray(merge(np.ma.getdata(a), np.ma.getdata(b)), mask=np.ma.getmaskarray(b))
