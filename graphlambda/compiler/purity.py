"""Which operations may run twice, whoever sees: those made wholly of functions that were reviewed.

In: an operation. Out: whether it is pure: it gives the same for the same inputs and leaves no trace but its value. Must
not import what it names, nor guess: what is not listed here is not pure.

Judged by the operation's own source (see `emit`): straight-line calls of imported names and builtins. One that calls what
it was given (itself, or by what it calls: `sorted(…, key=p1)`), ships code by value or uses a value's attribute is not pure,
nor one whose inputs may be of the user's own classes: `p0 + p1` is a call of theirs.
"""

from __future__ import annotations

import ast
import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import takewhile
from typing import TYPE_CHECKING

from graphlambda.compiler.kernels import PACKAGE, RELEASES, is_kernel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.compiler.kernels import Reference
    from graphlambda.compiler.program import Operation

_KERNELS_NOT = frozenset({"_int_piecewise", "load_chunk", "load_store_chunk"})
"""Kernels that are not pure: they write, read what was written, or call what lies in a container."""

_CALLED = {
    "_functools": {"reduce": "function"},
    "builtins": {"filter": "function", "map": "func", "max": "* key", "min": "* key", "sorted": "* key"},
    "dask.dataframe._pyarrow": {"_to_string_dtype": "_ dtype_check index_check"},
    "dask.dataframe.dask_expr._reductions": {"Aggregate._call_with_list_arg": "func"},
    "functools": {"partial": "func"},
    "toolz.itertoolz": {"groupby": "key", "reduceby": "key binop _ init", "topk": "_ _ key"},
    PACKAGE: {
        "_apply_random": "RandomState", "_apply_random_func": "rng", "_broadcast_trick_inner": "func",
        "_enforce_dtype": "* enforce_dtype_function", "_inner_apply_along_axis": "_ func1d",
        "_pass_extra_kwargs": "func", "_prefixscan_combine": "func binop", "_prefixscan_first": "func",
        "apply": "func", "apply_and_enforce": "* _func", "arg_agg": "argfunc", "arg_chunk": "func argfunc",
        "arg_combine": "argfunc", "coarsen": "reduction", "dotmany": "_ _ leftfunc rightfunc",
        "empty_safe_aggregate": "func", "empty_safe_apply": "func", "foldby_combine2": "combine",
        "groupby_tasks_group_hash": "_ hash grouper", "map_chunk": "f", "mean_chunk": "_ sum numel",
        "moment_agg": "_ _ _ _ sum", "moment_chunk": "_ _ sum numel", "moment_combine": "_ _ _ _ sum",
        "nanarg_agg": "argfunc", "starmap_chunk": "f", "wrapped_pad_func": "_ pad_func",
    },
}  # fmt: skip
"""By module: what calls what it is given, and which of its parameters it calls, in their order; a star: by keyword only.

It is pure where the source names reviewed functions for these parameters.
"""

_POSITIONALLY = frozenset(
    {"empty_safe_aggregate", "empty_safe_apply", "filter", "foldby_combine2", "map", "reduce"}
)
"""Those that call without keywords: what they call gets no `key`."""

_PARTIAL = ("functools", "partial")

