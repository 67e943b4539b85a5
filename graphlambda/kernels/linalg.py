"""Blocks of linear algebra. In: matrices. Out: matrices. Must not import SciPy: see `triangular`."""

from __future__ import annotations

from typing import Any

import numpy as np


def _wrapped_qr(a: Any) -> Any:
    """Factorise; a block without rows gives factors without any."""
    if a.shape[0] == 0:
        return np.zeros_like(a, shape=(0, 0)), np.zeros_like(a, shape=(0, a.shape[1]))
    return np.linalg.qr(a)


def svd_flip(u: Any, v: Any, u_based_decision: Any = False) -> Any:
    """Choose the signs of singular vectors: those of `v` (or `u`) point away from the negative half-space."""
    towards = np.sum(u, axis=0, keepdims=True) if u_based_decision else np.sum(v, axis=1, keepdims=True).T
    dtype = u.dtype if u_based_decision else v.dtype
    signs = 2.0 * ((towards >= 0) - 0.5).astype(dtype)
    return u * signs, v * signs.T


def _cumsum_part(last: Any, new: Any) -> Any:
    return last[1], last[1] + new


def _nanmin(m: Any, n: Any) -> Any:
    smaller = min([m, n])
    other = m if np.isnan(n) else n
    return other if np.isnan(smaller) else smaller


def _conj_transpose(a: Any) -> Any:
    return np.transpose(a).conj()


def _cholesky_lower(a: Any) -> Any:
    return np.linalg.cholesky(a)


def _reverse(x: Any) -> Any:
    return x[::-1]
