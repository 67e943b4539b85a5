from __future__ import annotations

from benchmarks.growth import New, called, new_operations
from graphlambda.compiler import Operation


def operation(name: str, *imports: str) -> Operation:
    source = "\n".join(
        [*(f"from dask.array import {each} as f" for each in imports), "def operation(p0):\n    return p0\n"]
    )
    return Operation(id=name, name=name, source=source, ports=1)


CHUNK, AGG = operation("chunk", "mean_chunk"), operation("agg", "mean_agg")


def test_an_operation_is_new_once_and_has_a_reason() -> None:
    combine = operation("combine", "mean_combine")
    level = operation("level", "mean_agg", "mean_chunk")
    fused = operation("fused", "mean_chunk", "sin")
    again = operation("chunk-2", "mean_chunk")
    sizes = [(1, [CHUNK, AGG]), (10, [CHUNK, AGG, combine]), (100, [CHUNK, combine, level, fused, again])]
    assert new_operations(sizes) == [
        New(
            scale=10,
            name="combine",
            reason="another algorithm of Dask's: it calls mean_combine from this size on",
        ),
        New(scale=100, name="level", reason="a reduction level: it joins by mean_agg, mean_chunk"),
        New(scale=100, name="fused", reason="another algorithm of Dask's: it calls sin from this size on"),
        New(scale=100, name="chunk-2", reason="as chunk, called in another way"),
    ]


def test_known_functions_in_one_task_are_a_fusion() -> None:
    sizes = [(1, [operation("a", "sin"), operation("b", "cos")]), (10, [operation("ab", "sin", "cos")])]
    assert [new.reason for new in new_operations(sizes)] == ["another fusion of Dask's: cos, sin in one task"]


def test_one_size_has_nothing_new() -> None:
    assert new_operations([(1, [CHUNK, AGG])]) == []


def test_what_an_operation_calls_are_its_imports_and_its_code_by_value() -> None:
    source = "from numpy import sin as f8\nimport math\nfrom graphlambda_runtime.code import load\ndouble = load(__file__, 'double')\n"
    assert called(source) == {"sin", "math", "double"}
