"""Which tasks of two programs give the same value: what their numbers depend on, and which have none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import pytest

from graphlambda.compiler import compile_collections
from graphlambda.compiler.content import content_ids
from graphlambda.compiler.program import Gather, Input, Kept, Program
from graphlambda.testing.programs import program_of

SUM = "def operation(*ports):\n    v0 = sum(ports)\n    return v0\n"
"""Known to be pure."""


class Own:
    """What a class of the user's does may change."""


def pure(program: Program) -> Program:
    """Return the program with operations that are known to be pure, whatever they are called."""
    tables = (replace(table, operation=replace(table.operation, source=SUM)) for table in program.tables)
    return replace(program, tables=tuple(tables))


def ids_of(
    tasks: list[Any], *, data: tuple[Any, ...] = (), code: str = "numpy==2", **given: Any
) -> dict[int, int]:
    program = pure(program_of(tasks, [len(tasks) - 1], data=data, **given))
    return content_ids(program, {table.operation.id: code for table in program.tables}, "{}")


def last(*tasks: Any, **given: Any) -> int | None:
    """Return the number of the last of some tasks."""
    return ids_of(list(tasks), **given).get(len(tasks) - 1)


BASE = [("f", 1), ("g", Input(0), 2)]


def test_a_number_does_not_depend_on_what_else_a_program_holds_nor_on_ids() -> None:
    assert last(*BASE) == last(("h", 5), ("f", 1), ("g", Input(1), 2))
    assert ids_of([("f", 1), ("f", 1)])[0] == ids_of([("f", 1)])[0]


def test_a_run_constant_counts_as_the_literal_that_it_is() -> None:
    constants = {"g": {1: 2}}
    program = pure(program_of([("f", 1), ("g", Input(0), None)], [1], constants=constants))
    assert content_ids(program, {t.operation.id: "numpy==2" for t in program.tables}, "{}")[1] == last(*BASE)


@pytest.mark.parametrize(
    "other",
    [
        [("f", 1), ("g", Input(0), 3)],  # a literal
        [("f", 2), ("g", Input(0), 2)],  # a literal of what it reads
        [("h", 1), ("g", Input(0), 2)],  # an operation of what it reads
        [("f", 1), ("g", 2, Input(0))],  # the order of its ports
        [("f", 1), ("g", Gather([0]), 2)],  # a list of the value
        [("f", 1), ("g", Gather([[0]]), 2)],
        [("f", 1), ("g", Input(0), 2.0)],  # a type
    ],
)
def test_whatever_changes_a_value_changes_its_number(other: list[Any]) -> None:
    assert last(*other) not in {None, last(*BASE)}


def test_another_version_or_other_process_state_is_another_number() -> None:
    program = pure(program_of(BASE, [1]))
    code = {table.operation.id: "numpy==2" for table in program.tables}
    surroundings = content_ids(program, code, '{"tz": "Asia/Tokyo"}')
    assert len({last(*BASE), last(*BASE, code="numpy==2.1"), surroundings[1]}) == 3


def test_data_counts_by_its_content_and_a_kept_value_by_its_run() -> None:
    kept = [Kept(run=run, id=number, store="") for run, number in [("a", 1), ("a", 2), ("b", 1)]]
    found = [last(("f", Input(1)), data=(each,)) for each in [np.ones(9), np.zeros(9), *kept]]
    assert len({*found, None}) == 6
    assert last(("f", Input(1)), data=(np.ones(9),)) == found[0]


def test_what_is_not_known_to_be_pure_has_no_number_nor_has_what_reads_it() -> None:
    program = program_of(BASE, [1])
    code = {table.operation.id: "numpy==2" for table in program.tables}
    first, second = program.tables
    mixed = replace(program, tables=(first, replace(second, operation=replace(second.operation, source=SUM))))
    assert content_ids(mixed, code, "{}") == {}
    assert content_ids(program, code, "{}") == {}


@pytest.mark.parametrize(
    "value",
    [
        Own(),
        Own,
        [Own()],
        np.array([Own()], object),
        test_data_counts_by_its_content_and_a_kept_value_by_its_run,
    ],
)
def test_what_holds_a_class_or_function_of_the_users_has_no_number(value: Any) -> None:
    assert (last(("f", value)), last(("f", Input(1)), data=(value,))) == (None, None)


def test_random_numbers_have_one_where_their_seed_is_the_same() -> None:
    def numbers(seed: int | None) -> set[int]:
        program = compile_collections(da.random.default_rng(seed).random(20, chunks=10))
        return set(content_ids(program, {t.operation.id: "x" for t in program.tables}, "{}").values())

    assert numbers(5) == numbers(5)
    assert len(numbers(5)) == 2
    assert not numbers(5) & numbers(6)
    assert not numbers(None) & numbers(None)


def test_a_task_that_draws_from_the_process_has_none() -> None:
    drawn = da.ones(20, chunks=10).map_blocks(lambda block: block + np.random.rand())  # noqa: NPY002
    program = compile_collections(drawn)
    assert content_ids(program, {t.operation.id: "x" for t in program.tables}, "{}") == {}
