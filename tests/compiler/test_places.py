"""Where a module is named: the user's own line where this process knows it, else a line of `operation.py`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from dask import delayed

from graphlambda.compiler import Program, code, compile_collections
from graphlambda.compiler.places import Place, makers_of, place_of, places_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from graphlambda.compiler import Operation


def table_of(number: int) -> Any:
    import decimal

    return pd.DataFrame({"a": [decimal.Decimal(number)]})


def total(table: Any) -> Any:
    return [np.sum(part) for part in table]


def operations(program: Program) -> dict[str, Operation]:
    return {table.operation.name: table.operation for table in program.tables}


def compiled(function: Callable[..., Any], *arguments: Any) -> Operation:
    (operation,) = operations(compile_collections(delayed(function)(*arguments))).values()
    return operation


def test_an_import_statement_and_a_global_are_found_in_the_users_own_file() -> None:
    first = table_of.__code__.co_firstlineno
    places = places_of(compiled(table_of, 1))
    assert place_of("decimal", places) == Place(0, __file__, first + 1, "table_of")
    assert place_of("pandas", places) == Place(0, __file__, first + 3, "table_of")
    line = total.__code__.co_firstlineno + 1
    found = place_of("numpy", places_of(compiled(total, [1])))
    assert found is not None
    assert str(found).startswith(f"{__file__}:{line} in total")


def test_without_the_users_source_the_line_of_the_operation_is_told() -> None:
    operation = compiled(total, [1])
    known = dict(code.origins)
    code.origins.clear()
    try:
        place = place_of("numpy", places_of(operation))
    finally:
        code.origins.update(known)
    lines = operation.source.splitlines()
    assert str(place) == f"operation.py:{lines.index('import numpy') + 1}"


def test_a_module_is_found_by_what_is_below_or_above_it() -> None:
    places = {"acme.deep": (Place(0, "a.py", 3),), "other": (Place(1, "operation.py", 1),)}
    assert place_of("acme", places) == place_of("acme.deep.er", places) == Place(0, "a.py", 3)
    assert place_of("acmes", places) is None


def test_import_lines_of_the_users_own_modules_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reached_by_places.py").write_text("\nfrom email import message\n\ndef f(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = eval("lambda x: __import__('reached_by_places').f(x)")
    operation = compiled(task, 1)
    sys.modules.pop("reached_by_places", None)
    found = place_of("email", places_of(operation))
    assert found == Place(0, str(tmp_path / "reached_by_places.py"), 2)


def test_values_are_told_by_the_type_of_a_literal_and_by_the_operation_that_makes_them() -> None:
    program = compile_collections(
        delayed(total)(delayed(table_of)(1)), delayed(len)(pd.DataFrame({"a": [1]}))
    )
    found = {name: makers_of(each, program).get("pandas") for name, each in operations(program).items()}
    made = next(name for name in found if "table-of" in name)
    used = next(name for name in found if "total" in name)
    assert found[used] == f"what {made} returns"
    assert found["len"] in ("a literal (pandas.DataFrame)", "a value (pandas.DataFrame)")
