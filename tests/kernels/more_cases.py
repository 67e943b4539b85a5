"""Random calls of the other kernels: of core, routines, linear algebra, random numbers, bags. In, Out: as `cases`."""

from __future__ import annotations

import itertools
import operator
import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.kernels.blocks import NUMBERS, SHAPES, anything, axes_of, block, grid_of, masked, numbers
from tests.kernels.cases import CASES, Call, Rng, cases

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CASES"]

GRIDS = [(ndim, dtype) for ndim in (1, 2, 3) for dtype in (*NUMBERS, "O", "U3", "M8[s]")]


@cases("dask.array.core:_concatenate2")
def joins(rng: Rng, _: Any) -> Iterator[Call]:
    for ndim, dtype in GRIDS * 2:
        _grid, nest = grid_of(rng, ndim, dtype, is_masked=dtype in ("f8", "i8") and bool(rng.integers(2)))
        axes = tuple(int(axis) for axis in rng.permutation(ndim))
        yield (nest,), {"axes": list(axes)}
        yield (nest, axes), {}
        yield (nest,), {"axes": tuple(range(ndim))}
        yield (nest,), {"axes": ()}
    x = block(rng, "f8", (2, 3))
    y = masked(rng, "f8", (2, 3))
    for nest in (
        [x, y],
        [y, x],
        [y, np.ma.MaskedArray(x, fill_value=7)],
        (x, x),
        x,
        [{"a": x}, {"a": x}],
        [],
        5,
    ):
        yield (nest,), {"axes": [0]}
        yield (nest,), {}
    yield (iter([x, x]),), {"axes": [1]}
    yield ([{"a": x}, {"b": x}],), {"axes": [0]}
    records = np.zeros(2, [("a", "f8"), ("b", "i4")])
    yield ([np.ma.MaskedArray(records)] * 2,), {"axes": [0]}
    yield ([np.asmatrix(x), x],), {"axes": [0]}


@cases("dask.array.core:concatenate3")
def grids(rng: Rng, _: Any) -> Iterator[Call]:
    for ndim, dtype in GRIDS * 2:
        yield (grid_of(rng, ndim, dtype)[1],), {}
    for ndim in (1, 2):
        yield (grid_of(rng, ndim, "f8", is_masked=True)[1],), {}
    x, y = block(rng, "f8", (2, 3)), block(rng, "i4", (2, 3))
    z = masked(rng, "f8", (2, 3))
    nest: Any
    for nest in (
        [[x, y], [y, x]], [[y], [x]], [[x, z]], [[x[0], x[1]]], [x[0], 5], [1, 2, 3], [None, None], [[]], [],
        iter([iter([x]), iter([y])]), ((x, x),), [[x, x], [x]], [np.float64(1), np.float32(2)], ["a", "b"],
    ):  # fmt: skip
        yield (nest,), {}


@cases("dask.array.core:concatenate_shaped")
def shaped(rng: Rng, _: Any) -> Iterator[Call]:
    for shape in ((2,), (2, 3), (1, 2, 2)):
        blocks = [block(rng, "f8", (2,) * len(shape)) for _ in range(int(np.prod(shape)))]
        yield (blocks, shape), {}
        yield ([*blocks, blocks[0]], shape), {}


@cases("dask.array.core:concatenate_axes")
def along_axes(rng: Rng, _: Any) -> Iterator[Call]:
    x = block(rng, "f8", (2, 3, 4))
    for axes in ([0], [1], [2], [0, 0], [], [3]):
        yield ([x, x], axes), {}
    for axes in ([0, 1], [1, 0], [2, 1], [0, 2], [0], [1, 1]):
        yield ([[x, x, x], [x, x, x]], axes), {}


class _Reads:
    """Holds data, but is no array; gives lists, or arrays."""

    def __init__(self, array: Any, give: Any = np.asarray) -> None:
        self._array = array
        self._give = give

    def __getitem__(self, index: Any) -> Any:
        return self._give(self._array[index])


