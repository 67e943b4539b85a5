from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks import chaos

if TYPE_CHECKING:
    import pytest


def test_a_small_run_under_faults_prints_what_befell_it(capsys: pytest.CaptureFixture[str]) -> None:
    chaos.main(["--tasks", "600", "--seed", "3"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("2 scenarios: 598 tasks, ")
    assert lines[1] == "0 lost, 0 wrong, 0 hung, 0 left behind"
    assert any(line.endswith("environment killed within its batch") for line in lines)
