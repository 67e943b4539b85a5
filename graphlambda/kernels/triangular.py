"""Triangular systems of equations. In: matrices. Out: solutions. Must not import SciPy before it is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def solve_triangular_safe(a: Any, b: Any, lower: Any = False) -> Any:
    """Solve a triangular system; one of CuPy's matrices with CuPy."""
    if "cupy" in str(type(a)):
        return import_module("cupyx.scipy.linalg").solve_triangular(a, b, lower=lower)
    import scipy.linalg  # noqa: PLC0415 - a statement, which the packager reads

    return scipy.linalg.solve_triangular(a, b, lower=lower)


def _solve_triangular_lower(a: Any, b: Any) -> Any:
    return solve_triangular_safe(a, b, lower=True)
