"""An operation holds no value that it has used for the last time while it computes the next."""

from __future__ import annotations

from typing import Any

import dask.array as da
import pytest

from graphlambda.compiler import compile_collections
from graphlambda.compiler.spent import without_spent
from graphlambda.testing.inline import run_inline


@pytest.mark.parametrize(
    ("lines", "wanted"),
    [
        (["v0 = f(p0)", "return v0"], ["v0 = f(p0)", "return v0"]),
        (["v0 = f(p0)", "v1 = g(v0)", "return v1"], ["v0 = f(p0)", "v1 = g(v0)", "return v1"]),
        (
            ["v0 = f(p0)", "v1 = g(v0)", "v2 = h(v1)", "v3 = h(v2, v1)", "return v3"],
            ["v0 = f(p0)", "v1 = g(v0)", "del v0", "v2 = h(v1)", "v3 = h(v2, v1)", "return v3"],
        ),
        (
            ["v0 = f()", "shared1 = f()", "v2 = g(v0, shared1)", "v3 = h(v2)", "return v3"],
            [
                "v0 = f()",
                "shared1 = f()",
                "v2 = g(v0, shared1)",
                "del shared1, v0",
                "v3 = h(v2)",
                "return v3",
            ],
        ),
        (
            ["v0 = f(v1=p0)", "v2 = g(v0)", "return (v0, v2)"],
            ["v0 = f(v1=p0)", "v2 = g(v0)", "return (v0, v2)"],
        ),
    ],
    ids=["one", "two", "a chain", "both of a call", "a keyword that looks alike"],
)
def test_a_value_is_let_go_after_the_line_that_uses_it_last(lines: list[str], wanted: list[str]) -> None:
    assert list(without_spent(lines)) == wanted


def test_a_chain_of_calls_lets_go_of_all_but_the_latest_value() -> None:
    x: Any = da.ones(4, chunks=4)
    program = compile_collections(da.cos(da.sin(da.exp(da.tan(x)))))
    sources = [table.operation.source for table in program.tables]
    assert any(source.count("\n    del ") == source.count(" = ") - 2 > 0 for source in sources), sources
    assert (
        run_inline(program)[0].tolist()
        == da.cos(da.sin(da.exp(da.tan(x)))).compute(scheduler="sync").tolist()
    )
