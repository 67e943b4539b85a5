"""What was set on a function by value travels with it; the next run sees the latest of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, get_type_hints

import pandas as pd
import pytest
from dask import delayed

from graphlambda.compiler import compile_collections
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from collections.abc import Callable


def run(function: Callable[..., Any], *arguments: Any) -> Any:
    (value,) = run_inline(compile_collections(delayed(function)(*arguments)))
    return value


def operations(function: Callable[..., Any]) -> set[str]:
    return {table.operation.id for table in compile_collections(delayed(function)(1)).tables}


def scaling(scale: int) -> Any:
    def scaled(value: int) -> int:
        return value * int(scaled.scale)  # type: ignore[attr-defined]

    scaled.scale = scale  # type: ignore[attr-defined]
    return scaled


def doubled(function: Callable[..., Any]) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        """Of the wrapper."""
        return 2 * function(*arguments)

    return call


@doubled
def plus_one(value: int) -> int:
    """Add one."""
    return value + 1


def told(function: Any) -> tuple[Any, ...]:
    wrapped = function.__wrapped__
    return (
        function.__name__,
        function.__qualname__,
        function.__doc__,
        wrapped(1),
        wrapped.__name__,
        function(1),
    )


def described(value: Any) -> Any:
    return value


described.__annotations__ = {"value": pd.DataFrame, "return": pd.DataFrame}


def test_an_attribute_is_seen_inside() -> None:
    assert run(scaling(10), 2) == 20


def test_a_changed_attribute_is_seen_at_the_next_run_and_deploys_nothing() -> None:
    function = scaling(10)
    before = operations(function)
    function.scale = 11
    assert run(function, 2) == 22
    assert operations(function) == before


def test_closures_with_attributes_are_one_operation() -> None:
    program = compile_collections([delayed(scaling(number))(2) for number in range(5)])
    assert len({table.operation.id for table in program.tables}) == 1
    assert run_inline(program) == ([0, 2, 4, 6, 8],)


def test_a_decorated_function_keeps_its_name_and_what_it_wraps() -> None:
    assert run(told, plus_one) == told(plus_one)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("__name__", "other"),
        ("__qualname__", "a.b"),
        ("__doc__", "Other."),
        ("__module__", "elsewhere"),
        ("__kwdefaults__", {"by": 5}),
        ("not a name", [1]),
    ],
)
def test_what_is_changed_at_run_time_travels(name: str, value: Any) -> None:
    def function(*, by: int = 1) -> int:
        return by

    setattr(function, name, value)
    assert run(lambda: getattr(function, name)) == value


def test_a_function_that_counts_its_calls_counts_in_each_task() -> None:
    def counted() -> int:
        counted.calls += 1  # type: ignore[attr-defined]
        return int(counted.calls)  # type: ignore[attr-defined]

    counted.calls = 5  # type: ignore[attr-defined]
    assert run(lambda: (counted(), counted())) == (6, 7)
    assert counted.calls == 5  # type: ignore[attr-defined]


def test_an_annotation_alone_imports_nothing() -> None:
    program = compile_collections(delayed(described)(1))
    assert [table.operation.imports for table in program.tables] == [()]


def test_annotations_that_are_read_travel() -> None:
    def local(value: int) -> str:
        return str(value)

    local.__annotations__ = {"value": int, "return": str}
    assert run(lambda: local.__annotations__) == {"value": int, "return": str}
    assert run(lambda: get_type_hints(local)) == {"value": int, "return": str}


def test_a_function_whose_annotations_another_one_reads_has_them() -> None:
    def asked() -> Any:
        return reading(asked)

    def reading(function: Any) -> Any:
        return function.__annotations__

    asked.__annotations__ = {"return": int}
    assert run(asked) == {"return": int}
