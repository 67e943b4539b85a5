"""Short texts that may name code are noted as evidence, wherever they stand, and are no part of identity."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dask import delayed

from graphlambda.compiler import Program, compile_collections
from graphlambda.compiler.program import Constant, Kept, Literal, Literals, Mixed
from graphlambda.compiler.words import words_in, words_of_columns, words_of_data


def words_of(*values: Any) -> set[str]:
    program = compile_collections(list(values))
    return {word for table in program.tables for word in table.operation.words}


def ids_of(program: Program) -> list[str]:
    return sorted({table.operation.id for table in program.tables})


def read(path: Any, engine: Any = None, storage_options: Any = None) -> Any:
    return path, engine, storage_options


def test_paths_give_protocols_and_suffixes_and_names_give_themselves() -> None:
    assert words_in(["simplecache::s3://bucket/part.1.Parquet", "string[pyarrow]", "/home/ada/x.nc"]) == {
        "simplecache://",
        "s3://",
        ".parquet",
        "string",
        "pyarrow",
        ".nc",
    }


@pytest.mark.parametrize(
    "text", ["", "/", "numba if there is one", "See https://example.org/why for s3://", "7"]
)
def test_prose_and_numbers_give_nothing(text: str) -> None:
    assert words_in([text]) == set()


def closing_over(engine: str) -> Any:
    return lambda path: (path, engine)


def with_a_literal_in_it(path: Any) -> Any:
    return path, {"engine": "h5netcdf"}, ["gcs://bucket"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (delayed(read)("s3://bucket/a.parquet", engine="pyarrow"), {"s3://", ".parquet", "pyarrow"}),
        (
            delayed(read)("x", storage_options={"target_protocol": "s3", "depth": {"inner": ["lz4"]}}),
            {"s3", "lz4"},
        ),
        (delayed(partial(read, engine="zarr"))(1), {"zarr"}),
        (delayed(closing_over("fastparquet"))(1), {"fastparquet"}),
        (delayed(with_a_literal_in_it)(1), {"h5netcdf", "gcs://"}),
        (delayed(lambda path: [read(each, "numba") for each in path])([1]), {"numba"}),
    ],
)
def test_words_of_literals_options_partials_closures_and_constants_are_noted(
    value: Any, words: set[str]
) -> None:
    assert words <= words_of(value)


class Opener:
    def __init__(self, engine: str, url: str) -> None:
        self.engine = engine
        self.url = url


def test_words_in_the_attributes_of_a_data_object_are_noted() -> None:
    assert {"h5netcdf", "s3://", ".nc"} <= words_of(delayed(len)(Opener("h5netcdf", "s3://b/x.nc")))
    assert words_of_data([{"backend": "netcdf4"}, Kept(run="r", id=0, store="file:/x")]) == {
        "backend",
        "netcdf4",
    }


def test_a_word_in_any_row_of_a_column_is_seen() -> None:
    paths = [f"/data/part-{number}.csv" for number in range(50_000)]
    paths[31_234] = "gcs://bucket/part.csv"
    assert words_of_columns([Literals(paths)]) == {".csv", "gcs://"}
    assert words_of_columns([Mixed(tuple(Literal((path, 1)) for path in paths))]) == {".csv", "gcs://"}
    assert words_of_columns([Constant(Path("/data/x.nc")), Constant(7), Literals([]), Literals([1, 2])]) == {
        ".nc"
    }


def test_a_column_of_many_different_names_is_data() -> None:
    assert words_of_columns([Literals([f"label{number}" for number in range(5_000)])]) == set()


def test_words_are_no_part_of_identity() -> None:
    one = compile_collections(delayed(read)("s3://bucket/x.parquet", engine="pyarrow"))
    other = compile_collections(delayed(read)("/data/y.csv", engine="c"))
    assert ids_of(one) == ids_of(other)
    assert one.tables[0].operation == other.tables[0].operation
    assert one.tables[0].operation.words != other.tables[0].operation.words
    assert "pyarrow" not in repr(one.tables[0].operation)
