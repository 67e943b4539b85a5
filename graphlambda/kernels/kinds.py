"""Whose arrays are whose: NumPy's own are worked on here, all others by what Dask has registered for them.

In: types and values. Out: functions that suit them. Must not import Dask before something needs it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ma

if TYPE_CHECKING:
    from collections.abc import Callable


def is_numpys(kind: type) -> bool:
    """Tell whether a type is NumPy's or Python's own: for these, Dask's lookup tables hold nothing but NumPy."""
    return kind.__module__.partition(".")[0] in ("numpy", "builtins")


def dasks(module: str, name: str) -> Any:
    """Return what Dask itself has. Where it is not packed, the operation is built again with it."""
    import_module("dask.array")  # registers what Dask knows of other libraries' arrays
    return reduce(getattr, name.split("."), import_module(module))


def concatenator(kind: type) -> Callable[..., Any]:
    """Return what joins arrays of a type."""
    if not is_numpys(kind):
        return _registered("concatenate", kind)
    return _concatenate_masked if issubclass(kind, np.ma.MaskedArray) else np.concatenate


def divider(kind: type) -> Callable[..., Any]:
    """Return what divides arrays of a type."""
    if not is_numpys(kind):
        return _registered("divide", kind)
    return _divide_masked if issubclass(kind, np.ma.MaskedArray) else _divide


def taker(kind: type) -> Callable[..., Any]:
    """Return what picks members of arrays of a type."""
    return np.take if is_numpys(kind) else _registered("take", kind)


def summer(kind: type) -> Callable[..., Any]:
    """Return what evaluates Einstein's sums over arrays of a type."""
    return np.einsum if is_numpys(kind) else _registered("einsum", kind)


def multiplier(kind: type) -> Callable[..., Any]:
    """Return what contracts arrays of a type."""
    if not is_numpys(kind):
        return _registered("tensordot", kind)
    return _tensordot_masked if issubclass(kind, np.ma.MaskedArray) else np.tensordot


def numel(x: Any, **kwargs: Any) -> Any:
    """Count elements along axes: how many are not masked, or simply how many there are."""
    kind = type(x)
    if not is_numpys(kind):
        return _registered("numel", kind)(x, **kwargs)
    if issubclass(kind, np.ma.MaskedArray):
        return np.sum(np.ones_like(x), **kwargs)
    return _count(x.shape, kwargs.get("axis"), kwargs.get("keepdims", False), kwargs.get("dtype", np.float64))


def nannumel(x: Any, **kwargs: Any) -> Any:
    """Count elements along axes that are numbers."""
    if not is_numpys(type(x)):
        return _registered("nannumel", type(x))(x, **kwargs)
    return np.sum(~np.isnan(x), **kwargs)


def is_arraylike(x: Any) -> bool:
    """Tell whether something has what an array has, as Dask judges it."""
    if not (hasattr(x, "shape") and isinstance(x.shape, tuple) and hasattr(x, "dtype")):
        return False
    if any(hasattr(length, "__dask_graph__") for length in x.shape):
        return bool(dasks("dask.utils", "is_arraylike")(x))
    is_duck = hasattr(x, "__array_function__") or hasattr(x, "__array_ufunc__")
    return is_duck or "scipy.sparse" in f"{type(x).__module__}.{type(x).__name__}"


def deepmap(function: Callable[[Any], Any], nested: Any) -> Any:
    """Call a function on each member of nested lists."""
    if isinstance(nested, list | Iterator):
        return [deepmap(function, member) for member in nested]
    return function(nested)


def flattened(nested: Any, containers: Any = list) -> Iterator[Any]:
    """Yield the members of nested containers, from left to right."""
    for member in nested:
        if isinstance(member, containers):
            yield from flattened(member, containers)
        else:
            yield member


def _divide(a: Any, b: Any, out: Any = None, dtype: Any = None) -> Any:
    """Divide, then convert: a quotient of doubles that becomes a float is rounded twice."""
    quotient = np.divide(a, b, out)
    return quotient if dtype is None else quotient.astype(dtype)


_ma: Any = ma  # not all of it is typed
_divide_masked = _ma.core._DomainedBinaryOperation(_divide, _ma.core._DomainSafeDivide(), 0, 1)
"""As `np.ma.divide`, which cannot convert, does it: what lies behind the mask is a part of the result."""


def _registered(table: str, kind: type) -> Callable[..., Any]:
    found: Callable[..., Any] = dasks("dask.array.dispatch", f"{table}_lookup").dispatch(kind)
    return found


def _count(shape: tuple[int, ...], axis: Any, keepdims: Any, dtype: Any) -> Any:
    if axis is None:
        count = np.prod(shape, dtype=dtype)
        return count if keepdims is False else np.full((1,) * len(shape), count, dtype=dtype)
    axes = axis if isinstance(axis, tuple | list) else [axis]
    count = np.array(math.prod(shape[each] for each in axes), dtype=dtype)
    if keepdims is True:
        kept = [1 if each in axes else length for each, length in enumerate(shape)]
    else:
        kept = [length for each, length in enumerate(shape) if each not in axes]
    return np.broadcast_to(count, tuple(kept))


def _concatenate_masked(arrays: Any, axis: Any = 0) -> Any:
    """Join masked arrays; a fill value that all have in common stays."""
    joined = _ma.concatenate(arrays, axis=axis)
    fills = [array.fill_value for array in arrays if hasattr(array, "fill_value")]
    if any(isinstance(fill, np.ndarray) for fill in fills):
        raise ValueError("Dask doesn't support masked array's with non-scalar `fill_value`s")
    different: Any = np.unique(fills) if fills else ()
    if len(different) == 1:
        joined.fill_value = different[0]
    return joined


def _tensordot_masked(a: Any, b: Any, axes: Any = 2) -> Any:
    """Contract arrays of which one is masked: a product of two matrices, whatever is masked left out."""
    left, right = _contracted(axes)
    same = len(left) == len(right) and all(a.shape[i] == b.shape[j] for i, j in zip(left, right, strict=True))
    if not same:
        raise ValueError("shape-mismatch for sum")
    left = [axis + a.ndim if axis < 0 else axis for axis in left]
    right = [axis + b.ndim if axis < 0 else axis for axis in right]
    rows = [axis for axis in range(a.ndim) if axis not in left]
    columns = [axis for axis in range(b.ndim) if axis not in right]
    length = math.prod(a.shape[axis] for axis in left)
    product = _ma.dot(
        a.transpose(rows + left).reshape((-1, length)),
        b.transpose(right + columns).reshape((math.prod(b.shape[axis] for axis in right), -1)),
    )
    return product.reshape([a.shape[axis] for axis in rows] + [b.shape[axis] for axis in columns])


def _contracted(axes: Any) -> list[list[Any]]:
    """Return the axes of both sides that a `tensordot` sums over."""
    if not np.iterable(axes):
        return [list(range(-axes, 0)), list(range(axes))]
    left, right = axes
    return [list(side) if hasattr(side, "__len__") else [side] for side in (left, right)]