_REVIEWED = {
    "_functools": "reduce",
    "_operator": (
        "abs add and_ concat contains eq floordiv ge getitem gt index inv invert is_ is_not le lshift lt matmul mod mul "
        "ne neg not_ or_ pos pow rshift sub truediv truth xor"
    ),
    "builtins": (
        "abs all any bool bytes complex dict divmod enumerate filter float frozenset int len list map max min pow range "
        "reversed round set slice sorted str sum tuple zip "
        "dict.get dict.items dict.keys dict.values str.capitalize str.casefold str.count str.endswith str.find str.join "
        "str.lower str.lstrip str.replace str.rsplit str.rstrip str.split str.splitlines str.startswith str.strip "
        "str.title str.upper"
    ),
    "dask.dataframe._pyarrow": (
        "_to_string_dtype is_object_string_dtype is_object_string_index is_pyarrow_string_dtype is_pyarrow_string_index"
    ),
    "dask.dataframe.core": "_concat",
    "dask.dataframe.dask_expr._reductions": (
        "Aggregate._call_with_list_arg All.aggregate All.chunk Any.aggregate Any.chunk Count.aggregate Count.chunk "
        "Max.aggregate Max.chunk Min.aggregate Min.chunk Prod.aggregate Prod.chunk Sum.aggregate Sum.chunk"
    ),
    "dask.dataframe.dask_expr._shuffle": "AssignPartitioningIndex.operation SimpleShuffle._shuffle_group",
    "dask.dataframe.methods": "mean_aggregate",
    "dask.dataframe.multi": "merge_chunk",
    "dask.dataframe.shuffle": "set_partitions_pre",
    "functools": "partial",
    "graphlambda_runtime.code": "own",
    "math": "acos asin atan atan2 ceil cos exp fabs floor fmod hypot isfinite isinf isnan log log10 log2 sin sqrt tan tanh",
    "numpy": (
        "abs absolute add all allclose amax amin any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax "
        "argmin argpartition argsort around asanyarray asarray ascontiguousarray atleast_1d atleast_2d atleast_3d "
        "bincount bitwise_and bitwise_or bitwise_xor block broadcast_arrays broadcast_to cbrt ceil choose clip compress "
        "concatenate conj conjugate copysign corrcoef cos cosh count_nonzero cov cross cumprod cumsum deg2rad degrees diag "
        "diagonal diff digitize divide divmod dot dstack einsum equal exp exp2 expand_dims expm1 eye fabs flip "
        "fliplr flipud float_power floor floor_divide fmax fmin fmod frexp full full_like gradient greater greater_equal "
        "heaviside histogram histogram2d histogramdd hstack hypot identity imag indices inner interp invert isclose "
        "isfinite isin isinf isnan isneginf isposinf isreal kron ldexp left_shift less less_equal linspace log log10 log1p "
        "log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul max maximum mean median meshgrid "
        "min minimum mod modf moveaxis multiply nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean "
        "nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar negative nextafter nonzero not_equal ones "
        "ones_like outer partition percentile positive power prod ptp quantile rad2deg radians ravel real reciprocal "
        "remainder repeat reshape right_shift rint roll rollaxis rot90 round searchsorted select shape sign signbit sin "
        "sinc sinh size sort spacing split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan "
        "tanh tensordot tile trace transpose trapezoid tri tril triu true_divide trunc union1d unique unravel_index var "
        "vdot vstack where zeros zeros_like "
        "bool_ complex128 complex64 dtype float16 float32 float64 int16 int32 int64 int8 uint16 uint32 uint64 uint8"
    ),
    "numpy.fft": "fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftn",
    "numpy.lib.stride_tricks": "sliding_window_view",
    "numpy.linalg": "cholesky cond det eig eigh eigvals eigvalsh inv lstsq norm pinv qr slogdet solve svd",
    "scipy.linalg._decomp_lu": "lu",
    "toolz.itertoolz": "concat count first frequencies groupby pluck reduceby second topk",
}
"""By module: functions and classes that were read and found pure for values of those that are listed in `_PLAIN_VALUES`.

Dask's were read in the releases for which there are kernels, and count in no other.
"""

_PLAIN_VALUES = frozenset(
    {
        "dask", "dateutil", "flox", "fsspec", "h5py", "numcodecs", "numpy", "pandas", "pyarrow", "pytz", "scipy", "sklearn",
        "toolz", "xarray", "zarr",
    }
)  # fmt: skip
"""Libraries whose values compute or read when they are added, indexed or compared. What a class of the user's does is unknown."""

_SEEDED = frozenset(
    {
        ("numpy.random._mt19937", "MT19937"),
        ("numpy.random._pcg64", "PCG64"),
        ("numpy.random._pcg64", "PCG64DXSM"),
        ("numpy.random._philox", "Philox"),
        ("numpy.random._sfc64", "SFC64"),
        ("numpy.random.mtrand", "RandomState"),
    }
)
"""What gives the same numbers for a seed, and others each time without: pure where a kernel seeds it."""

_SEEDING = frozenset({"_apply_random", "_apply_random_func"})
"""Kernels that seed what is their first argument."""

_PURE = frozenset((module, name) for module, names in _REVIEWED.items() for name in names.split())

_PLAIN = (
    ast.arg, ast.arguments, ast.Assign, ast.Attribute, ast.BinOp, ast.Call, ast.Compare, ast.Constant, ast.Delete,
    ast.Dict, ast.Expr, ast.FunctionDef, ast.ImportFrom, ast.List, ast.Module, ast.Name, ast.Return, ast.Set, ast.Starred, ast.Tuple,
    ast.UnaryOp, ast.alias, ast.cmpop, ast.expr_context, ast.keyword, ast.operator, ast.unaryop,
)  # fmt: skip


def is_pure(operation: Operation) -> bool:
    """Whether an operation may run twice, at the same time too, and nobody can tell."""
    if operation.code or not operation.source or not _has_plain_values(operation):
        return False
    return _is_pure_source(operation.source)


def _has_plain_values(operation: Operation) -> bool:
    """Whether inputs are of no class of the user's: these come with a local file, or by cloudpickle."""
    libraries = {module.partition(".")[0] for module in operation.value_imports}
    own_files = [file for file in operation.files if not file.path.startswith(f"{PACKAGE}/")]
    return not own_files and libraries <= _PLAIN_VALUES | sys.stdlib_module_names


