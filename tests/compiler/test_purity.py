"""An operation is pure where all that it calls was reviewed, and only there."""

from __future__ import annotations

import ast
import operator
from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest

from graphlambda.compiler import compile_collections
from graphlambda.compiler.kernels import PACKAGE, RELEASES, file_of, kernels_for
from graphlambda.compiler.measured import Fusing
from graphlambda.compiler.program import Operation
from graphlambda.compiler.purity import _CALLED, _REVIEWED, is_pure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.compiler.kernels import Reference


def purity(*collections: Any) -> dict[str, bool]:
    """Return by its name whether each operation is pure."""
    program = compile_collections(*collections)
    return {table.operation.name: is_pure(table.operation) for table in program.tables}


def rows() -> Any:
    return da.random.default_rng(1).random((40, 40), chunks=(20, 20))


def written(*lines: str, arguments: str = "p0, p1", imports: Iterable[str] = ()) -> Operation:
    body = [f"    {line}" for line in lines]
    source = "\n".join([*imports, "", f"def operation({arguments}):", *body, ""])
    return Operation(id="o", name="o", source=source, ports=2)


@pytest.mark.parametrize(
    "collection",
    [
        (rows() + 1).T @ rows(),
        (rows() * 2).mean(axis=0),
        da.linalg.svd(rows().rechunk((20, 40)))[1],
        np.sqrt(rows()).cumsum(axis=0),
        rows()[3:17, [1, 5, 30]],
        da.full((8, 8), 3, chunks=4) + da.ones((8, 8), chunks=4) + da.zeros_like(rows()[:8, :8]),
        rows().argmax() + rows().argmin(axis=0) + da.nanargmax(rows()),
        da.random.RandomState(1).normal(size=8, chunks=4),
        db.from_sequence([1, 2], npartitions=2).frequencies(),
        db.from_sequence([1, 2], npartitions=2).fold(operator.add),
    ],
    ids=["gemm", "mean", "svd", "cumsum", "index", "creation", "argmax", "random", "frequencies", "fold"],
)
def test_operations_of_kernels_and_numpy_are_pure(collection: Any) -> None:
    assert set(purity(collection).values()) == {True}


def test_two_pure_operations_are_pure_as_one() -> None:
    program = compile_collections((rows() * 2).rechunk((7, 40)).sum(axis=1) + 1, fusing=Fusing(always=True))
    assert program.fusions
    assert all(is_pure(table.operation) for table in program.tables)


def test_what_calls_the_users_code_is_not() -> None:
    mapped = rows().map_blocks(lambda block: block * 2).max()
    assert sorted(purity(mapped).items()) == [
        ("concatenate2-max-2", True),
        ("lambda-chunk-max", False),
        ("pcg64-float64-apply-random-func", True),
    ]
    assert set(purity(dask.delayed(print)(1)).values()) == {False}
    summed = purity(db.from_sequence(range(4), npartitions=2).map(lambda number: number + 1).sum())
    assert (summed["lambda-map-chunk-reify"], summed["sum-empty-safe-aggregate"]) == (False, True)


def test_storing_is_not_pure() -> None:
    target = np.zeros((40, 40))
    with pytest.raises(Exception, match="target"):
        purity(da.store(rows(), target, compute=False))
    assert not is_pure(
        written(
            "v0 = load_store_chunk(p0, p1)",
            "return v0",
            imports=["from graphlambda_kernels.core import load_store_chunk"],
        )
    )


@pytest.mark.parametrize(
    ("pure", "lines", "imports"),
    [
        (True, ["v0 = sum(p0)", "return v0"], []),
        (True, ["v0 = [p0, p1]", "v1 = f(v0, axis=p1)", "return v1"], ["from numpy import stack as f"]),
        (False, ["v0 = p0(p1)", "return v0"], []),
        (False, ["v0 = getitem(p0, p1)", "v1 = v0(p1)", "return v1"], ["from _operator import getitem"]),
        (False, ["v0 = p0.write(p1)", "return v0"], []),
        (False, ["v0 = print(p0)", "return v0"], []),
        (False, ["v0 = f(p0, p1)", "return v0"], ["from numpy import savetxt as f"]),
        (False, ["v0 = numpy.sum(p0)", "return v0"], ["import numpy"]),
        (True, ["v0 = apply(sum, p1)", "return v0"], ["from graphlambda_kernels.bags import apply"]),
        (False, ["v0 = apply(p0, p1)", "return v0"], ["from graphlambda_kernels.bags import apply"]),
        (False, ["v0 = apply(print, p1)", "return v0"], ["from graphlambda_kernels.bags import apply"]),
        (False, ["v0 = unknown(p1)", "return v0"], []),
        (False, ["v0 = f(p0, p0, where=p1)", "return v0"], ["from numpy import add as f"]),
        (True, ["v0 = f(p0, p0, out=p1, where=p1)", "return v0"], ["from numpy import add as f"]),
    ],
)
def test_a_source_is_judged_by_all_that_it_names(pure: bool, lines: list[str], imports: list[str]) -> None:
    assert is_pure(written(*lines, imports=imports)) is pure


