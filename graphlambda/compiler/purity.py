"""Which operations may run twice, whoever sees: those made wholly of functions that were reviewed.

In: an operation. Out: whether it is pure: it gives the same for the same inputs and leaves no trace but its value. Must
not import what it names, nor guess: what is not listed here is not pure.

Judged by the operation's own source (see `emit`): straight-line calls of imported names and builtins. One that calls what
it was given, ships code by value or uses an attribute is not pure. So are not kernels that write, or call a function that
is not named in the source.
"""

from __future__ import annotations

import ast
import builtins
from functools import lru_cache
from typing import TYPE_CHECKING

from graphlambda.compiler.kernels import PACKAGE, is_kernel

if TYPE_CHECKING:
    from graphlambda.compiler.program import Operation

_KERNELS_NOT = frozenset(
    {
        "load_chunk", "load_store_chunk",  # write, or read what was written
        "_inner_apply_along_axis", "_int_piecewise", "apply_and_enforce", "dotmany", "groupby_tasks_group_hash",
        "wrapped_pad_func",  # call what they are given by name or in a container
    }
)  # fmt: skip
"""Kernels that are not pure, or whose functions cannot be told from the source."""

_CALLERS = frozenset(
    {
        "_pass_extra_kwargs", "_prefixscan_combine", "_prefixscan_first", "apply", "arg_agg", "arg_chunk", "arg_combine",
        "coarsen", "empty_safe_aggregate", "empty_safe_apply", "foldby_combine2", "map_chunk", "nanarg_agg",
        "starmap_chunk",
    }
)  # fmt: skip
"""Kernels that call their first argument: pure where the source names a pure one."""

_REVIEWED = {
    "_operator": (
        "abs add and_ concat contains eq floordiv ge getitem gt index inv invert is_ is_not le lshift lt matmul mod mul "
        "ne neg not_ or_ pos pow rshift sub truediv truth xor"
    ),
    "builtins": (
        "abs all any bool bytes complex dict divmod enumerate float frozenset int len list max min pow range reversed "
        "round set slice sorted str sum tuple zip"
    ),
    "graphlambda_runtime.code": "own",
    "math": "acos asin atan atan2 ceil cos exp fabs floor fmod hypot isfinite isinf isnan log log10 log2 sin sqrt tan tanh",
    "numpy": (
        "abs absolute add all allclose amax amin any arange arccos arccosh arcsin arcsinh arctan arctan2 arctanh argmax "
        "argmin argpartition argsort around asanyarray asarray ascontiguousarray atleast_1d atleast_2d atleast_3d "
        "bincount bitwise_and bitwise_or bitwise_xor block broadcast_arrays broadcast_to cbrt ceil choose clip compress "
        "concatenate conj conjugate copysign corrcoef cos cosh count_nonzero cov cross cumprod cumsum deg2rad degrees diag "
        "diagonal diff digitize divide divmod dot dstack einsum empty_like equal exp exp2 expand_dims expm1 eye fabs flip "
        "fliplr flipud float_power floor floor_divide fmax fmin fmod frexp full full_like gradient greater greater_equal "
        "heaviside histogram histogram2d histogramdd hstack hypot identity imag indices inner interp invert isclose "
        "isfinite isin isinf isnan isneginf isposinf isreal kron ldexp left_shift less less_equal linspace log log10 log1p "
        "log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul max maximum mean median meshgrid "
        "min minimum mod modf moveaxis multiply nan_to_num nanargmax nanargmin nancumprod nancumsum nanmax nanmean "
        "nanmedian nanmin nanpercentile nanprod nanquantile nanstd nansum nanvar negative nextafter nonzero not_equal ones "
        "ones_like outer pad partition percentile positive power prod ptp quantile rad2deg radians ravel real reciprocal "
        "remainder repeat reshape right_shift rint roll rollaxis rot90 round searchsorted select shape sign signbit sin "
        "sinc sinh size sort spacing split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan "
        "tanh tensordot tile trace transpose trapezoid tri tril triu true_divide trunc union1d unique unravel_index var "
        "vdot vstack where zeros zeros_like "
        "bool_ complex128 complex64 dtype float16 float32 float64 int16 int32 int64 int8 uint16 uint32 uint64 uint8"
    ),
    "numpy.fft": "fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 rfftn",
    "numpy.linalg": "cholesky cond det eig eigh eigvals eigvalsh inv lstsq norm pinv qr slogdet solve svd",
    "numpy.random._mt19937": "MT19937",
    "numpy.random._pcg64": "PCG64 PCG64DXSM",
    "numpy.random._philox": "Philox",
    "numpy.random._sfc64": "SFC64",
}
"""By module: functions and classes that were read and found pure for values of NumPy, pandas and Python itself."""

_PURE = frozenset((module, name) for module, names in _REVIEWED.items() for name in names.split())

_PLAIN = (
    ast.arg, ast.arguments, ast.Assign, ast.BinOp, ast.Call, ast.Compare, ast.Constant, ast.Dict, ast.Expr, ast.FunctionDef,
    ast.ImportFrom, ast.List, ast.Module, ast.Name, ast.Return, ast.Set, ast.Starred, ast.Tuple, ast.UnaryOp, ast.alias,
    ast.cmpop, ast.expr_context, ast.keyword, ast.operator, ast.unaryop,
)  # fmt: skip


def is_pure(operation: Operation) -> bool:
    """Whether an operation may run twice, at the same time too, and nobody can tell."""
    return not operation.code and bool(operation.source) and _is_pure_source(operation.source)


@lru_cache(maxsize=4096)
def _is_pure_source(source: str) -> bool:
    nodes = list(ast.walk(ast.parse(source)))
    if not all(isinstance(node, _PLAIN) for node in nodes):
        return False
    imported = {
        alias.asname or alias.name: (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    own = _own_names(nodes)
    named = {node.id for node in nodes if isinstance(node, ast.Name)} - own
    return all(_is_reviewed(name, imported) for name in named) and all(
        _calls_named(call, own, imported) for call in calls
    )


def _own_names(nodes: list[ast.AST]) -> set[str]:
    """Return the names that hold values: ports, and what was computed."""
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    return assigned | {node.arg for node in nodes if isinstance(node, ast.arg)}


def _is_reviewed(name: str, imported: dict[str, tuple[str, str]]) -> bool:
    module, original = imported.get(name, ("builtins", name) if hasattr(builtins, name) else ("", name))
    if is_kernel(module):
        return original not in _KERNELS_NOT and module != PACKAGE
    return (module, original) in _PURE


def _calls_named(call: ast.Call, own: set[str], imported: dict[str, tuple[str, str]]) -> bool:
    """Whether a call, and what it makes its function call, is of functions that the source names."""
    if not isinstance(call.func, ast.Name) or call.func.id in own:
        return False
    module, original = imported.get(call.func.id, ("builtins", call.func.id))
    if is_kernel(module) and original in _CALLERS:
        first = call.args[0] if call.args else None
        return isinstance(first, ast.Name) and first.id not in own
    return True
