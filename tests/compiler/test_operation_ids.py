"""The set of operations depends on the code alone: not on the hash seed, nor on sizes, seeds, types or names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed

from graphlambda.compiler import compile_collections

if TYPE_CHECKING:
    from collections.abc import Callable

WORKLOADS = """
import abc, dataclasses, enum, json, typing
import numpy as np
import dask, dask.array as da, dask.bag as db, dask.dataframe as dd, pandas as pd
from graphlambda.compiler import compile_collections

class Point:
    names = {"x", "y", "z"}
    def __init__(self, x): self.x = x
    def far(self): return self.x in {1, 2, 3} or "w" in self.names

class Colour(enum.Enum):
    RED = 1
    BLUE = "b"

@dataclasses.dataclass
class Pair:
    a: int
    b: str = "x"

class Abstract(abc.ABC):
    table = np.arange(3)
    kept = Pair(1)
    @abc.abstractmethod
    def get(self): ...

class Concrete(Abstract, typing.Generic[typing.TypeVar("T")]):
    colours = {Colour.RED: {"a", "b", "c"}}
    def get(self): return self.colours, Named(1, 2)

class Named(typing.NamedTuple):
    x: int
    y: int

def uses_classes(v): return Concrete().get(), Pair(v), Colour.BLUE

x = da.ones((60, 60), chunks=20)
frame = dd.from_pandas(pd.DataFrame({"a": range(40), "b": range(40), "c": list("wxyz") * 10}), npartitions=4)
bag = db.from_sequence(range(40), npartitions=4)
made = {
    "svd": da.linalg.svd_compressed(x, k=3, seed=1)[1],
    "inverse": da.linalg.inv(x + da.eye(60, chunks=20)),
    "overlap": x.map_overlap(lambda block: block in {"a", "b", "c"} or block, depth=1, dtype=float),
    "groupby": frame.groupby("c").b.agg(["mean", "std"]),
    "merge": frame.merge(frame, on="a", shuffle_method="tasks"),
    "classes": dask.delayed(uses_classes)(1),
    "bag": bag.map(lambda v: Point(v).far()).frequencies(),
}
found = {}
for name, collection in made.items():
    program = compile_collections(collection)
    found[name] = {t.operation.id: [t.operation.name, t.operation.source, t.operation.imports] for t in program.tables}
print(json.dumps(found))
"""


def operations_under(seed: str, folder: Path) -> dict[str, dict[str, Any]]:
    script = folder / "workloads.py"
    script.write_text(WORKLOADS)
    environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parents[2])}
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", script],
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def test_operations_are_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    first, *others = (operations_under(seed, tmp_path) for seed in ("0", "1", "2"))
    for other in others:
        assert other == first


def table(rows: int = 60, **renamed: str) -> pd.DataFrame:
    numbers = np.arange(rows)
    return pd.DataFrame({"a": numbers % 7, "b": numbers / 7, "c": numbers % 3}).rename(columns=renamed)


def frame(npartitions: int = 8, rows: int = 64, **renamed: str) -> Any:
    return dd.from_pandas(table(rows, **renamed), npartitions=npartitions)


def ones(size: int = 60, chunk: int = 10, dtype: str = "f8") -> da.Array:
    return da.ones((size, size), chunks=chunk, dtype=dtype)


def adding(number: int) -> Callable[[int], int]:
    return lambda value: value + number


SAME: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "chunks": (lambda: (ones() + 1).sum(axis=0), lambda: (ones(80, 20) + 1).sum(axis=0)),
    "dtype": (lambda: ones().std(), lambda: ones(dtype="f4").std()),
    "scalars": (lambda: ones() * 2 - 1, lambda: ones() * 3.5 - 7),
    "axis": (lambda: ones().sum(axis=0), lambda: ones().sum(axis=1)),
    "seed": (
        lambda: da.random.default_rng(1).normal(size=(80, 80), chunks=20).mean(),
        lambda: da.random.default_rng(2).normal(size=(40, 40), chunks=10).mean(),
    ),
    "slices": (lambda: ones()[3:40:2] + 1, lambda: ones()[5:50:3] + 1),
    "matmul": (lambda: ones() @ ones(), lambda: ones(90, 30) @ ones(90, 30)),
    "inverse": (
        lambda: da.linalg.inv(da.eye(40, chunks=10)),
        lambda: da.linalg.inv(da.eye(60, chunks=10)),
    ),
    "block info": (
        lambda: ones().map_blocks(lambda b, block_id=None: b + block_id[0], dtype="f8"),
        lambda: ones(30).map_blocks(lambda b, block_id=None: b + block_id[0], dtype="f8"),
    ),
    "columns": (frame().groupby("a").b.sum, frame(a="k", b="v").groupby("k").v.sum),
    "partitions": (frame().b.sum, frame(16).b.sum),
    "filter": (lambda: frame()[frame().a > 3], lambda: frame()[frame().a > 5]),
    "merge": (
        lambda: frame().merge(frame(), on="a", shuffle_method="tasks"),
        lambda: frame(c="z").merge(frame(c="z"), on="b", shuffle_method="tasks"),
    ),
    "bag": (
        lambda: db.from_sequence(range(64), npartitions=8).map(adding(1)).sum(),
        lambda: db.from_sequence(range(99), npartitions=8).map(adding(2)).sum(),
    ),
    "closures": (
        lambda: [delayed(adding(number))(1) for number in range(3)],
        lambda: [delayed(adding(number))(2) for number in range(9)],
    ),
}


def operation_ids(collection: Any) -> dict[str, str]:
    return {table.operation.id: table.operation.source for table in compile_collections(collection).tables}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_other_values_need_no_new_operation(one: Callable[[], Any], other: Callable[[], Any]) -> None:
    assert operation_ids(one()) == operation_ids(other())


@pytest.mark.filterwarnings("default:.*inplace keyword")  # pandas, of Dask's reader
def test_another_path_needs_no_new_operation(tmp_path: Path) -> None:
    for name in ("one", "other"):
        frame(2).to_parquet(tmp_path / name)
    read = [dd.read_parquet(tmp_path / name).b.sum() for name in ("one", "other")]
    assert operation_ids(read[0]) == operation_ids(read[1])


LEVELS = {
    "a reduction of 4 blocks has no level that combines, one of 36 has": (
        lambda: ones(20).mean(),
        lambda: ones(60).mean(),
        1,
    ),
    "blocks are aligned by slicing where chunks do not match": (
        lambda: ones() + ones(),
        lambda: ones() + ones(60, 15),
        2,
    ),
}
"""What is new where the structure itself differs, and how many operations that makes."""


@pytest.mark.parametrize(("small", "large", "most"), LEVELS.values(), ids=LEVELS)
def test_another_structure_adds_what_it_is_made_of(
    small: Callable[[], Any], large: Callable[[], Any], most: int
) -> None:
    assert 0 < len(set(operation_ids(large())) - set(operation_ids(small()))) <= most