@pytest.mark.parametrize(
    ("pure", "line", "imports"),
    [
        (False, "sorted(p0, key=p1)", []),
        (False, "max(p0, key=p1)", []),
        (False, "min(p0, **p1)", []),
        (False, "min(*p0)", []),
        (True, "sorted(p0, key=second, reverse=p1)", ["from toolz.itertoolz import second"]),
        (False, "sorted(p0, key=print)", []),
        (True, "max(p0, p1)", []),
        (False, "map(p0, p1)", []),
        (False, "filter(p0, p1)", []),
        (True, "map(abs, p1)", []),
        (False, "reduce(p0, p1)", ["from _functools import reduce"]),
        (True, "reduce(add, p1)", ["from _functools import reduce", "from _operator import add"]),
        (True, "reduce(max, p1)", ["from _functools import reduce"]),
        (False, "map(map, p0, p1)", []),
        (True, "map(partial(reduce, max), p1)", ["from _functools import reduce", "from functools import partial"]),
        (False, "map(partial(reduce, p0), p1)", ["from _functools import reduce", "from functools import partial"]),
        (False, "map(partial(reduce), p0, p1)", ["from _functools import reduce", "from functools import partial"]),
        (False, "map(partial(p0), p1)", ["from functools import partial"]),
        (False, "map(partial(*p0), p1)", ["from functools import partial"]),
        (False, "map(partial(max, key=abs), p1)", ["from functools import partial"]),
        (False, "apply(max, p0, p1)", ["from graphlambda_kernels.bags import apply"]),
        (True, "empty_safe_apply(max, p0, p1)", ["from graphlambda_kernels.bags import empty_safe_apply"]),
        (False, "arg_chunk(max, p0, p1)", ["from graphlambda_kernels.places import arg_chunk"]),
        (False, "mean_chunk(p0, sum=p1)", ["from graphlambda_kernels.reductions import mean_chunk"]),
        (True, "mean_chunk(p0, sum=nansum)", ["from graphlambda_kernels.reductions import mean_chunk", "from numpy import nansum"]),
        (False, "mean_chunk(p0, **p1)", ["from graphlambda_kernels.reductions import mean_chunk"]),
        (False, "_enforce_dtype(p0, enforce_dtype_function=p1)", ["from graphlambda_kernels.core import _enforce_dtype"]),
        (True, "_apply_random_func(PCG64, p0, p1)", ["from graphlambda_kernels.random import _apply_random_func", "from numpy.random._pcg64 import PCG64"]),
        (False, "PCG64()", ["from numpy.random._pcg64 import PCG64"]),
        (False, "apply(PCG64, p0)", ["from graphlambda_kernels.bags import apply", "from numpy.random._pcg64 import PCG64"]),
        (False, "empty_like(p0)", ["from numpy import empty_like"]),
        (True, "dotmany(p0, p1)", ["from graphlambda_kernels.core import dotmany"]),
        (False, "dotmany(p0, p0, p1)", ["from graphlambda_kernels.core import dotmany"]),
    ],
)  # fmt: skip
def test_what_a_function_calls_of_its_arguments_is_reviewed_as_well(
    pure: bool, line: str, imports: list[str]
) -> None:
    assert is_pure(written(f"v0 = {line}", "return v0", imports=imports)) is pure


REDUCTIONS = "from dask.dataframe.dask_expr._reductions import"


