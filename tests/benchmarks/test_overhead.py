"""What a task costs that does nothing: the shapes are what they say, the bars are computed right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask
import pytest

from benchmarks import overhead
from benchmarks.overhead import SHAPES, Row, bars

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_as_many_tasks_as_it_says(shape: str) -> None:
    collection = SHAPES[shape][0](63)
    assert len(dict(collection.__dask_graph__())) == 63
    dask.compute(collection, scheduler="sync")


def test_every_other_task_of_the_alternating_chain_is_of_another_operation() -> None:
    graph = dict(overhead.alternating(5).__dask_graph__())
    assert sorted(str(key).partition("-")[0] for key in graph) == ["nothing"] * 3 + ["nothing_else"] * 2


def test_bars_compare_a_task_with_a_task() -> None:
    rows = [
        Row("alternating", "graphlambda", 1_000, 0.1),
        Row("alternating", "graphlambda, batch=1", 1_000, 2.5),
        Row("alternating", "distributed", 1_000, 2.0),
        Row("alternating", "lithops", 5, 1.0),
    ]
    assert dict(bars(rows)) == {
        "alternating: graphlambda is 20.0 times cheaper than distributed (at least 20)": True,
        "alternating: graphlambda is 2,000.0 times cheaper than lithops (at least 500)": True,
        "alternating: graphlambda, batch=1 is 0.8 times cheaper than distributed (at least 1)": False,
        "alternating: a hop with batch=1 takes 2,500 µs (at most 2,000)": False,
    }


def test_a_quick_look_at_a_peer_prints_a_row_a_shape(capsys: pytest.CaptureFixture[str]) -> None:
    overhead.main(["threads", "--shapes", "chain", "tree", "--part", "64", "--repeats", "1"])
    printed = capsys.readouterr().out.splitlines()[2:]
    assert [line.split()[:3] for line in printed] == [["chain", "threads", "14"], ["tree", "threads", "127"]]


@pytest.mark.parametrize("arguments", [["sloths"], ["threads", "--shapes", "knot"]])
def test_what_does_not_exist_is_refused_with_what_does(
    arguments: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        overhead.main(arguments)
    assert "is none of" in capsys.readouterr().err
