"""When two values are the same: in type, in shape, in every element.

In: two values. Out: whether they are the same. Must not be lenient: `1` is not `1.0`, and nearly is not equal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable


def identical(one: Any, other: Any) -> bool:
    """Tell whether two values are the same; NaN is the same as NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(identical, one, other))
    if isinstance(one, dict):
        return identical(list(one), list(other)) and all(identical(one[key], other[key]) for key in one)
    if isinstance(one, np.ma.MaskedArray):
        return identical(np.ma.getmaskarray(one), np.ma.getmaskarray(other)) and identical(
            one.filled(), other.filled()
        )
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other, equal_nan=one.dtype.kind in "fcmM")
    same: Callable[[Any], bool] | None = getattr(one, "identical", None) or getattr(one, "equals", None)
    if callable(same):  # pandas, xarray
        return bool(same(other)) and identical(getattr(one, "name", None), getattr(other, "name", None))
    if isinstance(one, BaseException):
        return identical(one.args, other.args)
    return bool(one == other) or bool(one != one and other != other)  # noqa: PLR0124  (NaN)
