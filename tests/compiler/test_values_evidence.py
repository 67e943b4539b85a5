"""What un-pickling a value needs follows from what made it, what holds it, and what its collection says it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
from dask import delayed

from graphlambda.compiler import Program, compile_collections, kept_modules
from graphlambda.compiler.evidence import modules_of
from graphlambda.compiler.program import Kept
from graphlambda.compiler.read import meta_of


def total(part: Any) -> Any:
    return part.sum()


def needs(program: Program) -> list[tuple[str, ...]]:
    return [table.operation.value_imports for table in program.tables]


def test_one_operation_needs_what_its_inputs_of_each_program_need() -> None:
    numeric, framed = (
        compile_collections(delayed(total)(value)) for value in (np.arange(3), pd.DataFrame({"x": [1]}))
    )
    assert numeric.tables[0].operation.id == framed.tables[0].operation.id
    assert needs(numeric) == [("numpy",)]
    assert {"numpy", "pandas"} <= set(needs(framed)[0])


def test_a_kept_value_says_what_its_readers_need() -> None:
    collection = dd.from_pandas(pd.DataFrame({"x": [1, 2]}), npartitions=1)
    program = compile_collections(collection)
    found = kept_modules(program, 0, meta_of(collection))
    assert {"numpy", "pandas", "pyarrow"} <= set(found)
    kept = replace(Kept(run="r", id=0, store="file:/nowhere"), modules=found)
    assert modules_of(kept) == found


def test_the_meta_of_a_collection_tells_what_its_makers_do_not() -> None:
    blocks = da.ones(4, chunks=2)
    program = compile_collections(blocks)
    assert "pandas" not in kept_modules(program, 0, meta_of(blocks))
    assert "pandas" in kept_modules(program, 0, pd.Series([], dtype="float64"))


def test_a_kept_data_object_needs_what_it_holds() -> None:
    program = compile_collections(delayed(total)(delayed(pd.Series([1.0]))))
    assert program.data
    assert {"numpy", "pandas"} <= set(kept_modules(program, program.task_count, None))
