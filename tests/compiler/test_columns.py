"""What tasks share is one run constant only where it is the same: in type, in sign, in order, in layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.compiler.columns import same
from graphlambda.testing.inline import run_inline


class Broken(Exception):
    pass


class Unreducible:
    def __reduce__(self) -> Any:
        raise Broken


class Holder:
    def __init__(self, value: Any) -> None:
        self.value = value


def array(order: Any) -> Any:
    return np.array([[1, 2], [3, 4]], order=order)


EQUAL_ONLY = {
    "zeros": (0.0, -0.0),
    "zeros of complex numbers": (complex(0, 0.0), complex(0, -0.0)),
    "zeros in tuples": ((0.0,), (-0.0,)),
    "zeros in lists": ([[0.0]], [[-0.0]]),
    "zeros in dicts": ({"k": 0.0}, {"k": -0.0}),
    "zeros in slices": (slice(0.0), slice(-0.0)),
    "zeros in objects": (Holder(0.0), Holder(-0.0)),
    "zeros of NumPy": (np.float64(0.0), np.float64(-0.0)),
    "zeros in arrays": (np.array([0.0]), np.array([-0.0])),
    "an integer and a truth": (1, True),
    "keys 1 and True": ({1: 2}, {True: 2}),
    "keys 1 and 1.0": ({1: 2}, {1.0: 2}),
    "keys 0.0 and -0.0": ({0.0: 2}, {-0.0: 2}),
    "keys in tuples": ({(1,): 2}, {(True,): 2}),
    "keys in another order": ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    "more keys": ({"a": 1}, {"a": 1, "b": 2}),
    "arrays in C and F order": (array("C"), array("F")),
}

SAME = {
    "zeros": (0.0, float("0")),
    "not a number": (float("nan"), float("nan")),
    "complex numbers": (complex(0, -0.0), complex(0, -0.0)),
    "dicts": ({(1, "a"): [0.0]}, {(1, "a"): [0.0]}),
    "arrays": (array("F"), array("F")),
    "objects": (Holder((1, 2)), Holder((1, 2))),
    "timestamps": (pd.Timestamp("2020-01-01"), pd.Timestamp("2020-01-01")),
}


@pytest.mark.parametrize(("one", "other"), EQUAL_ONLY.values(), ids=EQUAL_ONLY)
def test_what_is_only_equal_is_not_the_same(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert not same(other, one)


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_nobody_can_tell_apart_is_the_same(one: Any, other: Any) -> None:
    assert same(one, other)


def test_what_does_not_reduce_is_not_known_to_be_the_same() -> None:
    assert not same(Unreducible(), Unreducible())


@pytest.mark.parametrize("values", [(0.0, -0.0), ({1: 2}, {True: 2}), ((0.0,), (-0.0,))])
def test_each_task_gets_its_own_of_equal_arguments_and_cells(values: tuple[Any, ...]) -> None:
    def closure(value: Any) -> Any:
        return lambda: repr(value)

    show = delayed(lambda value: repr(value))  # noqa: PLW0108  (a function of the session)
    made = [[show(value) for value in values], [delayed(closure(value))() for value in values]]
    expected = [repr(value) for value in values]
    assert run_inline(compile_collections(made)) == ([expected, expected],)
