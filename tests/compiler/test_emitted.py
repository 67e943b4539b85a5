"""What an operation's module looks like: the whole text, as a person reads it in the console."""

from __future__ import annotations

import tracemalloc
from functools import partial
from operator import add, lt, mul, neg
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np
import pytest
from dask import delayed
from dask._task_spec import List, Task, TaskRef
from toolz import compose

from graphlambda.compiler import compile_collections, compile_graph
from graphlambda.testing.inline import load_operation
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BASE = 10


def scaled(value: int, by: int = 2) -> int:
    return value * by + BASE


def countdown(number: int) -> int:
    return 0 if number == 0 else countdown(number - 1)


def only_module(program: Any) -> str:
    (table,) = program.tables
    head, text = table.operation.source.split("\n", 1)
    assert head == f'"""Operation {table.operation.id[:12]}, as graphlambda compiled it."""'
    return str(text)


EXPECTED: dict[str, tuple[Callable[[], Any], str]] = {
    "an imported function": (
        lambda: compile_graph({"a": (add, 1, 2)}, "a"),
        """

def operation(p0, p1):
    v0 = p0 + p1
    return v0
""",
    ),
    "a fused chain": (
        lambda: compile_graph(
            {
                "a": Task.fuse(
                    Task("x", add, 1, 2),
                    Task("y", mul, TaskRef("x"), TaskRef("x")),
                    Task("z", max, List(TaskRef("y"), 5)),
                )
            },
            "a",
        ),
        """

def operation(p0, p1, p2):
    v0 = p0 + p1
    v1 = v0 * v0
    del v0
    v2 = max([v1, p2])
    return v2
""",
    ),
    "operators": (
        lambda: compile_graph({"a": (neg, (add, (mul, 1, 2), (lt, (abs, 3), 4)))}, "a"),
        """

def operation(p0, p1, p2, p3):
    v0 = -((p0 * p1) + (abs(p2) < p3))
    return v0
""",
    ),
    "an operand that needs a line of its own": (
        lambda: compile_graph({"a": (add, (mul, 1, 2), (mul, 5, (max, [3, (abs, 4)])))}, "a"),
        """

def operation(p0, p1, p2, p3, p4):
    v1 = (p0 * p1)
    v0 = abs(p4)
    v2 = v1 + (p2 * max([p3, v0]))
    return v2
""",
    ),
    "a function by value": (
        lambda: compile_collections(delayed(scaled)(3)),
        """
from graphlambda_runtime.code import function, load

scaled_code, = load(__file__, 'scaled_code')


def operation(p0, p1, p2):
    scaled = function(scaled_code, {'BASE': p1}, (p0, ))
    v0 = scaled(p2)
    return v0
""",
    ),
    "a recursive function": (
        lambda: compile_collections(delayed(countdown)(3)),
        """
from graphlambda_runtime.code import fill, function, load

countdown_code, = load(__file__, 'countdown_code')


def operation(p0):
    countdown = function(countdown_code, {})
    fill(countdown, {'countdown': countdown})
    v0 = countdown(p0)
    return v0
""",
    ),
    "partials and compositions": (
        lambda: compile_collections(delayed(compose(partial(add, 1), partial(mul, 2)))(3)),
        """
from _operator import add, mul


def operation(p0, p1, p2):
    v0 = mul(p0, p2)
    v1 = add(p1, v0)
    return v1
""",
    ),
    "keywords that are no names": (
        lambda: compile_graph({"a": Task("a", dict, List(List("k", 1)), **{"b": 2, "if": 3, "c": 4})}, "a"),
        """

def operation(p0, p1, p2, p3, p4):
    v0 = dict([[p0, p1]], b=p2, **{'if': p3, 'c': p4})
    return v0
""",
    ),
}


@pytest.mark.parametrize(("make", "text"), EXPECTED.values(), ids=EXPECTED)
def test_an_operation_reads_as_what_it_does(make: Callable[[], Any], text: str) -> None:
    assert only_module(make()) == text


def test_what_only_an_expression_holds_is_let_go_with_it(tmp_path: Path) -> None:
    values = np.ones(1_000_000)
    x = da.from_array(values, chunks=-1)
    (table,) = compile_collections((((x + 1) * 2 - 3) / 4 + 5) * 6).tables
    operation = load_operation(table.operation, tmp_path)
    tracemalloc.start()
    result = operation(values, 1, 2, 3, 4, 5, 6)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert identical(result, (((values + 1) * 2 - 3) / 4 + 5) * 6)
    assert peak_bytes < 2.5 * values.nbytes