@cases("dask.array.core:getter", "dask.array.core:getter_nofancy", "dask.array.core:getter_inline")
def reads(rng: Rng, _: Any) -> Iterator[Call]:
    indices: tuple[Any, ...] = (
        0, slice(0, 2), (slice(None), 0), (None, slice(None)), (0, None), (slice(1), None, None), None, ..., 99,
    )  # fmt: skip
    for array in anything(rng):
        for index in indices:
            for asarray in (True, False, None):
                yield (array, index), {"asarray": asarray}
    array = block(rng, "f8", (3, 4))
    for source in (
        _Reads(array),
        _Reads(array, np.ndarray.tolist),
        _Reads(array, np.asmatrix),
        array.tolist(),
    ):
        for index in (0, slice(0, 2)):
            yield (source, index), {}
            yield (source, index), {"lock": threading.Lock(), "asarray": False}
            yield (source, index), {"lock": False}


@cases("dask.array.core:load_store_chunk")
def stores(rng: Rng, _: Any) -> Iterator[Call]:
    regions: tuple[Any, ...] = (None, (), (slice(0, 2), slice(1, 3)), (slice(1, 3), slice(0, 2)))
    for x in (
        block(rng, "f8", (2, 2)),
        masked(rng, "f8", (2, 2)),
        [[1, 2], [3, 4]],
        None,
        np.empty((0, 2)),
        np.float32(3),
    ):
        for region, returned, loaded in itertools.product(regions, (True, False), (True, False)):
            out = np.zeros((4, 4))
            yield (x, out, (slice(0, 2), slice(0, 2)), region, False, returned, loaded), {}
            yield (x, out, None, region, threading.Lock(), returned, loaded), {}


@cases("dask.array.core:load_chunk")
def loads(rng: Rng, _: Any) -> Iterator[Call]:
    yield (block(rng, "f8", (4, 4)), (slice(0, 2), slice(1, 2)), False, None), {}
    yield (
        (block(rng, "f8", (4, 4)), (slice(0, 2), slice(1, 2)), threading.Lock(), (slice(1, 4), slice(1, 4))),
        {},
    )


