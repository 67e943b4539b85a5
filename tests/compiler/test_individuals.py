"""What is one object in a task is one object in the function, whatever roads it travels by."""

from __future__ import annotations

import dataclasses
import pickle
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from dask import delayed

from graphlambda.compiler import Program, compile_collections
from graphlambda.compiler.constants import dumps
from graphlambda.compiler.program import Constant, Literals, Table
from graphlambda.testing.inline import run_inline

MISSING = object()
TABLE = [MISSING]
TOTALS: dict[str, int] = {}
REGISTRY: dict[str, Any] = {}


def own_default(value: Any = MISSING) -> Any:
    return is_missing(value)


def is_missing(value: Any) -> bool:
    return value is MISSING


def is_first_of_table(value: Any) -> bool:
    return value is MISSING and TABLE[0] is value


def add(name: str) -> None:
    TOTALS[name] = TOTALS.get(name, 0) + 1


def added_twice() -> dict[str, int]:
    add("a")
    add("a")
    return TOTALS


def registered(function: Any) -> Any:
    REGISTRY[function.__name__] = function
    return function


@registered
def factorial(number: int) -> int:
    return 1 if number < 2 else number * int(REGISTRY["factorial"](number - 1))


@registered
def itself() -> bool:
    return REGISTRY["itself"] is itself


def helper() -> int:
    return 1


def is_helper(function: Any) -> bool:
    return function is helper


def hands_helper() -> bool:
    return is_helper(helper)


def even(number: int) -> bool:
    return True if number == 0 else odd(number - 1)


def odd(number: int) -> bool:
    return False if number == 0 else even(number - 1)


def parities() -> tuple[bool, ...]:
    return even(4), odd(4), even(5), odd(5)


def collecting(kept: list[int] = []) -> list[int]:  # noqa: B006  (what is tested)
    kept.append(len(kept))
    return kept


def collects_on_two_ways() -> tuple[list[int], list[int]]:
    return collecting(), collects_again()


def collects_again() -> list[int]:
    return collecting()


CASES = {
    "a default and a global": (own_default, ()),
    "an argument and a global": (is_missing, (MISSING,)),
    "an argument that is another": (is_missing, (1,)),
    "a member of a list, an argument and a global": (is_first_of_table, (MISSING,)),
    "a dict that one function changes and another reads": (added_twice, ()),
    "a function among its own globals' containers": (factorial, (5,)),
    "a function found by two ways": (itself, ()),
    "a function handed to another": (hands_helper, ()),
    "functions that call each other": (parities, ()),
    "a mutable default reached on two ways": (collects_on_two_ways, ()),
}


def pickled_apart(program: Program) -> Program:
    """Return a program as functions see it: run constants in one pickle, each task's literals in another."""
    return replace(program, tables=tuple(map(_pickled, program.tables)))


def _pickled(table: Table) -> Table:
    columns = list(table.columns)
    constants = {n: column.value for n, column in enumerate(columns) if isinstance(column, Constant)}
    for number, value in pickle.loads(dumps(constants)).items():
        columns[number] = Constant(value)
    for number, column in enumerate(columns):
        if isinstance(column, Literals):
            columns[number] = Literals([pickle.loads(dumps(value)) for value in column.values])
    return replace(table, columns=tuple(columns))


@pytest.mark.parametrize(("function", "arguments"), CASES.values(), ids=CASES)
def test_one_object_stays_one(function: Any, arguments: tuple[Any, ...]) -> None:
    program = pickled_apart(compile_collections(delayed(function)(*arguments)))
    (got,) = run_inline(program)
    for state in (TOTALS, collecting.__defaults__[0]):  # type: ignore[index]
        assert not state
    try:
        assert got == function(*arguments)
    finally:
        TOTALS.clear()
        collecting.__defaults__[0].clear()  # type: ignore[index]


def test_one_object_stays_one_where_other_tasks_have_another() -> None:
    program = compile_collections([delayed(is_first_of_table)(value) for value in (MISSING, 1, MISSING, [2])])
    assert run_inline(pickled_apart(program)) == ([True, False, True, False],)


def test_equal_objects_are_not_one() -> None:
    one, other = [1], [1]

    def same(first: Any = one, second: Any = other) -> tuple[bool, bool]:
        return first is second, first is one

    program = pickled_apart(compile_collections(delayed(same)()))
    assert run_inline(program) == ((False, True),)


def test_functions_alike_are_not_one() -> None:
    def made() -> Any:
        return lambda: 1

    one, other = made(), made()
    assert run_inline(compile_collections(delayed(lambda: one is other or len({one, other}))())) == (2,)


def test_what_a_function_reaches_twice_travels_once() -> None:
    large = list(range(100))

    def one() -> int:
        return len(large)

    def two() -> int:
        return one() + sum(large)

    (table,) = compile_collections(delayed(two)()).tables
    assert [column.value for column in table.columns if isinstance(column, Constant)] == [large]


def test_two_sentinels_are_two() -> None:
    one, other = object(), object()
    lazy = [
        delayed(lambda value, mine=mine: value is mine)(value) for mine, value in [(one, one), (other, one)]
    ]
    assert run_inline(pickled_apart(compile_collections(lazy))) == ([True, False],)


SCRIPT = """
import functools
from dask import delayed
from graphlambda.compiler import compile_collections
from graphlambda.testing.inline import run_inline
MISSING = object()
class Config:
    def get(self, key, default=MISSING): return "none" if default is MISSING else default
    def is_missing(self, value): return value is MISSING
@functools.cache
def cached(): return MISSING
def f(config, value): return (
    Config().get(1), Config().get(1, MISSING), config.is_missing(value), config.is_missing(cached()),
    cached() is MISSING, [MISSING][0] is value)
lazy = [delayed(f)(Config(), value) for value in (MISSING, 1)]
print(run_inline(compile_collections(*lazy)) == tuple(f(Config(), value) for value in (MISSING, 1)))
"""


def test_a_sentinel_is_one_in_classes_and_cached_functions_of_the_session() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=100, check=False
    )
    assert (ended.stdout, ended.stderr) == ("True\n", "")


def test_a_sentinel_of_a_module_goes_by_reference() -> None:
    program = compile_collections(delayed(lambda: dataclasses.MISSING)())
    assert run_inline(program) == (dataclasses.MISSING,)


def test_a_cached_function_makes_no_second_sentinel() -> None:
    @cache
    def given() -> Any:
        return MISSING

    given.__module__ = "__main__"
    assert run_inline(compile_collections(delayed(lambda: given() is MISSING)())) == (True,)


@pytest.mark.parametrize("name", ["function", "load", "fill", "partial", "v0", "p0", "shared0", "operation"])
def test_a_function_may_have_any_name(name: str) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    text = f"def {name}(x): return x + 1\ndef call(f, x): return {name}(f(x)) + f(1)\n"
    exec(text, names)
    assert run_inline(compile_collections(delayed(names["call"])(names[name], 3))) == (7,)
