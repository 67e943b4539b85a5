"""An operation is pure where all that it calls was reviewed, and only there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask
import dask.array as da
import dask.bag as db
import numpy as np
import pytest

from graphlambda.compiler import compile_collections
from graphlambda.compiler.fuse import Fusing
from graphlambda.compiler.program import Operation
from graphlambda.compiler.purity import _REVIEWED, is_pure

if TYPE_CHECKING:
    from collections.abc import Iterable


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
    ],
    ids=["gemm", "mean", "svd", "cumsum", "index"],
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
    ],
)
def test_a_source_is_judged_by_all_that_it_names(pure: bool, lines: list[str], imports: list[str]) -> None:
    assert is_pure(written(*lines, imports=imports)) is pure


def test_an_operation_without_source_or_with_code_by_value_is_not_known_to_be_pure() -> None:
    source = "def operation(p0):\n    return p0\n"
    assert is_pure(Operation(id="o", name="o", source=source, ports=1))
    assert not is_pure(Operation(id="o", name="o", source=source, ports=1, code=b"code"))
    assert not is_pure(Operation(id="o", name="o", source="", ports=1))


def test_every_reviewed_name_of_numpy_is_one() -> None:
    missing = [name for name in _REVIEWED["numpy"].split() if not hasattr(np, name)]
    assert missing == []