@lru_cache(maxsize=4096)
def _is_pure_source(source: str) -> bool:
    tree = ast.parse(source)
    nodes = list(ast.walk(tree))
    if not all(isinstance(node, _PLAIN) for node in nodes):
        return False
    scope = _Scope(_own_names(tree), _meant(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    owners = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    named = [node for node in nodes if scope.names_more(node) and id(node) not in owners]
    seeded = {id(node) for call in calls for node in _seeded(call, scope)}
    return all(_is_reviewed(scope.reference(node)) or id(node) in seeded for node in named) and all(
        _calls_named(call, scope) and not _leaves_holes(call) for call in calls
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """What the names of a source mean."""

    own: frozenset[str]
    """Those that hold values: ports, and what was computed."""

    meant: Mapping[str, Reference]
    """What is imported, by its name here."""

    def reference(self, node: ast.AST) -> Reference | None:
        """Return what a name or an attribute refers to; None for a value, what belongs to one, and all else."""
        if isinstance(node, ast.Attribute):
            owner = self.reference(node.value)
            return owner and (owner[0], f"{owner[1]}.{node.attr}")
        if not isinstance(node, ast.Name) or node.id in self.own:
            return None
        return self.meant.get(node.id, ("builtins", node.id))

    def names_more(self, node: ast.AST) -> bool:
        """Whether a node refers to something else than a value that the operation has: its attributes included."""
        return isinstance(node, ast.Attribute) or (isinstance(node, ast.Name) and node.id not in self.own)

    def called(self, node: ast.expr) -> tuple[tuple[float, str], ...]:
        """Return the place and name of each parameter that a function calls; by keyword only, it has no place."""
        module, name = self.reference(node) or ("", "")
        spelled = _CALLED.get(PACKAGE if is_kernel(module) else module, {}).get(name, "").split()
        by_keyword = spelled[:1] == ["*"]
        places = ((math.inf if by_keyword else place, each) for place, each in enumerate(spelled))
        return tuple((place, each) for place, each in places if each not in ("_", "*"))


def _own_names(tree: ast.Module) -> frozenset[str]:
    nodes = [each for node in tree.body if isinstance(node, ast.FunctionDef) for each in ast.walk(node)]
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return frozenset(assigned | {node.arg for node in nodes if isinstance(node, ast.arg)})


def _meant(tree: ast.Module) -> dict[str, Reference]:
    """Return what the names above the function refer to: imports, and attributes of these."""
    found: dict[str, Reference] = {}
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):
            found.update({each.asname or each.name: (node.module or "", each.name) for each in node.names})
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            reference = _Scope(frozenset(), found).reference(node.value)
            found[node.targets[0].id] = reference or ("", "")
    return found


def _is_reviewed(reference: Reference | None) -> bool:
    module, name = reference or ("", "")
    if is_kernel(module):
        return name.isidentifier() and name not in _KERNELS_NOT and module != PACKAGE
    return reference in _PURE and (not module.startswith("dask.") or _is_reviewed_release())


@lru_cache(maxsize=1)
def _is_reviewed_release() -> bool:
    return version("dask") in RELEASES


def _seeded(call: ast.Call, scope: _Scope) -> list[ast.expr]:
    """Return what a call makes only with a seed."""
    module, name = scope.reference(call.func) or ("", "")
    seeds = is_kernel(module) and name in _SEEDING
    return [node for node in call.args[:1] if seeds and scope.reference(node) in _SEEDED]


def _calls_named(call: ast.Call, scope: _Scope) -> bool:
    """Whether a call, and what it makes its function call, is of functions that the source names."""
    if scope.reference(call.func) == _PARTIAL:
        return _binds_named(call, scope)
    handed = _handed(call, scope)
    return scope.reference(call.func) is not None and all(
        _is_named(node, scope, by=call.func) for node in handed
    )


def _leaves_holes(call: ast.Call) -> bool:
    """Whether a call may give memory as it was: NumPy's ufuncs do, where `where` is false and nothing is `out`."""
    keywords = {each.arg for each in call.keywords}
    return "where" in keywords and "out" not in keywords


def _binds_named(call: ast.Call, scope: _Scope) -> bool:
    """Whether a partial function calls what the source names: by keyword, its caller could give it another one."""
    function, bound = _in_place(call)[:1], _in_place(call)[1:]
    return any(map(scope.reference, function)) and all(
        place < len(bound) and _is_named(bound[int(place)], scope, by=function[0])
        for place, _ in scope.called(function[0])
    )


def _is_named(node: ast.expr, scope: _Scope, by: ast.expr) -> bool:
    """Whether the source names what is called here `by` a function: something that calls nothing that it may be given."""
    if isinstance(node, ast.Call):
        return scope.reference(node.func) == _PARTIAL
    called = scope.called(node)
    _, caller = scope.reference(by) or ("", "")
    without_keywords = caller in _POSITIONALLY and all(place == math.inf for place, _ in called)
    return scope.reference(node) is not None and (not called or without_keywords)


def _handed(call: ast.Call, scope: _Scope) -> list[ast.expr]:
    """Return what stands where a function calls what it is given; what is unpacked may stand anywhere."""
    in_place = _in_place(call)
    unpacked = [each for each in call.args if isinstance(each, ast.Starred)]
    unpacked_named = [each.value for each in call.keywords if each.arg is None]
    found: list[ast.expr] = []
    for place, name in scope.called(call.func):
        named = [each.value for each in call.keywords if each.arg == name]
        found += [in_place[int(place)]] if place < len(in_place) else named or [*unpacked, *unpacked_named]
    return found


def _in_place(call: ast.Call) -> list[ast.expr]:
    """Return the arguments whose places are known."""
    return list(takewhile(lambda each: not isinstance(each, ast.Starred), call.args))
