"""What an installed function imports in its own lines is known before it is missed, if it is imported whenever it is called."""

from __future__ import annotations

from typing import Any

import flox.dask
import pytest
from dask._task_spec import Task, TaskRef

from graphlambda.compiler import compile_graph
from graphlambda.compiler.code import surely_imported


def always() -> Any:
    import csv
    import json.decoder
    from xml import dom

    return csv, json, dom


def after_a_branch(flag: bool) -> Any:
    if flag:
        import csv

        return csv
    import json

    return json


def guarded() -> Any:
    try:
        import csv
    except ImportError:
        return None
    return csv


def in_a_function_of_its_own() -> Any:
    def later() -> Any:
        import csv

        return csv

    return later


def relative_or_nowhere() -> Any:
    import nowhere_at_all  # type: ignore[import-not-found]

    from . import conftest  # type: ignore[attr-defined]

    return conftest, nowhere_at_all


@pytest.mark.parametrize(
    ("function", "modules"),
    [
        (always, ("csv", "json.decoder", "xml", "xml.dom")),
        (after_a_branch, ()),
        (guarded, ()),
        (in_a_function_of_its_own, ()),
        (relative_or_nowhere, ()),
    ],
)
def test_imports_before_the_first_branch_are_sure(function: Any, modules: tuple[str, ...]) -> None:
    assert surely_imported(function.__code__) == modules


def test_they_are_evidence_for_the_operation_and_for_nobody_who_reads_its_value() -> None:
    graph = {
        "groups": Task("groups", flox.dask._extract_result, {"a": 1}, "a"),
        "count": Task("count", len, TaskRef("groups")),
    }
    operations = {table.operation.name: table.operation for table in compile_graph(graph, "count").tables}
    assert {name: each.imports for name, each in operations.items()} == {
        "extract-result": ("dask.array.core", "flox.dask"),
        "len": ("builtins",),
    }
    assert operations["len"].value_imports == ("flox.dask",)
