"""Tasks that end their environment run again, or do not, as one says; what ran is counted where it ran."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dask
import pytest
from dask import delayed

import graphlambda
from graphlambda.errors import EnvironmentLostError, OutcomeUnknownError

if TYPE_CHECKING:
    from pathlib import Path


def die(ledger: str) -> None:
    """Leave a trace, say a last word, and end the environment."""
    with open(ledger, "a", encoding="utf-8") as file:  # noqa: PTH123  (a path of the user's own, as text)
        file.write("x")
    print("goodbye", flush=True)
    os._exit(3)


def fail(ledger: str) -> None:
    """Leave a trace, and raise."""
    with open(ledger, "a", encoding="utf-8") as file:  # noqa: PTH123  (a path of the user's own, as text)
        file.write("x")
    raise ConnectionError("no line")


def test_a_task_that_may_run_again_is_tried_three_times(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with pytest.raises(EnvironmentLostError, match=r"os\._exit") as raised:
        graphlambda.compute(delayed(die)(str(ledger)), paths=[tmp_path])
    assert ledger.read_text() == "xxx"
    note, *_ = raised.value.__notes__
    assert note.startswith("The end of the function's log:\n")
    assert "goodbye" in note
    assert "REPORT" in note


def test_a_task_that_may_not_run_twice_ran_once_and_its_outcome_is_unknown(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with pytest.raises(OutcomeUnknownError, match="Whether it ran is not known"):
        graphlambda.compute(delayed(die)(str(ledger)), paths=[tmp_path], idempotent=False)
    assert ledger.read_text() == "x"


@pytest.mark.parametrize(("retries", "runs"), [(0, "x"), (2, "xxx")])
def test_a_task_that_raises_runs_again_as_often_as_was_asked_for(
    tmp_path: Path, retries: int, runs: str
) -> None:
    ledger = tmp_path / "ledger"
    with pytest.raises(ConnectionError, match="no line"):
        graphlambda.compute(delayed(fail)(str(ledger)), paths=[tmp_path], retries=retries)
    assert ledger.read_text() == runs


def test_what_is_annotated_so_counts_before_the_setting(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    with dask.annotate(graphlambda={"idempotent": False}):
        task = delayed(die)(str(ledger))
    with pytest.raises(OutcomeUnknownError):
        graphlambda.compute(task, paths=[tmp_path], idempotent=True)
    assert ledger.read_text() == "x"
