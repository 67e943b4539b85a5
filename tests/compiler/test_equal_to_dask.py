"""A program gives exactly what Dask gives, for every kind of collection; layers by rule equal walked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dask import delayed
from dask._expr import HLGExpr
from dask.base import collections_to_expr
from dask.blockwise import optimize_blockwise
from dask.core import flatten
from dask.graph_manipulation import bind, checkpoint, wait_on
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from graphlambda.compiler import Program, compile_collections, compile_graph
from graphlambda.compiler.program import Gather, Input, Literal
from graphlambda.testing.inline import run_inline
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from collections.abc import Callable

THREE = 3
matrix = da.random.default_rng(1).random((30, 30), chunks=(10, 15))
vector = da.arange(50, chunks=7)
frame = dd.from_pandas(
    pd.DataFrame({"a": np.arange(60) % 7, "b": np.arange(60) / 7, "c": ["x", "y", "z"] * 20}), npartitions=4
)
bag = db.from_sequence(range(40), npartitions=4)
dated = xr.Dataset(
    {"t": (("time", "x"), np.arange(120.0).reshape(20, 6))},
    coords={"time": pd.date_range("2020-01-01", periods=20)},
).chunk({"time": 5, "x": 3})


def add_three(value: Any) -> Any:
    return value + THREE


def times(number: int) -> Callable[[int], int]:
    return lambda value: value * number


ARRAYS: dict[str, Callable[[], Any]] = {
    "elementwise mean": ((da.sin(matrix) * 2 + matrix**2 - 1) / 3).mean,
    "axis": lambda: matrix.sum(axis=0),
    "transpose": lambda: matrix + matrix.T,
    "matmul": lambda: matrix @ matrix.T,
    "tensordot": lambda: da.tensordot(matrix, matrix, axes=([0, 1], [0, 1])),
    "einsum": lambda: da.einsum("ij,kj->ik", matrix, matrix),
    "tsqr": lambda: da.linalg.svd(da.random.default_rng(1).random((60, 6), chunks=(20, 6)))[1],
    "compressed svd": lambda: da.linalg.svd_compressed(matrix, k=3, seed=1)[1],
    "inverse": lambda: da.linalg.inv(da.eye(30, chunks=10) * 3 + 0.1),
    "std": lambda: matrix.std(axis=1),
    "rechunk": lambda: matrix.rechunk((20, 20)),
    "overlap": lambda: matrix.map_overlap(lambda block: block * 2, depth=1),
    "fft": lambda: da.fft.fft(matrix.rechunk((30, 15)), axis=0),
    "slices": lambda: da.concatenate([matrix[5:20:2], matrix[::3]]),
    "windows": lambda: da.lib.stride_tricks.sliding_window_view(vector, 3).mean(axis=-1),
    "map_blocks": lambda: matrix.map_blocks(add_three),
    "block_info": lambda: matrix.map_blocks(
        lambda b, block_info=None: b + block_info[0]["chunk-location"][0], dtype="f8"
    ),
    "from_array": lambda: da.from_array(np.arange(24.0).reshape(4, 6), chunks=2)[1:3] + 1,
    "histogram": lambda: da.histogram(vector, bins=5, range=(0, 50))[0],
    "topk": lambda: da.topk(vector, 3),
    "cumsum": lambda: vector.cumsum(axis=0),
    "argmax": lambda: matrix.argmax(axis=0),
    "where": lambda: da.where(matrix > 0.5, matrix, 0),
    "unique": lambda: da.unique(vector % 5),
    "gufunc": lambda: da.apply_gufunc(lambda a: a.mean(-1), "(i)->()", matrix.rechunk({1: -1})),
    "median": lambda: da.median(matrix.rechunk((10, 30)), axis=1),
    "masked": lambda: da.ma.masked_greater(vector, 20).sum(),
    "no axes": lambda: da.from_array(np.array(3.0)) + 1,
    "empty": lambda: da.zeros((0, 5), chunks=5),
    "frompyfunc": lambda: da.frompyfunc(lambda v: v + 1, 1, 1)(vector),
    "from_delayed": lambda: da.from_delayed(delayed(np.ones)(4), (4,), float) + 1,
}
FRAMES: dict[str, Callable[[], Any]] = {
    "sum": frame.b.sum,
    "groupby": lambda: frame.groupby("a").b.agg(["mean", "std"]),
    "groupby apply": lambda: frame.groupby("a").apply(lambda part: part.b.max(), meta=("b", "f8")),
    "merge": lambda: frame.merge(frame.groupby("a").b.sum().reset_index(), on="a"),
    "shuffled merge": frame.merge(frame, on="a", shuffle_method="tasks").b_x.sum,
    "set_index": lambda: frame.set_index("b").a.head(5, compute=False),
    "value_counts": frame.c.value_counts,
    "rolling": lambda: frame.b.rolling(3).mean(),
    "map_partitions": lambda: frame.map_partitions(lambda part, by: part.assign(z=part.b * by), THREE),
    "filter": lambda: frame[frame.a > 3],
    "apply": lambda: frame.apply(lambda row: row.a + 1, axis=1, meta=("a", "i8")),
    "quantile": lambda: frame.b.quantile([0.1, 0.5]),
    "describe": frame.describe,
    "index": lambda: frame.index,
    "from_delayed": lambda: dd.from_delayed(
        [delayed(pd.DataFrame)({"a": [1, 2]}), delayed(pd.DataFrame)({"a": [3]})], meta={"a": "i8"}
    ),
}
BAGS: dict[str, Callable[[], Any]] = {
    "fold": lambda: bag.map(lambda v: v + 1).filter(lambda v: v % 2).fold(lambda p, q: p + q),
    "groupby": lambda: bag.groupby(lambda v: v % 3, shuffle="tasks").map(lambda kv: (kv[0], sorted(kv[1]))),
    "frequencies": lambda: bag.map(lambda v: v % 4).frequencies(),
    "foldby": lambda: bag.foldby(lambda v: v % 3, lambda a, q: a + q, 0),
    "generators": lambda: bag.map_partitions(lambda items: (item * 2 for item in items)),
    "distinct": lambda: bag.map(lambda v: v % 4).distinct(),
    "take": lambda: bag.take(3, compute=False),
    "zip": lambda: db.zip(bag, bag.map(add_three)),
    "pluck": lambda: bag.map(lambda v: {"k": v}).pluck("k").topk(3),
}
DELAYED: dict[str, Callable[[], Any]] = {
    "list": lambda: delayed(sum)([delayed(add_three)(number) for number in range(5)]),
    "closures": lambda: [delayed(times(number))(2) for number in range(4)],
    "nested": lambda: {"a": [delayed(add_three)(1), 2], "b": delayed(len)("abc")},
    "keywords": lambda: delayed(dict)(a=delayed(add_three)(1), b=[{"z": delayed(add_three)(4)}]),
    "attribute": lambda: delayed(complex)(5, 2).imag,
    "method": lambda: delayed("a-b").split("-"),
    "two results": lambda: delayed(divmod, nout=2)(7, 3)[1],
    "item": lambda: delayed([1, 2, 3])[1],
    "set": lambda: delayed(sorted)({delayed(add_three)(1), 7}),
    "none": lambda: (delayed(print)(), delayed(bool)(0), delayed(str)()),
    "plain": lambda: 5,
    "from an array": lambda: matrix.to_delayed()[0, 0] + 1,
}
XARRAY: dict[str, Callable[[], Any]] = {
    "group": lambda: dated.groupby("time.month").mean(),
    "roll": lambda: dated.t.rolling(time=3).mean(),
    "resample": lambda: dated.t.resample(time="7D").mean(),
    "sum": lambda: (dated.t * 2).sum("x"),
}
SEVERAL: dict[str, Callable[[], Any]] = {
    "mixed": lambda: (matrix.sum(), frame.b.sum(), bag.sum(), delayed(1)),
    "bound": lambda: bind(matrix.sum(), vector.sum()),
    "waited for": lambda: wait_on(matrix.sum(), bag),
    "checkpoint": lambda: checkpoint(matrix, bag),
}
CASES = {
    f"{kind}: {name}": make
    for kind, cases in [
        ("array", ARRAYS),
        ("dataframe", FRAMES),
        ("bag", BAGS),
        ("delayed", DELAYED),
        ("xarray", XARRAY),
        ("several", SEVERAL),
    ]
    for name, make in cases.items()
}


@pytest.mark.filterwarnings("ignore:Computing mixed collections")  # Dask, of the oracle; ours are read apart
@pytest.mark.parametrize("make", CASES.values(), ids=CASES)
def test_a_program_gives_what_dask_gives(make: Callable[[], Any]) -> None:
    collection = make()
    assert identical(run_inline(compile_collections(collection)), dask.compute(collection, scheduler="sync"))


@pytest.mark.parametrize("make", ARRAYS.values(), ids=ARRAYS)
def test_a_layer_by_rule_equals_its_tasks(make: Callable[[], Any]) -> None:
    expression = collections_to_expr(make()).optimize()
    assert isinstance(expression, HLGExpr)
    keys = list(flatten(expression.__dask_keys__()))
    layers = optimize_blockwise(expression.hlg, keys=keys)
    walked = HighLevelGraph(
        {name: MaterializedLayer(dict(layer)) for name, layer in layers.layers.items()}, layers.dependencies
    )
    assert by_key(compile_graph(layers, keys)) == by_key(compile_graph(walked, keys))


def by_key(program: Program) -> dict[str, Any]:
    """Say of every task which operation it runs on what, in terms that do not depend on how ids are given."""

    def spelled(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(spelled, value))
        return (
            repr(program.key(value))
            if value < program.task_count
            else literal(program.data[value - program.task_count])
        )

    def literal(value: Any) -> str:
        return f"{type(value).__name__} {value!r}"

    def bound(binding: Any) -> Any:
        if isinstance(binding, Literal):
            return literal(binding.value)
        return spelled(
            binding.id if isinstance(binding, Input) else binding.ids if isinstance(binding, Gather) else None
        )

    return {
        repr(program.key(task)): (
            program.tables[int(program.table_of[task])].operation.source,
            [bound(binding) for binding in program.bindings(task)],
        )
        for task in range(program.task_count)
    }
