"""Delayed: functions and a class that are written here, and come home as themselves."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dask import delayed

from demo.data import table
from demo.pipeline import Pipeline

EARTH_RADIUS_KM = 6371.0
BATCH = 100
"""Airports of a task."""


@dataclass(frozen=True)
class Airport:
    """A place with a code."""

    code: str
    name: str
    latitude: float
    longitude: float


@dataclass(frozen=True, order=True)
class Leg:
    """From one airport to another, along the great circle."""

    km: float
    start: str
    end: str

    def __str__(self) -> str:
        return f"{self.start} to {self.end}: {self.km:,.0f} km"


def distance_km(a: Airport, b: Airport) -> float:
    """Return the length of the great circle's arc (haversine)."""
    latitude_a, latitude_b = math.radians(a.latitude), math.radians(b.latitude)
    across = math.radians(b.longitude - a.longitude)
    half = math.sin((latitude_b - latitude_a) / 2) ** 2
    half += math.cos(latitude_a) * math.cos(latitude_b) * math.sin(across / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(math.sqrt(half))


def farthest(start: int, airports: list[Airport]) -> Leg:
    """Return the longest leg between a batch of airports and those from `start` on."""
    batch, others = airports[start : start + BATCH], airports[start:]
    return max(Leg(distance_km(a, b), a.name, b.name) for a in batch for b in others)


def longest(legs: list[Leg]) -> Leg:
    """Return the longest of some legs."""
    return max(legs)


def longest_leg(airports: list[Airport]) -> Any:
    """Return the longest leg between any two airports, one batch of starts a task."""
    everywhere = delayed(airports, traverse=False)
    starts = range(0, len(airports), BATCH)
    return delayed(longest)([delayed(farthest)(start, everywhere) for start in starts])


def text(leg: Leg) -> str:
    """Return the leg, which is an instance of this module's class."""
    return f"{leg}\n{leg!r}"


def same(ours: Any, dasks: Leg) -> bool:
    """Compare class and values."""
    return isinstance(ours, Leg) and ours == dasks


def pipeline() -> Pipeline:
    """Return the pipeline over the airports of the United States."""
    rows = table("airports")[["faa", "name", "lat", "lon"]]
    western = rows[rows.lon < 0]  # three have lost their sign; one Aleutian island goes with them
    airports = [Airport(*row) for row in western.itertuples(index=False)]
    return Pipeline(
        title="Legs: delayed functions and a class",
        about=(
            f"Which two of {len(airports):,} airports are farthest apart? The functions and the classes are written in "
            "demo/legs.py; they travel to Lambda, and what comes back is an instance of the class here."
        ),
        collection=longest_leg(airports),
        text=text,
        same=same,
    )
