"""Which functions of Dask's have a kernel of ours, which NumPy alone runs, and for which releases that is checked.

In: a release of Dask. Out: by (module, qualified name) of Dask's function, those of the kernel. Must not import Dask or
the kernels.

Reviewed by hand: a function stands here if `tests/kernels` finds its kernel equal to it over random inputs, to the bit.
A release that is not listed gets Dask's own functions, as does every function that is not. To add a release, run
`python -m tests.kernels RELEASE` and list it.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Reference: TypeAlias = tuple[str, str]
"""(module, qualified name)."""

PACKAGE = "graphlambda_kernels"
"""How operations name the kernels, which travel with them as files."""

_HERE = "graphlambda.kernels"
"""How this process would name them."""

RELEASES = ("2026.8.0",)
"""The releases of Dask that the kernels equal."""

_KERNELS = {
    ("dask.array._shuffle", "core"): "_getitem concatenate_arrays",
    ("dask.array.chunk", "chunk"): (
        "arange argtopk argtopk_aggregate argtopk_preprocess astype coarsen getitem linspace "
        "slice_with_int_dask_array slice_with_int_dask_array_aggregate topk topk_aggregate trim view"
    ),
    ("dask.array.chunk", "places"): "argmax argmin",
    ("dask.array.core", "core"): (
        "_as_dtype _enforce_dtype _numpy_vindex _pass_extra_kwargs _vindex_merge _vindex_slice_and_transpose "
        "apply_and_enforce dotmany getter getter_inline getter_nofancy load_chunk load_store_chunk"
    ),
    ("dask.array.core", "joining"): "_concatenate2 concatenate3 concatenate_axes concatenate_shaped",
    ("dask.array.creation", "routines"): "linear_ramp_chunk wrapped_pad_func",
    ("dask.array.einsumfuncs", "core"): "chunk_einsum",
    ("dask.array.fft", "routines"): "_fftfreq_block",
    ("dask.array.linalg", "linalg"): (
        "_cholesky_lower _conj_transpose _cumsum_part _nanmin _reverse _wrapped_qr"
    ),
    ("dask.array.linalg", "triangular"): "_solve_triangular_lower",
    ("dask.array.ma", "routines"): "_chunk_count _masked_array _set_fill_value",
    ("dask.array.overlap", "core"): "_fill_with_last_one _trim",
    ("dask.array.random", "random"): "_apply_random _apply_random_func _choice_rng _choice_rs",
    ("dask.array.reductions", "places"): ("_nanargmax _nanargmin arg_agg arg_chunk arg_combine nanarg_agg"),
    ("dask.array.reductions", "reductions"): (
        "_cumprod_merge _cumsum_merge _nanmax_skip _nanmin_skip _prefixscan_combine _prefixscan_first _sqrt "
        "chunk_max chunk_min divide mean_agg mean_chunk mean_combine moment_agg moment_chunk moment_combine "
        "nannumel numel"
    ),
    ("dask.array.reshape", "core"): "_reshape_blockwise",
    ("dask.array.routines", "routines"): (
        "_bincount_agg _block_hist _block_histogramdd_multiarg _block_histogramdd_rect _chunk_sum _gradient_kernel "
        "_inner_apply_along_axis _int_piecewise _isin_kernel _isnonzero _linspace _matmul _searchsorted_block _select "
        "_tensordot _unique_internal _unravel_index_kernel variadic_choose"
    ),
    ("dask.array.slicing", "core"): "getitem_variadic setitem",
    ("dask.array.utils", "linalg"): "svd_flip",
    ("dask.array.utils", "triangular"): "solve_triangular_safe",
    ("dask.array.wrap", "routines"): "_broadcast_trick_inner",
    ("dask.bag.chunk", "bags"): ("foldby_combine2 getitem groupby_tasks_group_hash var_aggregate var_chunk"),
    ("dask.bag.core", "bags"): (
        "dictitems empty_safe_aggregate empty_safe_apply make_group map_chunk merge_frequencies reify safe_take "
        "starmap_chunk"
    ),
    ("dask.utils", "bags"): "apply",
}
"""By Dask's module and ours: the functions, which have the same names in both."""

_FOR_OTHERS = frozenset({"dask", "cupy", "cupyx"})
"""What kernels import for other libraries' arrays: who has such brings the library, and misses Dask once."""

_WITHOUT_NUMPY = frozenset({f"{PACKAGE}.bags"})
"""Kernels that import nothing but the standard library."""


def kernels_for(release: str, backend: str = "numpy") -> Mapping[Reference, Reference]:
    """Return the kernels for a release of Dask whose arrays are made by `backend`."""
    if release not in RELEASES or backend != "numpy":
        return MappingProxyType({})
    return MappingProxyType(
        {
            (module, name): (f"{PACKAGE}.{ours}", name)
            for (module, ours), names in _KERNELS.items()
            for name in names.split()
        }
    )


def imports_of(module: str) -> tuple[str, ...]:
    """Return the modules that code imports where it imports one: the values that a kernel gives are NumPy's."""
    return (module, "numpy") if is_kernel(module) and module not in _WITHOUT_NUMPY else (module,)


def needed_by_all(modules: Iterable[str]) -> tuple[str, ...]:
    """Return those of a kernel's imports that every function with it needs."""
    return tuple(module for module in modules if module.partition(".")[0] not in _FOR_OTHERS)


def is_kernel(module: str) -> bool:
    """Tell whether a module is one of ours that travel."""
    return module.partition(".")[0] == PACKAGE


def file_of(module: str) -> Path:
    """Return where a module with kernels lies."""
    name = module.partition(".")[2] or "__init__"
    return Path(__file__).parent.parent / "kernels" / f"{name}.py"


def here(module: str) -> str:
    """Return how this process would name a module: a kernel's travels under another name."""
    return module.replace(PACKAGE, _HERE, 1) if is_kernel(module) else module


def there(module: str) -> str:
    """Return how a function names a module of this process."""
    return module.replace(_HERE, PACKAGE, 1) if f"{module}.".startswith(f"{_HERE}.") else module
