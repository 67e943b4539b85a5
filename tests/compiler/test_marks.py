"""What is said with `dask.annotate` comes to the operations whose tasks it was said of, and to no other."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import dask.bag as db
import pytest

from graphlambda.compiler import compile_collections
from graphlambda.errors import RefusedError


def said(*collections: Any) -> dict[str, bool]:
    """Return by its name what is known of each operation that anything is known of."""
    program = compile_collections(*collections)
    names = {table.operation.id: table.operation.name for table in program.tables}
    return {names[operation]: mark for operation, mark in program.idempotent.items()}


def marking(mark: Any) -> Any:
    return dask.annotate(graphlambda={"idempotent": mark})


@dask.delayed  # type: ignore[untyped-decorator]
def grown(number: int) -> int:
    return number + 1


@dask.delayed  # type: ignore[untyped-decorator]
def halved(number: int) -> float:
    return number / 2


@pytest.mark.parametrize("mark", [True, False])
def test_a_mark_comes_to_its_operation_alone(mark: bool) -> None:
    with marking(mark):
        first = grown(1)
    assert said(halved(first)) == {"grown": mark}
    assert said(halved(grown(1))) == {}


def test_of_arrays_and_bags_it_comes_too() -> None:
    with marking(True):
        mapped = da.ones((8, 4), chunks=(4, 4)).map_blocks(lambda block: block + 1)
        bagged = db.from_sequence(range(4), npartitions=2).map(lambda number: -number)
    assert [mark for name, mark in said(mapped.sum(axis=0)).items() if "lambda" in name] == [True]
    assert [mark for name, mark in said(bagged.sum()).items() if "lambda" in name] == [True]


def test_an_operation_of_which_a_part_is_marked_may_not_run_twice_for_that() -> None:
    with marking(True):
        first = grown(1)
    assert said(first, grown(2)) == {}
    with marking(False):
        second = grown(2)
    assert said(first, second, grown(3)) == {"grown": False}


@pytest.mark.parametrize(
    "annotation", [True, {"idempotent": 1}, {"idempotnet": True}, {"idempotent": True, "more": 1}]
)
def test_what_is_not_known_is_refused(annotation: Any) -> None:
    with dask.annotate(graphlambda=annotation):
        task = grown(1)
    with pytest.raises(RefusedError, match="annotated with graphlambda="):
        compile_collections(task)


def test_other_annotations_change_nothing() -> None:
    with dask.annotate(priority=3, workers=["a"]):
        task = grown(1)
    assert said(task) == {}
    assert (
        compile_collections(task).tables[0].operation.id
        == compile_collections(grown(5)).tables[0].operation.id
    )
