"""The demo's pipelines under faults: operations of Dask's own, pandas', scikit-learn's and the user's."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pandas as pd
import pytest

from demo import digits, flights, legs, words
from graphlambda.compiler import compile_collections
from graphlambda.testing.chaos import scenario
from graphlambda.testing.chaos_ground import in_bucket, on_disk
from graphlambda.testing.chaos_play import play, subject_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.testing.chaos_checks import Subject
    from graphlambda.testing.chaos_figures import Figures

SEEDS = (0, 3, 10, 18, 21, 24)
"""Most of them with clients that die."""

AIRLINES = pd.DataFrame({"carrier": ["AA", "UA", "DL"], "name": ["American", "United", "Delta"]})
MONTHS, ROWS = 4, 500


def made_flights(folder: Path) -> Any:
    random = np.random.default_rng(0)
    for month in range(MONTHS):
        drawn = {
            "carrier": random.choice(["AA", "UA", "DL"], ROWS),
            "distance": random.integers(100, 3000, ROWS),
            "arr_delay": np.where(random.random(ROWS) < 0.1, np.nan, random.integers(-30, 90, ROWS)),
        }
        pd.DataFrame(drawn).to_parquet(folder / f"{month:02d}.parquet")
    return flights.delays(str(folder), AIRLINES)


def made_words(folder: Path) -> Any:
    files = [folder / f"{number:02d}.py" for number in range(3 * words.FILES)]
    for number, file in enumerate(files):
        file.write_text(f"def f_{number % 5}(x):\n    return x + f_{number % 3}\n", encoding="utf-8")
    return words.top_words([str(file) for file in files])


def made_digits(_folder: Path) -> Any:
    return digits.explained_variance(np.random.default_rng(0).random((1_000, 16)))


def made_legs(_folder: Path) -> Any:
    return legs.longest_leg(
        [legs.Airport(str(number), f"airport {number}", number / 20, number / 10) for number in range(600)]
    )


MADE: dict[str, tuple[Callable[[Path], Any], Callable[[Any, Any], bool]]] = {
    "flights": (made_flights, flights.same),
    "words": (made_words, words.same),
    "digits": (made_digits, digits.same),
    "legs": (made_legs, legs.same),
}


@pytest.fixture(scope="module", params=MADE)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """One of the pipelines over little data, compiled as the demo's are, with what Dask itself makes of it."""
    make, same = MADE[request.param]
    collection = make(tmp_path_factory.mktemp(request.param))
    expected = dask.compute(collection, scheduler="sync")
    program = compile_collections(collection)
    folder = tmp_path_factory.mktemp("operations")
    return subject_of(program, expected, folder, lambda ours, dasks: same(ours[0], dasks[0]))


@pytest.mark.parametrize("number", SEEDS)
def test_whatever_goes_wrong_a_pipeline_gives_dasks_values_or_the_error_that_it_may_end_with(
    number: int, subject: Subject, tmp_path: Path, figures: Figures
) -> None:
    drawn = replace(scenario(number), batch=None)
    figures.add(play(drawn, subject, in_bucket(Random(number)) if number % 2 else on_disk(tmp_path)))
