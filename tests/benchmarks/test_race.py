"""The race of real work: its cases are what they say, its bars are computed right."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.racing import race
from benchmarks.racing.cases import MATRIX, fitted_score
from benchmarks.racing.race import Raced, Result, bars


def raced(name: str, ours_s: float, distributed_s: float, numbers: object = (1.0,)) -> Raced:
    results = {"graphlambda": Result((ours_s,), (1.0,)), "distributed": Result((distributed_s,), numbers)}
    return Raced(name, 0.06, results)


def test_bars_are_of_all_cases_and_of_the_worst() -> None:
    told = dict(bars([raced("merge", 1.0, 2.0), raced("overlap", 1.2, 1.0)], None))
    assert told == {
        "geometric mean of our time over distributed's: 0.77 (at most 0.8)": True,
        "worst: 1.20, overlap (at most 1.1)": False,
        "merge: all peers give the same result": True,
        "overlap: all peers give the same result": True,
        "shortest median task: 60 ms, merge (at least 50 ms)": True,
    }


def test_each_turn_is_compared_with_the_same_turn_of_the_other() -> None:
    results = {"graphlambda": Result((1.0, 8.0, 3.0), ()), "distributed": Result((2.0, 16.0, 3.0), ())}
    assert Raced("merge", 0.06, results).ratio == 0.5


def test_a_product_is_compared_with_plain_numpys() -> None:
    seconds = 2 * MATRIX**3 / 96e9
    told = list(bars([raced("GEMM", seconds, 2 * seconds)], 100.0))
    assert ("GEMM: 96 GFLOPS, 96% of plain NumPy's 100 (at least 95%)", True) in told


def test_another_result_of_a_peer_is_told() -> None:
    told = dict(bars([raced("merge", 1.0, 2.0, numbers=(1.5,))], None))
    assert told["merge: all peers give the same result"] is False


def test_a_peer_that_fails_is_no_reason_to_say_nothing_of_the_others() -> None:
    cases = [
        raced("merge", 1.0, 2.0),
        Raced("GEMM", 0.06, {"graphlambda": Result((1.0,), (1.0,))}, failed=("distributed",)),
    ]
    told = dict(bars(cases, None))
    assert told["GEMM: distributed comes to the end"] is False
    assert told["geometric mean of our time over distributed's: 0.50 (at most 0.8)"] is True


def test_a_case_that_does_not_exist_is_refused_with_those_that_do(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        race.main(["GEMMM"])
    assert "GEMMM: none of elementwise + reduce, GEMM, " in capsys.readouterr().err


def test_the_sweeps_forests_score_as_forests_do() -> None:
    draw = np.random.default_rng(0)
    x = draw.random((60, 3))
    assert fitted_score(3, [x[:40], x[40:], x[:40, 0] > 0.5, x[40:, 0] > 0.5]) > 0.7
