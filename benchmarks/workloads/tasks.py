"""Delayed functions: trees, functions and classes of one's own, a sweep over a model's parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from dask import delayed
from sklearn.datasets import load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split

from benchmarks.workloads.workload import workloads


@dataclass
class Reading:
    """What a made-up instrument says."""

    station: int
    celsius: float

    def warmer(self, by: float) -> Reading:
        """Return the reading of a warmer place."""
        return Reading(self.station, self.celsius + by)


def delayed_tree(scale: int) -> Any:
    level = [delayed(_leaf)(number) for number in range(50 * scale)]
    while len(level) > 1:
        level = [delayed(sum)(level[start : start + 2]) for start in range(0, len(level), 2)]
    return level[0]


def delayed_custom(scale: int) -> Any:
    stations = range(30 * scale)
    readings = [delayed(_read)(station, {"offset": station / 10}) for station in stations]
    corrected = [delayed(_corrector(0.5))(reading) for reading in readings]
    warmer = [reading.warmer(by=2.0) for reading in corrected]
    return delayed(_warmest)(warmer)


def sklearn_sweep(scale: int) -> Any:
    x, y = load_iris(return_X_y=True)
    split = delayed(train_test_split, nout=4)(x, y, random_state=0)
    alphas = np.linspace(0.1, 10, 48 * scale).tolist()
    scores = [delayed(_score)(delayed(_fit)(alpha, split), split) for alpha in alphas]
    return delayed(max)(scores)


def _leaf(number: int) -> int:
    return number % 7


def _read(station: int, calibration: dict[str, float]) -> Reading:
    return Reading(station, station % 30 + calibration["offset"])


def _corrector(by: float) -> Any:
    def correct(reading: Reading) -> Reading:
        return Reading(reading.station, reading.celsius - by)

    return correct


def _warmest(readings: list[Reading]) -> Reading:
    return max(readings, key=lambda reading: reading.celsius)


def _fit(alpha: float, split: list[Any]) -> Ridge:
    return Ridge(alpha=alpha).fit(split[0], split[2])


def _score(model: Ridge, split: list[Any]) -> float:
    return float(model.score(split[1], split[3]))


WORKLOADS = (*workloads("delayed", delayed_tree, delayed_custom), *workloads("scikit-learn", sklearn_sweep))