@cases("dask.array.core:dotmany")
def products(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype in ("f8", "f4", "i8", "c16", "O"):
        left = [block(rng, dtype, (3, 3)) for _ in range(4)]
        right = [block(rng, dtype, (3, 3)) for _ in range(4)]
        yield (left, right), {}
        yield (left, right), {"leftfunc": np.transpose}
        yield (left, right), {"rightfunc": np.conj, "leftfunc": np.transpose}
    yield ([], []), {}


@cases("dask.array.einsumfuncs:chunk_einsum")
def einsums(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype in ("f8", "i4", "c16"):
        a, b = block(rng, dtype, (2, 3)), block(rng, dtype, (3, 4))
        for subscripts, operands, summed in (
            ("ab,bc->ac", (a, b), 1),
            ("ab->a", (a,), 1),
            ("ab,bc->", (a, b), 3),
        ):
            yield operands, {"subscripts": subscripts, "ncontract_inds": summed, "kernel_dtype": None}
            yield (
                operands,
                {"subscripts": subscripts, "ncontract_inds": 0, "kernel_dtype": "c16", "order": "F"},
            )
    m = masked(rng, "f8", (2, 3))
    yield (m, m), {"subscripts": "ab,ab->a", "ncontract_inds": 1, "kernel_dtype": "f8"}


@cases("dask.array._shuffle:_getitem")
def shuffled(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        yield (array, ("taker", [0, 0])), {}
        yield (array, ("taker", (slice(0, 1),))), {}


@cases("dask.array._shuffle:concatenate_arrays")
def sorters(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype, make in itertools.product(("f8", "i4", "O"), (block, masked)):
        for axis in (0, 1):
            arrays = [make(rng, dtype, (3, 3)) for _ in range(2)]
            yield (arrays, ("sorter", rng.permutation(6)), axis), {}


@cases("dask.array.core:_pass_extra_kwargs")
def extra(rng: Rng, _: Any) -> Iterator[Call]:
    yield (dict, ["a", "b"], 1, 2), {"c": 3}
    yield (np.add, [], rng.normal(size=3), 2), {}
    yield (np.add, ["dtype"], "f4", 1, 2), {}


@cases("dask.array.core:apply_and_enforce")
def enforced(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        for ndim in (0, 1, 2):
            yield (
                (array,),
                {"_func": np.negative if array.dtype != bool else np.invert, "expected_ndim": ndim},
            )
    yield (3,), {"_func": str, "expected_ndim": 0}


@cases("dask.array.core:_enforce_dtype")
def enforced_dtypes(rng: Rng, _: Any) -> Iterator[Call]:
    function: Any
    for array in anything(rng):
        for dtype in ("f8", "f4", "i8", "c16", "O", "U3"):
            for function in (
                np.copy,
                partial(np.copy, order="F"),
                np.vectorize(lambda x: x, otypes="f"),
                np.sum,
            ):
                yield (array,), {"enforce_dtype": np.dtype(dtype), "enforce_dtype_function": function}
    yield ([1, 2],), {"enforce_dtype": np.dtype("f4"), "enforce_dtype_function": lambda x: x}
    yield (np.float64(2.5),), {"enforce_dtype": np.dtype("i4"), "enforce_dtype_function": lambda x: x}


@cases("dask.array.core:_numpy_vindex")
def vindices(rng: Rng, _: Any) -> Iterator[Call]:
    yield ((np.array([0, 1]), np.array([1, 1])), block(rng, "f8", (2, 3))), {}


@cases("dask.array.core:_vindex_slice_and_transpose")
def vslices(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, [(3, 4), (2, 3, 4)]):
        yield (array, (slice(None), [0, 1]), 1), {}
        yield (array, [(1, 0), slice(None)], 0), {}


@cases("dask.array.core:_vindex_merge")
def vmerges(rng: Rng, _: Any) -> Iterator[Call]:
    for make in (block, masked):
        yield (([0], [2, 1]), [make(rng, "f8", (1, 3)), make(rng, "f8", (2, 3))]), {}
        yield ([[1, 0]], (make(rng, "i4", (2,)),)), {}


@cases("dask.array.slicing:setitem")
def items(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        for value in (np.array(7), np.array([]), block(rng, "f8", (2,)), masked(rng, "f8", ()), np.ma.masked):
            for index in (slice(0, 2), np.array([0, 9, 1]), np.array([True, False, True]), 0, ...):
                yield (array, value, [index]), {}
                yield (array, value, [slice(None), index]), {}
    yield (np.float64(3), np.array(1.0), [...]), {}


@cases("dask.array.slicing:getitem_variadic")
def variadic(rng: Rng, _: Any) -> Iterator[Call]:
    yield (block(rng, "f8", (3, 4)), slice(1), [0, 2]), {}


@cases("dask.array.reshape:_reshape_blockwise")
def reshapes(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (array, (-1, 1)), {}
        yield (array, (7, 7)), {}


@cases("dask.array.overlap:_trim")
def overlaps(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, [(9,), (8, 9), (6, 7, 5)]):
        for _number in range(8):
            axes = {
                axis: int(rng.integers(3)) if rng.integers(2) else tuple(rng.integers(0, 3, size=2).tolist())
                for axis in axes_of(rng, array.ndim)
            }
            boundary = {
                axis: str(rng.choice(["none", "reflect", "nearest"])) for axis in axes_of(rng, array.ndim)
            }
            counts = tuple(int(count) for count in rng.integers(1, 4, size=array.ndim))
            place = tuple(int(rng.integers(count)) for count in counts)
            yield (array, axes, boundary, (place, counts)), {}
            yield (array, axes, boundary), {"_overlap_trim_info": [place, counts, None]}


@cases("dask.array.routines:_tensordot")
def tensordots(rng: Rng, _: Any) -> Iterator[Call]:
    ways = (((0,), (0,)), ((1,), (0,)), ((0, 1), (1, 0)), ((-1,), (0,)), ((), ()), ((1,), (1,)), (1, 0))
    for dtype, axes, is_sparse in itertools.product(("f8", "f4", "i8", "c16", "O"), ways, (True, False)):
        a, b = block(rng, dtype, (3, 4)), block(rng, dtype, (4, 3))
        yield (a, b, axes, is_sparse), {}
        yield (masked(rng, "f8", (3, 4)), b, axes, is_sparse), {}
        yield (a, masked(rng, "f8", (4, 3)), axes, is_sparse), {}
        yield (masked(rng, "i8", (2, 3, 4)), masked(rng, "i8", (4, 3)), axes, is_sparse), {}
    yield ([1], [2], ((0,), (0,)), False), {}


@cases("dask.array.routines:_matmul")
def matmuls(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype in NUMBERS:
        yield (block(rng, dtype, (3, 4)), block(rng, dtype, (4, 2))), {}
        yield (block(rng, dtype, (2, 3, 4)), block(rng, dtype, (4, 2))), {}
        yield (block(rng, dtype, (3, 4)), block(rng, dtype, (3, 2))), {}
    yield (masked(rng, "f8", (3, 4)), masked(rng, "f8", (4, 2))), {}


@cases("dask.array.routines:_chunk_sum")
def chunk_sums(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, [(1, 3), (2, 1, 3), (2, 3)]):
        for keepdims, axis in itertools.product((True, False, None), ((0,), (1,), (-2,))):
            yield ([array, array, array],), {"axis": axis, "keepdims": keepdims, "dtype": "f8"}
            yield (array,), {"axis": axis, "keepdims": keepdims}


@cases("dask.array.routines:_inner_apply_along_axis")
def lines(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, SHAPES[1:]):
        yield (array, np.sort, -1, (), {}), {}
        yield (array, np.percentile, 0, (50,), {"method": "lower"}), {}


@cases("dask.array.routines:_gradient_kernel")
def gradients(rng: Rng, _: Any) -> Iterator[Call]:
    array = block(rng, "f8", (4, 5))
    yield (array, (1, 2), 2.0, 1, None, {"edge_order": 1}), {}
    yield (array, (0, 1), np.arange(20.0) ** 2, 1, [(0, 3), (5, 8)], {"edge_order": 2}), {}


@cases("dask.array.routines:_bincount_agg")
def bincounts(rng: Rng, _: Any) -> Iterator[Call]:
    parts = [rng.integers(0, 9, size=length) for length in (3, 0, 5)]
    yield (parts, "i8"), {"axis": (0,), "keepdims": True}
    yield ([part.astype("f8") for part in parts], "f8"), {}
    yield (parts[0], "i8"), {}


@cases("dask.array.routines:_searchsorted_block")
def searches(rng: Rng, _: Any) -> Iterator[Call]:
    for side in ("left", "right"):
        yield (np.sort(block(rng, "f8", (7,))), block(rng, "f8", (3, 2)), side), {}
        yield (np.arange(3), 1, side), {}


@cases("dask.array.routines:_linspace")
def edges(_rng: Rng, _: Any) -> Iterator[Call]:
    yield ((5, (0, 1.5)),), {}
    yield ((5, np.array([1, 9])),), {}


@cases("dask.array.routines:_block_hist")
def histograms(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (array, (5, (-3, 9))), {}
        yield (array, (np.array([0.0, 1, 5]), None)), {"weights": block(rng, "f8", array.shape)}


@cases("dask.array.routines:_block_histogramdd_rect")
def rectangles(rng: Rng, _: Any) -> Iterator[Call]:
    yield (rng.normal(size=(20, 2)), (3, 4), ((-1, 1), (-1, 1)), None), {}
    yield (rng.normal(size=(20, 2)), [np.arange(3.0), np.arange(4.0)], None, rng.random(20)), {}


@cases("dask.array.routines:_block_histogramdd_multiarg")
def several(rng: Rng, _: Any) -> Iterator[Call]:
    x, y = rng.normal(size=20), rng.normal(size=20)
    yield (x, y, (3, 4), ((-1, 1), (-1, 1)), None), {}
    yield (x, y, (np.arange(3.0), np.arange(4.0)), None, rng.random(20)), {}


@cases("dask.array.routines:_unique_internal")
def uniques(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype in ("i8", "f8", "U3", "M8[s]", "?"):
        array = block(rng, dtype, (12,))
        for indices, counts, inverse in itertools.product(
            (None, np.arange(12)), (None, np.ones(12, int)), (True, False)
        ):
            yield (array, indices, counts, inverse), {}
    yield (np.empty(0), None, None), {}


@cases("dask.array.routines:_isin_kernel")
def members(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (array, np.array([1, 2])), {}
        yield (array, np.array([[1], [2]])), {"assume_unique": True}


@cases("dask.array.routines:variadic_choose")
def choices(rng: Rng, _: Any) -> Iterator[Call]:
    yield (rng.integers(0, 2, size=5), np.arange(5), np.arange(5) * 10), {}
    yield (np.array([5]), np.arange(5)), {}


@cases("dask.array.routines:_isnonzero")
def nonzeros(rng: Rng, _: Any) -> Iterator[Call]:
    for array in (*anything(rng), np.array(["", " ", "a"]), np.array([None, "x", 0], dtype=object)):
        yield (array,), {}


@cases("dask.array.routines:_unravel_index_kernel")
def unraveled(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (np.array([0, 5, 7]), {"shape": (2, 4), "order": "F"}), {}
    yield (np.array([99]), {"shape": (2, 4), "order": "C"}), {}


@cases("dask.array.routines:_int_piecewise")
def pieces(rng: Rng, _: Any) -> Iterator[Call]:
    x = rng.normal(size=6)
    yield (x, x < 0, x >= 0), {"funclist": [np.negative, 1], "func_args": (), "func_kw": {}}


@cases("dask.array.routines:_select")
def selections(rng: Rng, _: Any) -> Iterator[Call]:
    x = rng.normal(size=6)
    yield (x < 0, x > 1, x, x**2), {"default": 9}
    yield (), {}


@cases("dask.array.fft:_fftfreq_block")
def frequencies(_rng: Rng, _: Any) -> Iterator[Call]:
    for count in (7, 8):
        yield (np.arange(count, dtype="f8"), count, 0.5), {}
        yield (np.arange(count), count, 0.5), {}


@cases("dask.array.creation:linear_ramp_chunk")
def ramps(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype, dim, step in itertools.product(("f8", "i4"), (0, 1), (1, -1)):
        shape = (1, 3) if dim == 0 else (3, 1)
        yield (block(rng, dtype, shape), 7, 4, dim, step), {}


def _pad(line: Any, width: Any, axis: Any, kwargs: Any) -> Any:
    line[: width[0]] = kwargs.get("padder", 10) + axis
    return line


@cases("dask.array.creation:wrapped_pad_func")
def pads(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng, [(5,), (3, 4), (2, 3, 4)], ("f8", "i8")):
        yield (array, _pad, (1, 1), array.ndim - 1, {"padder": 2}), {}


@cases("dask.array.wrap:_broadcast_trick_inner")
def uniform(rng: Rng, _: Any) -> Iterator[Call]:
    metas: tuple[Any, ...] = ((), np.empty((0, 0)), np.ma.MaskedArray([1]), np.empty(0, "f4"))
    shapes: tuple[Any, ...] = ((), 3, (2, 3), (0, 2), [2], (-1,))
    for meta, shape in itertools.product(metas, shapes):
        dtype = str(rng.choice(["f8", "i4", "c16", "O", "U3"]))
        for function in (np.ones_like, np.zeros_like):
            yield (function, shape), {"meta": meta, "dtype": dtype}
            yield (function, shape, meta, dtype, "F"), {}
        yield (np.full_like, shape), {"meta": meta, "dtype": dtype, "fill_value": rng.normal()}
        yield (np.full_like, shape), {"dtype": dtype}


@cases("dask.array.ma:_masked_array")
def masks(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (
            (array,),
            {"mask": rng.random(array.shape) < 0.5, "masked_dtype": "f4", "fill_value": 3, "chunks": 5},
        )
        yield (array,), {}


@cases("dask.array.ma:_set_fill_value")
def fills(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (array, 5), {}


@cases("dask.array.ma:_chunk_count")
def mask_counts(rng: Rng, _: Any) -> Iterator[Call]:
    for array in numbers(rng):
        yield (array,), {"axis": axes_of(rng, array.ndim), "keepdims": True}


@cases("dask.array.linalg:_wrapped_qr")
def factors(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype, shape in itertools.product(("f8", "f4", "c16"), ((5, 3), (0, 3), (3, 5), (3,))):
        yield (block(rng, dtype, shape),), {}


@cases("dask.array.utils:svd_flip")
def signs(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype, by_u in itertools.product(("f8", "f4", "c16"), (True, False)):
        yield (rng.normal(size=(5, 3)).astype(dtype), rng.normal(size=(3, 4)).astype(dtype), by_u), {}


@cases("dask.array.linalg:_cumsum_part")
def cumulated(_rng: Rng, _: Any) -> Iterator[Call]:
    yield ((1, 5), 7), {}


@cases("dask.array.linalg:_nanmin")
def smaller(_rng: Rng, _: Any) -> Iterator[Call]:
    for pair in itertools.product((1, 2.5, np.nan, np.float32(2)), repeat=2):
        yield pair, {}


@cases("dask.array.linalg:_conj_transpose", "dask.array.linalg:_reverse")
def turned(rng: Rng, _: Any) -> Iterator[Call]:
    for array in anything(rng):
        yield (array,), {}


@cases("dask.array.linalg:_cholesky_lower")
def cholesky(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype in ("f8", "c16"):
        a = rng.normal(size=(4, 4)).astype(dtype)
        yield (a @ a.conj().T + np.eye(4),), {}
        yield (-np.eye(3),), {}


@cases("dask.array.utils:solve_triangular_safe")
def triangular(rng: Rng, _: Any) -> Iterator[Call]:
    for dtype, lower in itertools.product(("f8", "f4", "c16"), (True, False)):
        a = np.tri(4).astype(dtype) + np.eye(4, dtype=dtype)
        yield (a if lower else a.T, block(rng, dtype, (4, 2))), {"lower": lower}
    yield (np.zeros((2, 2)), np.ones(2)), {}


@cases("dask.array.linalg:_solve_triangular_lower")
def lower_triangular(rng: Rng, _: Any) -> Iterator[Call]:
    yield (np.tri(4), rng.normal(size=(4, 2))), {}
    yield (np.tri(4), rng.normal(size=(3, 2))), {}


@cases("dask.array.random:_apply_random_func")
def draws(_rng: Rng, _: Any) -> Iterator[Call]:
    for bits in (np.random.PCG64, np.random.MT19937, np.random.Philox):
        for name, arguments in (("normal", (1, 2)), ("integers", (5,)), ("random", ()), ("poisson", (3,))):
            yield (bits, name, np.random.SeedSequence(3), (2, 3), arguments, {}), {}
            yield (bits, name, bits(5), (4,), arguments, {}), {}
    yield (np.random.PCG64, "random", np.random.PCG64(1), (3,), (), {"dtype": "f4"}), {}


@cases("dask.array.random:_apply_random")
def old_draws(_rng: Rng, _: Any) -> Iterator[Call]:
    for state in (None, np.random.RandomState):
        yield (state, "normal", np.arange(624, dtype="u4"), (2, 3), (1, 2), {}), {}
        yield (state, "randint", 5, (4,), (), {"low": 2, "high": 9}), {}


@cases("dask.array.random:_choice_rng")
def chosen(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (np.random.PCG64(3), 10, (3, 2), True, None, 0, True), {}
    yield (np.random.PCG64(3), np.arange(5), 3, False, np.ones(5) / 5, 0, False), {}


@cases("dask.array.random:_choice_rs")
def old_chosen(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (np.arange(624, dtype="u4"), 10, (3, 2), True, None), {}
    yield (5, np.arange(5), 3, False, np.ones(5) / 5), {}


class _Sized:
    def __init__(self, **facts: Any) -> None:
        self.__dict__.update(facts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Sized) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return 1


class _Fails:
    def __len__(self) -> int:
        raise TypeError


def partitions() -> Iterator[Any]:
    yield from ([], [1, 2], (), (3,), {}, {"a": 1}, "", "ab", np.arange(3), np.empty(0), np.empty((2, 0)))
    yield from (_Sized(nnz=0), _Sized(nnz=1), _Sized(shape=(0, 3)), _Sized(shape=(1, 3)), _Fails(), 5)
    for members in ([], [1], [[1, 2], [3]], [iter([1, 2]), iter([3])], ["ab", "c"], [None, 0]):
        yield members
        yield iter(members)


@cases("dask.bag.core:reify")
def reified(_rng: Rng, _: Any) -> Iterator[Call]:
    for part in partitions():
        yield (part,), {}


def _fails_at_two(value: Any, *_: Any, **__: Any) -> Any:
    if value == 2:
        raise LookupError(value)
    return value


def _stops_at_two(value: Any) -> Any:
    if value == 2:
        raise StopIteration
    return value


@cases("dask.bag.core:map_chunk")
def mapped(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (operator.neg, [[1, 2, 3]]), {}
    yield (operator.add, [[1, 2], iter([3, 4])]), {}
    yield (operator.add, [[1, 2], [3]]), {}
    yield (operator.add, [[1], [2, 3]]), {}
    yield (operator.add, [[1, 2], itertools.repeat(5)]), {}
    yield (dict, [[[("a", 1)]], [5]], ["b"], {"c": 6}), {}
    yield (dict, [[5], [6]], ("x", "y")), {}
    yield (_fails_at_two, [[1, 2, 3]]), {}
    yield (_stops_at_two, [[1, 2, 3]]), {}
    yield (operator.neg, [5]), {}
    yield (operator.neg, []), {}


@cases("dask.bag.core:starmap_chunk")
def starmapped(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (operator.add, [(1, 2), (3, 4)], {}), {}
    yield (dict, [([("a", 1)],)], {"c": 6}), {}
    yield (operator.add, [(1,)], None), {}


def _listed(part: Any) -> Any:
    return list(part)


@cases("dask.bag.core:empty_safe_apply")
def applied(_rng: Rng, _: Any) -> Iterator[Call]:
    for last in (True, False):
        for part in partitions():
            yield (_listed, part, last), {}


@cases("dask.bag.core:empty_safe_aggregate")
def aggregated(_rng: Rng, dask: Any) -> Iterator[Call]:
    nothing = dask.empty_safe_apply(list, [], False)
    for last, parts in itertools.product((True, False), ([], [1], [nothing], [nothing, 2, nothing, 3])):
        yield (_listed, parts, last), {}


@cases("dask.bag.core:dictitems")
def dict_items(_rng: Rng, _: Any) -> Iterator[Call]:
    yield ({"a": 1, 2: "b"},), {}


@cases("dask.bag.core:merge_frequencies")
def frequency_dicts(_rng: Rng, _: Any) -> Iterator[Call]:
    for seqs in ([], [{"a": 1}], [{"a": 1}, {"a": 2, "b": 3}], [Counter("ab"), {"a": 1}, {"c": 1.5}]):
        yield (seqs,), {}
        yield (iter(seqs),), {}


@cases("dask.bag.core:make_group")
def groups(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (32, 2), {}


@cases("dask.bag.core:safe_take")
def taken(_rng: Rng, _: Any) -> Iterator[Call]:
    for count, warn in itertools.product((0, 2, 9), (True, False)):
        yield (count, [1, 2, 3], warn), {}
        yield (count, iter([1, 2, 3])), {"warn": warn}


@cases("dask.bag.chunk:foldby_combine2")
def folded(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (operator.add, 3, ("key", 4)), {}


@cases("dask.bag.chunk:groupby_tasks_group_hash")
def hashed(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (17, operator.neg, abs), {}


@cases("dask.bag.chunk:var_chunk")
def variances(rng: Rng, _: Any) -> Iterator[Call]:
    yield (rng.normal(size=9).tolist(),), {}
    yield (iter([1, 2, 3]),), {}
    yield ([],), {}


@cases("dask.bag.chunk:var_aggregate")
def variance_parts(_rng: Rng, _: Any) -> Iterator[Call]:
    yield ([(1.5, 2.5, 3), (4, 5, 6)], 1), {}
    yield ([(1.5, 2.5, 1)], 1), {}


@cases("dask.utils:apply")
def calls(_rng: Rng, _: Any) -> Iterator[Call]:
    yield (dict, [[("a", 1)]], {"b": 2}), {}
    yield (operator.add, (1, 2)), {}
    yield (operator.add, (1, 2), {}), {}
