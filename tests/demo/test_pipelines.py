"""The demo's own functions and data; that graphlambda computes them is shown by the demo itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from demo import data, digits, flights, legs, words
from demo.__main__ import AFAR, PIPELINES

TABLE = pd.DataFrame(
    {
        "carrier": ["AA", "AA", "AA", "UA", "UA"],
        "distance": [501, 500, 800, 1000, 1000],
        "arr_delay": [16.0, 99.0, -2.0, np.nan, 15.0],
        "month": [1, 1, 2, 2, 2],
    }
)
AIRLINES = pd.DataFrame({"carrier": ["AA", "UA"], "name": ["American", "United"]})


def computed(collection: Any) -> Any:
    return collection.compute(scheduler="sync")


def test_only_long_flights_that_arrived_are_counted(tmp_path: Path) -> None:
    TABLE.to_parquet(tmp_path / "flights.parquet")
    result = computed(flights.delays(str(tmp_path), AIRLINES)).sort_index()
    assert result.index.tolist() == ["American", "United"]
    assert result.to_numpy().tolist() == [[2, 7.0, 16.0, 1], [1, 15.0, 15.0, 0]]


def test_flights_are_written_once_and_whole_or_not_at_all(tmp_path: Path) -> None:
    def killed(_name: str) -> pd.DataFrame:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        data.flights_folder(tmp_path, killed)
    assert list(tmp_path.iterdir()) == []
    folder = data.flights_folder(tmp_path, lambda _name: TABLE)
    assert sorted(path.name for path in folder.iterdir()) == ["01.parquet", "02.parquet"]
    assert data.flights_folder(tmp_path, killed) == folder


def test_the_components_are_those_of_the_covariance() -> None:
    images = load_digits().data
    shares = computed(digits.explained_variance(images))
    expected = np.linalg.eigvalsh(np.cov(images.T))[::-1]
    np.testing.assert_allclose(shares, expected / expected.sum(), atol=1e-12)


def test_words_are_counted_over_all_files(tmp_path: Path) -> None:
    files = []
    for number, text in enumerate(["def x_y(a): return x_y\n", "return None  # x_y\n"]):
        files.append(str(tmp_path / f"{number}.py"))
        Path(files[-1]).write_text(text, encoding="utf-8")
    assert list(computed(words.top_words(files))) == [("x_y", 3), ("return", 2), ("def", 1), ("None", 1)]


def test_what_travels_with_the_program_gives_what_files_give(tmp_path: Path) -> None:
    folder = str(data.flights_folder(tmp_path))
    here = {
        "flights": flights.delays(folder, data.table("airlines")),
        "words": PIPELINES["words"]().collection,
    }
    for name, collection in here.items():
        pipeline = AFAR[name]()
        assert pipeline.same(computed(pipeline.collection), computed(collection))


def test_the_longest_leg_is_found_across_batches() -> None:
    airports = [legs.Airport(str(number), f"airport {number}", 0.0, number / 10) for number in range(250)]
    leg = computed(legs.longest_leg(airports))
    assert (leg.start, leg.end) == ("airport 0", "airport 249")
    assert leg.km == pytest.approx(24.9 / 360 * 2 * np.pi * legs.EARTH_RADIUS_KM)
    assert legs.same(leg, legs.Leg(leg.km, "airport 0", "airport 249"))
    assert not legs.same("airport 0 to airport 249", leg)
