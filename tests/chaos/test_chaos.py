"""A thousand runs under faults: nothing is lost, wrong, done twice, hung or left behind."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import dask._task_spec
import pytest
from dask.local import get_sync

from graphlambda.compiler import compile_graph
from graphlambda.testing.chaos import Scenario, scenario
from graphlambda.testing.chaos_graphs import draw
from graphlambda.testing.chaos_ground import in_bucket, on_disk
from graphlambda.testing.chaos_play import Played, play, subject_of

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.testing.chaos_checks import Subject
    from graphlambda.testing.chaos_figures import Figures


def subject(drawn: Scenario, folder: Path) -> Subject:
    graph = draw(Random(drawn.seed), dask._task_spec, drawn.shape, drawn.tasks)
    program = compile_graph(graph.graph, graph.wanted)
    return subject_of(program, get_sync(graph.graph, graph.wanted), folder)


def played(seed: int, folder: Path) -> Played:
    drawn = scenario(seed)
    (folder / "operations").mkdir()
    (folder / "store").mkdir()
    ground = in_bucket(Random(drawn.seed)) if drawn.in_bucket else on_disk(folder / "store")
    return play(drawn, subject(drawn, folder / "operations"), ground)


def test_whatever_goes_wrong_a_run_gives_dasks_values_or_the_error_that_it_may_end_with(
    seed: int, tmp_path: Path, figures: Figures
) -> None:
    figures.add(played(seed, tmp_path))


@pytest.mark.parametrize("number", [3, 7, 28])
def test_a_scenario_that_is_played_again_goes_as_it_went(number: int, tmp_path: Path) -> None:
    once, again = tmp_path / "once", tmp_path / "again"
    for folder in (once, again):
        folder.mkdir()
    assert played(number, once).trace == played(number, again).trace
