"""The noun of this folder, and what its families share: sizes and a place for files."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Workload:
    """A graph that grows with a scale."""

    name: str
    """Unique; words joined by `-`."""

    family: str
    """`array`, `dataframe`, `bag`, `delayed`, `xarray`, `scikit-learn` or `store`."""

    build: Callable[[int], Any]
    """From a scale (≥ 1) to a collection, or to a tuple of collections to compute together."""

    def collections(self, scale: int) -> tuple[Any, ...]:
        """Return the collections at `scale`, always as a tuple."""
        built = self.build(scale)
        return built if isinstance(built, tuple) else (built,)


def workloads(family: str, *builds: Callable[[int], Any]) -> tuple[Workload, ...]:
    """Return one workload a function, named after it."""
    return tuple(Workload(build.__name__.replace("_", "-"), family, build) for build in builds)


def side(blocks: float) -> int:
    """Return the side of a square of about so many blocks, at least 2."""
    return max(2, math.isqrt(round(blocks)))


def edge(blocks: float) -> int:
    """Return the edge of a cube of about so many blocks, at least 2."""
    return max(2, round(math.cbrt(blocks)))


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="graphlambda-benchmarks-")


def folder(name: str) -> Path:
    """Return a folder of this process; it is gone when the process ends."""
    path = Path(_folder().name) / name
    path.mkdir(exist_ok=True)
    return path