@pytest.mark.parametrize(
    ("pure", "line", "above"),
    [
        (True, "dict_get(p0, p1)", ["from builtins import dict as dict_2", "dict_get = dict_2.get"]),
        (True, "map(str_lower, p0)", ["from builtins import str as str_2", "str_lower = str_2.lower"]),
        (False, "dict_pop(p0, p1)", ["from builtins import dict as dict_2", "dict_pop = dict_2.pop"]),
        (False, "p0.lower()", []),
        (False, "print.__call__(p0)", []),
        (False, "apply.__globals__", ["from graphlambda_kernels.bags import apply"]),
        (True, "Sum.aggregate(p0, axis=p1)", [f"{REDUCTIONS} Sum"]),
        (True, "listed(Sum.aggregate, p0)", [f"{REDUCTIONS} Aggregate, Sum", "listed = Aggregate._call_with_list_arg"]),
        (False, "listed(p0, p1)", [f"{REDUCTIONS} Aggregate", "listed = Aggregate._call_with_list_arg"]),
        (False, "assign(p0, p1, p1)", ["from dask.dataframe.dask_expr._expr import assign"]),
    ],
)  # fmt: skip
def test_attributes_are_reviewed_by_their_names_and_values_have_none(
    pure: bool, line: str, above: list[str]
) -> None:
    assert is_pure(written(f"v0 = {line}", "return v0", imports=above)) is pure


def test_joining_and_adding_partitions_up_is_pure_and_what_made_them_is_not() -> None:
    parts = [dask.delayed(pd.DataFrame)({"key": [1, 2, 3], "value": [1.0, 2.0, 3.0]}) for _ in range(4)]
    frame = dd.from_delayed(parts, meta={"key": "i8", "value": "f8"})
    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        found = purity(frame.shuffle("key", npartitions=3), frame["value"].sum())
    impure = {name for name, pure in found.items() if not pure}
    assert {"simpleshuffle-shuffle-group", "concat", "aggregate-sum"} <= found.keys() - impure
    assert any(name.startswith("dataframe") for name in impure)


def test_a_callable_that_another_task_made_is_not_pure() -> None:
    key = dask.delayed(operator.itemgetter)(0)
    names = purity(*(dask.delayed(each)([(2,), (1,)], key=key) for each in (sorted, min, max)))
    assert [names[name] for name in ("sorted", "min", "max")] == [False, False, False]


@pytest.mark.parametrize("reference", sorted(set(kernels_for(RELEASES[-1]).values())), ids=":".join)
def test_what_a_kernel_calls_of_its_parameters_is_listed(reference: Reference) -> None:
    tree = ast.parse(file_of(reference[0]).read_text())
    found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}.get(reference[1])
    if found is None:  # of another kernel's module
        assert reference[1] in ("nannumel", "numel")
        return
    listed = _CALLED[PACKAGE].get(reference[1], "").split()
    parameters = [each.arg for each in found.args.args]
    called = {
        node.func.id
        for node in ast.walk(found)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & set(parameters) <= set(listed)
    assert all(
        name in ("_", given) for name, given in zip(listed, parameters, strict=False) if listed[0] != "*"
    )


class Noted:
    """Leaves a trace when it is added or indexed."""

    shape, dtype, ndim = (4,), np.dtype("f8"), 1

    def __add__(self, other: object) -> object:
        print("added")
        return other

    def __getitem__(self, index: Any) -> Any:
        print("read")
        return np.ones(4)[index]


def noted() -> Noted:
    return Noted()


def test_what_the_users_own_classes_do_when_they_are_added_or_read_is_not_known_to_be_pure() -> None:
    assert set(purity(dask.delayed(operator.add)(Noted(), 1)).values()) == {False}
    assert set(purity(da.from_array(Noted(), chunks=2)).values()) == {False}
    assert set(purity(dask.delayed(operator.add)(dask.delayed(noted)(), 1)).values()) == {False}
    assert set(purity(dask.delayed(operator.add)(pd.Timestamp(0, tz="UTC"), pd.Timedelta(1))).values()) == {
        True
    }


def test_an_operation_without_source_or_with_code_by_value_is_not_known_to_be_pure() -> None:
    source = "def operation(p0):\n    return p0\n"
    assert is_pure(Operation(id="o", name="o", source=source, ports=1))
    assert not is_pure(Operation(id="o", name="o", source=source, ports=1, code=b"code"))
    assert not is_pure(Operation(id="o", name="o", source="", ports=1))


def test_every_reviewed_name_of_numpy_is_one() -> None:
    missing = [name for name in _REVIEWED["numpy"].split() if not hasattr(np, name)]
    assert missing == []
