from __future__ import annotations

import numpy as np

from graphlambda.compiler.program import Edges, Operation, Program, Table
from graphlambda.report import operations_table

NO_IDS = np.empty(0, np.int64)


def program_of(names: list[tuple[str, int]], requirements: dict[str, tuple[str, ...]]) -> Program:
    """Return a program whose operations have their name's first letter as id."""
    tables = tuple(
        Table(Operation(id=name[0], name=name, source="", ports=0), np.arange(tasks, dtype=np.int64), ())
        for name, tasks in names
    )
    return Program(
        tables=tables,
        table_of=np.empty(0, np.int32),
        row_of=NO_IDS,
        data=(),
        edges=Edges(np.zeros(1, np.int64), NO_IDS),
        outputs=(),
        wanted=(),
        finish=list,
        key=lambda task: task,
        requirements=requirements,
    )


def test_a_table_has_a_line_an_operation_and_a_set_is_told_once() -> None:
    program = program_of(
        [("mean-chunk", 1000), ("agg", 1), ("mean-chunk", 200), ("combine", 3), ("unbuilt", 7)],
        {
            "m": ("dask==2026.8.0", "numpy==2.4.6", "pandas==3.1.1"),
            "a": (),
            "c": ("dask==2026.8.0", "numpy==2.4.6", "pandas==3.1.1"),
        },
    )
    functions = {"m": "gl-1-mean-chunk-0123", "a": "gl-1-agg-4567", "c": "gl-1-combine-89ab"}
    text = operations_table(program, functions, {"m": 25_000_000, "a": 812}, width=35)
    assert text.splitlines() == [
        "operation   function              tasks  artifact  set",
        "──────────  ────────────────────  ─────  ────────  ───",
        "mean-chunk  gl-1-mean-chunk-0123  1,200   25.0 MB  A",
        "agg         gl-1-agg-4567             1     812 B  B",
        "combine     gl-1-combine-89ab         3         -  A",
        "unbuilt     -                         7         -  -",
        "",
        "set  holds",
        "───  ──────────────────────────────",
        "A    dask 2026.8.0, numpy 2.4.6,",
        "     pandas 3.1.1",
        "B    standard library",
    ]


def test_a_narrow_terminal_never_cuts_a_requirement_in_two() -> None:
    program = program_of([("x", 1)], {"x": ("a-very-long-distribution-name==2026.8.0",)})
    text = operations_table(program, {}, {}, width=10)
    assert "a-very-long-distribution-name 2026.8.0" in text


def test_more_sets_than_letters_still_have_names_of_their_own() -> None:
    sets: dict[str, tuple[str, ...]] = {chr(0x4E00 + number): (f"x=={number}",) for number in range(30)}
    program = program_of([(name, 1) for name in sets], sets)
    lines = operations_table(program, {}, {}).splitlines()
    assert [line.split()[-1] for line in lines[2:32]] == [chr(65 + each) for each in range(26)] + [
        "A1",
        "B1",
        "C1",
        "D1",
    ]


def test_a_program_without_operations_is_a_head() -> None:
    assert (
        operations_table(program_of([], {}), {}, {}).splitlines()[0]
        == "operation  function  tasks  artifact  set"
    )
