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


def given(*collections: Any) -> list[tuple[str, int, dict[str, Any]]]:
    """Return of each operation its name, how many tasks it has and what its function is given."""
    program = compile_collections(*collections)
    return [
        (table.operation.name, len(table.tasks), dict(program.given.get(table.operation.id, {})))
        for table in program.tables
    ]


def test_settings_come_to_the_operation_of_the_tasks_that_were_annotated() -> None:
    with dask.annotate(graphlambda={"memory_mb": 4096, "timeout_s": 60, "idempotent": True}):
        first = grown(1)
    program = compile_collections(halved(first))
    names = {table.operation.id: table.operation.name for table in program.tables}
    assert {names[number]: words for number, words in program.given.items()} == {
        "grown": {"memory_mb": 4096, "timeout_s": 60}
    }
    assert list(program.idempotent.values()) == [True]


def test_tasks_of_one_operation_with_different_settings_become_operations_of_one_text() -> None:
    plain = grown(1)
    with dask.annotate(graphlambda={"memory_mb": 4096}):
        large = grown(2)
    with dask.annotate(graphlambda={"memory_mb": 8192}):
        larger = [grown(number) for number in (3, 4)]
    assert given(plain, large, *larger) == [
        ("grown", 1, {}),
        ("grown", 1, {"memory_mb": 4096}),
        ("grown", 2, {"memory_mb": 8192}),
    ]
    program = compile_collections(plain, large, *larger)
    operations = [table.operation for table in program.tables]
    assert len({operation.id for operation in operations}) == 3
    assert len({(operation.source, operation.code, operation.form) for operation in operations}) == 1
    assert operations[0].id == compile_collections(plain).tables[0].operation.id
    assert [program.bindings(task) for task in range(4)] == [
        compile_collections(each).bindings(0) for each in (plain, large, *larger)
    ]


def test_annotated_alike_an_operation_stays_one_and_keeps_its_id() -> None:
    with dask.annotate(graphlambda={"memory_mb": 4096}):
        tasks = [grown(number) for number in range(3)]
    assert given(*tasks) == [("grown", 3, {"memory_mb": 4096})]
    program = compile_collections(*tasks)
    assert program.tables[0].operation.id == compile_collections(grown(5)).tables[0].operation.id


def test_an_unknown_setting_is_refused_with_the_near_one() -> None:
    with dask.annotate(graphlambda={"memory": 4096}):
        task = grown(1)
    with pytest.raises(
        RefusedError, match="there is no setting 'memory' of an operation; did you mean memory_mb"
    ):
        compile_collections(task)
