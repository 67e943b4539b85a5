"""State that one function by value writes and another uses is refused before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.errors import RefusedError
from graphlambda.testing.inline import run_inline


def counting() -> Any:
    count = 0

    def increase() -> None:
        nonlocal count
        count += 1

    def total() -> int:
        increase()
        return count

    return total


def counting_alone() -> Any:
    count = 0

    def increase() -> int:
        nonlocal count
        count += 1
        return count

    return increase


def test_a_cell_that_one_function_writes_and_another_reads_is_refused() -> None:
    with pytest.raises(RefusedError, match="increase writes the variable 'count'"):
        compile_collections(delayed(counting())())


def test_a_global_that_one_function_writes_and_another_reads_is_refused() -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("N = 0\ndef add():\n    global N\n    N += 1\ndef total():\n    add()\n    return N\n", names)
    with pytest.raises(RefusedError, match="add writes the variable 'N'"):
        compile_collections(delayed(names["total"])())


def test_a_function_may_write_what_it_alone_uses() -> None:
    assert run_inline(compile_collections(delayed(counting_alone())())) == (1,)


def test_variables_of_functions_inside_a_function_are_its_own() -> None:
    def outer(start: int) -> int:
        def step() -> None:
            nonlocal start
            start += 1

        step()
        return start

    assert run_inline(compile_collections(delayed(outer)(1), delayed(outer)(5))) == (2, 6)


def test_what_is_only_read_may_be_shared() -> None:
    factor = 3

    def one(value: int) -> int:
        return value * factor

    def two(value: int) -> int:
        return one(value) + factor

    assert run_inline(compile_collections(delayed(two)(1))) == (6,)
