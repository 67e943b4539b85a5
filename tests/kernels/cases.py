"""Random calls of each kernel. In: a random generator. Out: (arguments, keyword arguments) by function of Dask's.

A case is a callable that makes a call anew each time it is asked: what a function changes must not reach the next one.
"""

from __future__ import annotations

import itertools
import operator
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from tests.kernels.blocks import (
    SHAPES,
    anything,
    axes_of,
    block,
    grid_of,
    masked,
    numbers,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Call: TypeAlias = "tuple[tuple[Any, ...], dict[str, Any]]"
Rng: TypeAlias = np.random.Generator
Cases: TypeAlias = "Callable[[Rng, Any], Iterator[Call]]"
"""Gets the module of Dask's function, too: some calls name a second function, which must be of the same house."""

CASES: dict[str, Cases] = {}


def cases(*names: str) -> Callable[[Cases], Cases]:
    def register(make: Cases) -> Cases:
        CASES.update(dict.fromkeys(names, make))
        return make

    return register


def kept(rng: Rng, axis: Any, **more: Any) -> dict[str, Any]:
    return {"axis": axis, "keepdims": bool(rng.integers(2)), **more}


@cases("dask.array.chunk:getitem", "dask.bag.chunk:getitem")
def parts(rng: Rng, _: Any) -> Iterator[Call]:
    indices: tuple[Any, ...] = (
        0, -1, slice(None), slice(0, 1), slice(None, None, 2), (slice(1, None), 0), ..., None, [0, 0], 99,
        np.array([True]), (0, 0, 0, 0, 0),
    )  # fmt: skip
    for array in anything(rng):
        for index in indices:
            yield (array, index), {}
    yield ([1, 2, 3], 1), {}
    yield ((1, 2, 3), slice(1)), {}
    yield ({"a": 1}, "a"), {}
    yield ("text", 99), {}
    yield ([1, 2, 3], 1), {}


@cases("dask.array.chunk:trim")
def trims(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for depth in (0, 1, 2, {0: 1}, {1: 2}, [0] * array.ndim, None):
            yield (array,), {"axes": depth}


@cases("dask.array.chunk:coarsen")
def coarse(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        for reduction, excess in itertools.product((np.sum, np.max, np.mean), (False, True)):
            axes = {axis: int(rng.integers(1, 3)) for axis in axes_of(rng, array.ndim)}
            yield (reduction, array, axes, excess), {}
    yield (np.mean, np.arange(12.0), {0: 3}), {"trim_excess": True, "dtype": "f4"}


@cases("dask.array.chunk:topk", "dask.array.chunk:topk_aggregate")
def tops(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng, SHAPES[1:]):
        for k in (1, 2, -1, -3, 99):
            yield (array, k, (int(rng.integers(max(array.ndim, 1))),), True), {}
    yield (np.arange(3), 1, (0,), False), {}


@cases("dask.array.chunk:argtopk", "dask.array.chunk:argtopk_aggregate")
def arg_tops(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        axis = int(rng.integers(array.ndim))
        shape = [1] * array.ndim
        shape[axis] = -1
        places = np.arange(array.shape[axis]).reshape(shape)
        for k in (1, -2, 3, 99):
            yield ((array, places), k, (axis,), True), {}
            yield ([(array, places), (array, places + 10)], k, (axis,), True), {}
            yield ([[(array, places)], [(array, places + 10)]], k, (axis,), True), {}


@cases("dask.array.chunk:argmax", "dask.array.chunk:argmin")
def places(rng: Rng, _: Any) -> Iterator[Call]:
    axes: tuple[Any, ...] = (None, 0, -1, (0,), 99)
    for array in numbers(rng):
        for axis in axes:
            yield (array, axis, bool(rng.integers(2))), {}
            yield (array,), kept(rng, axis)
    yield (np.arange(6.0).reshape(2, 3), 0, True, np.empty(3, int)), {}


@cases("dask.array.chunk:argtopk_preprocess")
def pairs(rng: Rng, _: Any) -> Iterator[Call]:
    yield (block(rng, "f8", (3,)), np.arange(3)), {}


@cases("dask.array.chunk:arange")
def ranges(rng: Rng, _: Any) -> Iterator[Call]:
    likes: tuple[Any, ...] = (None, np.empty(0), np.ma.MaskedArray([1]), 5, np.float64(1))
    for like in likes:
        for dtype in ("i8", "f4", "c16", None, "M8[D]"):
            start, step = rng.integers(-5, 5), rng.choice([1, 2, 0.1, -1])
            yield (start, start + step * 7, step, int(rng.integers(5, 9)), dtype, like), {}
    yield (0, 1, 0.1, 10, "f8"), {}
    yield (0, 1, 0, 10, "f8"), {}


@cases("dask.array.chunk:linspace")
def spaces(rng: Rng, _: Any) -> Iterator[Call]:
    for count in (0, 1, 7):
        for end in (True, False):
            yield (rng.normal(), rng.normal(), count), {"endpoint": end, "dtype": rng.choice(["f8", "f4"])}


@cases("dask.array.chunk:astype")
def conversions(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for dtype in ("f8", "i4", "U5", "O"):
            yield (array,), {"astype_dtype": dtype, "copy": False}


@cases("dask.array.core:_as_dtype")
def as_dtypes(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        yield (array, None), {}
        yield (array, "f8"), {}


@cases("dask.array.chunk:view")
def views(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for dtype, order in itertools.product(("f4", "u1", "i8"), "CF"):
            yield (array, dtype, order), {}
    yield ([1, 2, 3], "i4"), {}


@cases("dask.array.chunk:slice_with_int_dask_array")
def picks(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        axis, size = int(rng.integers(array.ndim)), 20
        for dtype in ("i8", "u1", "i2"):
            index = rng.integers(0 if dtype == "u1" else -size, size, size=6).astype(dtype)
            yield (array, index, np.array([int(rng.integers(size))]), size, axis), {}
        yield (array, np.ma.MaskedArray([1, 0], mask=[False, True]), np.array([0]), size, axis), {}


@cases("dask.array.chunk:slice_with_int_dask_array_aggregate")
def picked(rng: Rng, _: Any) -> Iterator[Call]:
    for lengths in ((3, 4), (0, 5, 1), (), (6,)):
        size = sum(lengths)
        for dtype in ("i8", "u1"):
            index = rng.integers(0 if dtype == "u1" else -size, max(size, 1), size=5 if size else 0).astype(
                dtype
            )
            for shape, axis in (((5,), 0), ((2, 5), 1)):
                yield (index, block(rng, "f8", shape), lengths, axis), {}


@cases("dask.array.reductions:chunk_min", "dask.array.reductions:chunk_max")
def extremes(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        yield (array,), kept(rng, axes_of(rng, array.ndim))


@cases("dask.array.reductions:_nanmin_skip", "dask.array.reductions:_nanmax_skip")
def nan_extremes(rng: Rng, _: Any) -> Iterator[Call]:
    for array in (*anything(rng), np.full((2, 3), np.nan), np.full(4, np.nan)):
        yield (array, axes_of(rng, array.ndim), bool(rng.integers(2))), {}


@cases("dask.array.reductions:numel", "dask.array.reductions:nannumel")
def counts(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        axes = axes_of(rng, array.ndim)
        for axis in (None, axes, list(axes), *axes[:1]):
            for keepdims in (True, False, None):
                yield (array,), {"axis": axis, "keepdims": keepdims, "dtype": rng.choice(["f8", "i8", "O"])}
        yield (array,), {"axis": axes}
        yield (array,), {}


@cases("dask.array.reductions:divide")
def quotients(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for other in (
            block(rng, "f8", array.shape),
            masked(rng, "i8", array.shape),
            np.float64(0),
            2,
            np.ma.masked,
        ):
            for dtype in (None, "f8", "f4"):
                yield (array, other), {"dtype": dtype}
                yield (other, array), {"dtype": dtype}


@cases("dask.array.reductions:mean_chunk")
def mean_chunks(rng: Rng, dask: Any) -> Iterator[Call]:
    for array in anything(rng):
        axes = axes_of(rng, array.ndim)
        yield (array,), kept(rng, axes, dtype="f8")
        yield (
            (array,),
            {"axis": axes, "keepdims": True, "sum": np.nansum, "numel": dask.nannumel, "dtype": "f4"},
        )
        yield (array,), {"axis": axes, "keepdims": True, "computing_meta": True}
        yield (array,), {"axis": axes, "keepdims": True, "dtype": "c16"}
        yield (array,), {"axis": axes, "keepdims": True, "dtype": "O"}


def _pairs(rng: Rng, chunk: Any, ndim: int, kind: str, **kwargs: Any) -> tuple[Any, tuple[int, ...]]:
    """Return what a chunk function gave for a grid of blocks, and the axes that are reduced."""
    _, blocks = grid_of(rng, ndim, kind, is_masked=bool(rng.integers(4) == 0))
    axes = tuple(range(ndim))

    def each(nest: Any) -> Any:
        if isinstance(nest, list):
            return list(map(each, nest))
        with np.errstate(all="ignore"):
            return chunk(nest, axis=axes, keepdims=True, **kwargs)

    return each(blocks), axes


@cases("dask.array.reductions:mean_combine", "dask.array.reductions:mean_agg")
def mean_pairs(rng: Rng, dask: Any) -> Iterator[Call]:
    for _ in range(60):
        ndim, dtype = int(rng.integers(1, 4)), str(rng.choice(["f8", "f4", "i8", "c16"]))
        chunks, axes = _pairs(rng, dask.mean_chunk, ndim, dtype, dtype="c16" if dtype == "c16" else "f8")
        yield (chunks,), {"axis": axes, "keepdims": True}
        yield (chunks,), {"axis": axes, "keepdims": bool(rng.integers(2))}
    single = dask.mean_chunk(np.arange(6.0).reshape(2, 3), axis=(0,), keepdims=True)
    yield (single,), {"axis": (0,), "keepdims": True}
    yield ([single],), {"axis": (0,), "keepdims": False}
    yield (np.zeros((0, 0)),), {"axis": (0,), "computing_meta": True}


@cases("dask.array.reductions:moment_chunk")
def moment_chunks(rng: Rng, dask: Any) -> Iterator[Call]:
    for array in numbers(rng):
        axes = axes_of(rng, array.ndim)
        for order in (2, 3, 4):
            yield (array,), {"axis": axes, "keepdims": True, "order": order}
        yield (array,), {"axis": axes, "keepdims": True, "sum": np.nansum, "numel": dask.nannumel}
        yield (array,), {"axis": axes, "keepdims": True, "implicit_complex_dtype": True, "dtype": "f8"}
        yield (array,), {"axis": axes, "keepdims": True, "dtype": "f4"}
        yield (array,), {"axis": axes, "keepdims": True, "computing_meta": True}


@cases("dask.array.reductions:moment_combine", "dask.array.reductions:moment_agg")
def moment_pairs(rng: Rng, dask: Any) -> Iterator[Call]:
    for number in range(80):
        ndim, dtype = int(rng.integers(1, 4)), str(rng.choice(["f8", "f4", "i8", "c16"]))
        order = int(rng.integers(2, 6))
        chunks, axes = _pairs(
            rng, dask.moment_chunk, ndim, dtype, order=order, implicit_complex_dtype=dtype == "c16"
        )
        ways = {"order": order, "ddof": int(rng.integers(0, 3)), "axis": axes}
        yield (chunks,), {**ways, "keepdims": number % 2 == 0}
        yield (chunks,), {**ways, "sum": np.nansum, "dtype": "f4", "keepdims": True}
    single = dask.moment_chunk(np.arange(6.0).reshape(2, 3), axis=(0,), keepdims=True)
    yield (single,), {"axis": (0,), "keepdims": True}
    yield (np.zeros((0, 0)),), {"axis": (0,), "computing_meta": True}


@cases("dask.array.reductions:_sqrt")
def roots(rng: Rng, _: Any) -> Iterator[Call]:
    for array in (*anything(rng), np.ma.masked, 2.0, -1):
        yield (array,), {}


@cases(
    "dask.array.reductions:_cumsum_merge",
    "dask.array.reductions:_cumprod_merge",
    "dask.array.overlap:_fill_with_last_one",
)
def merges(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for other in (array, block(rng, "f8", array.shape), masked(rng, "f8", array.shape), 1, np.ma.masked):
            yield (array, other), {}
            yield (other, array), {}


@cases("dask.array.reductions:_prefixscan_combine")
def scans(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        yield (np.cumsum, operator.add, array[:1], array, 0, "f8"), {}


@cases("dask.array.reductions:_prefixscan_first")
def first_scans(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        yield (np.cumprod, array, 0, "f8"), {}


def _argmin(x: Any, axis: Any = None, keepdims: Any = None) -> Any:
    found = np.argmin(x, axis=axis)
    if not keepdims:
        return found
    return np.expand_dims(found, tuple(range(x.ndim)) if axis is None else axis)


def _argmax(x: Any, axis: Any = None, keepdims: Any = None) -> Any:
    return _argmin(-x, axis, keepdims)


_argmin.__name__, _argmax.__name__ = "argmin", "argmax"


def _where(rng: Rng, dask: Any) -> Iterator[tuple[Any, Any, tuple[Any, ...]]]:
    for array in numbers(rng, SHAPES, ("f8", "i8", "f4")):
        whole = tuple(range(array.ndim))
        offsets = tuple(int(start) for start in rng.integers(0, 9, size=array.ndim))
        everywhere = (offsets, tuple(length + 20 for length in array.shape))
        for function, search in (
            (np.min, _argmin), (np.max, _argmax), (np.nanmin, dask._nanargmin), (np.nanmax, dask._nanargmax),
        ):  # fmt: skip
            yield function, search, (array, whole, everywhere)
            if array.ndim > 1:
                axis = int(rng.integers(array.ndim))
                yield function, search, (array, (axis,), offsets[axis])


@cases("dask.array.reductions:arg_chunk")
def arg_chunks(rng: Rng, dask: Any) -> Iterator[Call]:
    for function, search, arguments in _where(rng, dask):
        yield (function, search, *arguments), {}


@cases(
    "dask.array.reductions:arg_combine",
    "dask.array.reductions:arg_agg",
    "dask.array.reductions:nanarg_agg",
)
def arg_pairs(rng: Rng, dask: Any) -> Iterator[Call]:
    for function, search, arguments in _where(rng, dask):
        try:
            found = dask.arg_chunk(function, search, *arguments)
        except (ValueError, IndexError):
            continue  # an empty block has no extreme
        axis = arguments[1]
        joined = np.concatenate([found, found], axis[0]) if found.ndim else found
        for data in (joined, {"vals": joined["vals"], "arg": joined["arg"]}):
            for keepdims in (True, False):
                yield (search, data), {"axis": axis, "keepdims": keepdims}


@cases("dask.array.reductions:_nanargmin", "dask.array.reductions:_nanargmax")
def nan_places(rng: Rng, _: Any) -> Iterator[Call]:
    for array in (*numbers(rng), np.full((2, 3), np.nan)):
        for keepdims in (True, False, None):
            yield (array, None), {"keepdims": keepdims}
            yield (array, 0), {"keepdims": keepdims}
        yield (array, -1), {}
