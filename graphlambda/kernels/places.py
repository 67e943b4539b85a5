"""Where the extremes of blocks lie, and what joins such answers.

In: blocks, or what earlier steps made of blocks. Out: indices. Must not sort ties otherwise than NumPy does.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def argmax(x: Any, axis: Any = None, keepdims: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return where the largest along an axis lies."""
    return _arg(np.argmax, x, axis, keepdims, *args, **kwargs)


def argmin(x: Any, axis: Any = None, keepdims: Any = None, *args: Any, **kwargs: Any) -> Any:
    """Return where the smallest along an axis lies."""
    return _arg(np.argmin, x, axis, keepdims, *args, **kwargs)


def arg_chunk(func: Any, argfunc: Any, x: Any, axis: Any, offset_info: Any) -> Any:
    """Return the extreme of a block and its place in the whole array."""
    along = None if len(axis) == x.ndim or x.ndim == 1 else axis[0]
    values = func(x, axis=along, keepdims=True)
    places = argfunc(x, axis=along, keepdims=True)
    if x.ndim > 0 and along is None:
        start, shape = offset_info
        inside = np.unravel_index(places.ravel()[0], x.shape)
        places[:] = np.ravel_multi_index(tuple(map(sum, zip(start, inside, strict=False))), shape)
    elif x.ndim > 0:
        places += offset_info
    if isinstance(values, np.ma.MaskedArray):
        fill = np.ma.minimum_fill_value if "min" in argfunc.__name__ else np.ma.maximum_fill_value
        values = np.ma.filled(values, fill(values))
    return _paired(values, places)


def arg_combine(argfunc: Any, data: Any, axis: Any = None, **kwargs: Any) -> Any:  # noqa: ARG001 - graphs give it
    """Return the extreme of several blocks' extremes and its place."""
    places, values = _arg_combine(data, axis, argfunc, keepdims=True)
    return _paired(values, places)


def arg_agg(argfunc: Any, data: Any, axis: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:  # noqa: ARG001 - graphs give it
    """Return the place of the extreme of all."""
    return _arg_combine(data, axis, argfunc, keepdims=keepdims)[0]


def nanarg_agg(argfunc: Any, data: Any, axis: Any = None, keepdims: Any = False, **kwargs: Any) -> Any:  # noqa: ARG001 - graphs give it
    """Return the place of the extreme of all that are numbers."""
    places, values = _arg_combine(data, axis, argfunc, keepdims=keepdims)
    if np.any(np.isnan(values)):
        raise ValueError("All NaN slice encountered")
    return places


def _arg_combine(data: Any, axis: Any, argfunc: Any, keepdims: Any = False) -> Any:
    values, places = data["vals"], data["arg"]
    if isinstance(data, dict):
        assert values.ndim == places.ndim
    ndim = values.ndim if isinstance(data, dict) else data.ndim
    if len(axis) == ndim or ndim == 1:
        best = argfunc(values, axis=None, keepdims=keepdims)
        return places.ravel()[best], values.ravel()[best]
    along = axis[0]
    best = argfunc(values, axis=along)
    index: list[Any] = list(np.ogrid[tuple(map(slice, best.shape))])
    index.insert(along, best)
    found = places[tuple(index)], values[tuple(index)]
    return tuple(np.expand_dims(each, along) for each in found) if keepdims else found


def _paired(values: Any, places: Any) -> Any:
    """Return values beside places in one array; in a dict where the arrays have no fields."""
    try:
        pairs = np.empty_like(
            values, shape=values.shape, dtype=[("vals", values.dtype), ("arg", places.dtype)]
        )
    except TypeError:
        return {"vals": values, "arg": places}
    pairs["vals"] = values
    pairs["arg"] = places
    return pairs


def _nanargmin(x: Any, axis: Any, **kwargs: Any) -> Any:
    return _nanarg(np.nanargmin, np.inf, x, axis, **kwargs)


def _nanargmax(x: Any, axis: Any, **kwargs: Any) -> Any:
    return _nanarg(np.nanargmax, -np.inf, x, axis, **kwargs)


def _nanarg(find: Any, worst: float, x: Any, axis: Any, keepdims: Any = None, **kwargs: Any) -> Any:
    """Find the extreme; where nothing is a number, anything is."""
    try:
        return _kept(find(x, axis=axis, **kwargs), x, axis, keepdims)
    except ValueError:
        numbers = np.where(np.isnan(x), worst, x)
        return _kept(find(numbers, axis=axis, **kwargs), numbers, axis, keepdims)


def _arg(find: Any, x: Any, axis: Any, keepdims: Any, *args: Any, **kwargs: Any) -> Any:
    return _kept(find(x, *args, axis=axis, **kwargs), x, axis, keepdims)


def _kept(found: Any, x: Any, axis: Any, keepdims: Any) -> Any:
    """Put the axes back that a search has removed, if asked for."""
    if not keepdims:
        return found
    axes = range(x.ndim) if axis is None else axis if np.iterable(axis) else [axis]
    return found[tuple(None if each in axes else slice(None) for each in range(x.ndim))]
