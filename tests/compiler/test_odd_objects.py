"""Functions without a module travel by value; what does not pickle is an UnshippableError, whatever it raises."""

from __future__ import annotations

import functools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.compiler.code import local_reference
from graphlambda.compiler.constants import dumps
from graphlambda.errors import UnshippableError
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from collections.abc import Callable


class ReduceError(Exception):
    """Of the user's own."""


class Unreducible:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __reduce__(self) -> Any:
        raise self.error


def without_module(function: Any) -> Any:
    function.__module__ = None
    return function


def test_a_function_without_a_module_travels_by_value() -> None:
    factor = 3
    function = without_module(lambda value: value * factor)
    assert local_reference(function) is None
    assert run_inline(compile_collections(delayed(function)(2))) == (6,)


def test_a_cached_function_without_a_module_travels_by_value() -> None:
    function = without_module(functools.lru_cache(without_module(lambda value: value + 1)))
    assert local_reference(function) is None
    assert run_inline(compile_collections(delayed(lambda value: function(value))(2))) == (3,)  # noqa: PLW0108


@pytest.mark.parametrize("draw", [random.random, np.random.rand])
def test_a_generator_that_is_a_modules_own_stays_there_and_any_other_is_copied(
    draw: Callable[[], float],
) -> None:
    def source_of(function: Callable[[], float]) -> str:
        (table,) = compile_collections(delayed(function)()).tables
        return table.operation.source

    assert f"import {draw.__name__}\n" in source_of(draw)
    assert "import" not in source_of(random.Random(1).random)


@pytest.mark.parametrize(
    "error",
    [ReduceError("no"), RuntimeError("no"), KeyError("no"), OSError("no"), TypeError("no")],
    ids=lambda error: type(error).__name__,
)
def test_whatever_a_reduce_raises_is_said_to_be_unshippable(error: Exception) -> None:
    with pytest.raises(UnshippableError, match="no") as caught:
        dumps([Unreducible(error)])
    assert caught.value.__cause__ is error


def test_an_argument_that_does_not_reduce_is_refused_when_it_is_compiled() -> None:
    values = [Unreducible(ReduceError(f"no {number}")) for number in range(2)]
    with pytest.raises(UnshippableError, match="Make it inside the task"):
        compile_collections([delayed(repr)(value) for value in values])
