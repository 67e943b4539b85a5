from __future__ import annotations

import pytest

from benchmarks import operations
from benchmarks.compiling import compile_best_of
from benchmarks.workloads import WORKLOADS


def test_a_compilation_is_measured_in_stages_that_fit_into_it() -> None:
    compiled = compile_best_of(WORKLOADS["matmul"], 1, repeats=1)
    assert compiled.tasks >= 100
    assert {"dask", "walk", "split"} <= compiled.stages_s.keys()
    assert 0 < sum(compiled.stages_s.values()) <= compiled.total_s * 1.01
    assert compiled.ours_s == compiled.total_s - compiled.stages_s["dask"]


def test_the_command_prints_a_row_a_workload_and_every_bar(capsys: pytest.CaptureFixture[str]) -> None:
    operations.main(["matmul", "delayed-tree", "--scales", "10,1", "--repeats", "1"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == [
        "workload",
        "─" * len("delayed-tree"),
        "matmul",
        "delayed-tree",
    ]
    assert lines[0].split()[1:5] == ["tasks", "1x", "tasks", "10x"]
    bars = [line.rpartition(": ")[2] for line in lines if line.startswith(("our share", "most operations"))]
    assert len(bars) == 3
    assert set(bars) <= {"kept", "MISSED"}


def test_a_workload_that_does_not_exist_is_refused_with_those_that_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        operations.main(["matmull"])
    assert "'matmull' is none of elementwise-mean, " in capsys.readouterr().err
