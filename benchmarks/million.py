"""A graph of a million tasks, compiled in a process of its own.

    python -m benchmarks.million elementwise-mean

In: the name of a `Million`. Out: tasks, seconds and the peak of memory as one line of JSON. A process of its own, because
the peak is the process's, and what ran before would be in it.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dask.array as da

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_S = 15.0
MOST_BYTES = 1_000_000_000
"""The bars, where there are any: wall seconds to a program, and the peak of memory meanwhile, imports included."""

_LIMIT_S = 900
"""After which a measurement is given up."""


@dataclass(frozen=True, slots=True)
class Million:
    """A graph of about a million tasks."""

    name: str
    build: Callable[[], Any]
    barred: bool
    """Whether the bars hold for it; else its figures are printed only."""


def elementwise_mean() -> Any:
    """Return 751,689 chunks and their mean: 1,003,000 tasks, nearly all of which Dask holds as a rule."""
    x = da.ones((867 * 8, 867 * 8), chunks=8)
    return ((da.sin(x) * 2 + x**2 - 1) / 3).mean()


def rechunk() -> Any:
    """Return rows cut into columns: 1,000,000 pieces, each of which Dask makes a task before we see it."""
    n = 1000 * 8
    return da.ones((n, n), chunks=(8, n)).rechunk((n, 8), threshold=10**9, block_size_limit=10**9)


MILLIONS = (
    Million("elementwise-mean", elementwise_mean, barred=True),
    Million("rechunk", rechunk, barred=False),
)


def measure(million: Million) -> list[tuple[str, bool]]:
    """Measure in a new process; return the bars' texts and whether they are kept; print what has none.

    Raises:
        subprocess.CalledProcessError: the process failed; its own words are on stderr.
        subprocess.TimeoutExpired: it took longer than we wait.
    """
    command = [sys.executable, "-m", "benchmarks.million", million.name]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=_LIMIT_S)
    figures = json.loads(done.stdout)
    text = f"{figures['tasks']:,} tasks of {million.name}: {figures['seconds']:.1f} s, {figures['peak_bytes'] / 1e9:.2f} GB"
    if not million.barred:
        print(f"{text} (no bar)")
        return []
    kept = figures["seconds"] <= MOST_S and figures["peak_bytes"] <= MOST_BYTES
    return [(f"{text} (at most {MOST_S:.0f} s, {MOST_BYTES / 1e9:.0f} GB)", kept)]


def main(name: str) -> None:
    """Compile one graph and print its figures as JSON."""
    from graphlambda.compiler import compile_collections

    (million,) = (each for each in MILLIONS if each.name == name)
    collection = million.build()
    start_s = time.perf_counter()
    program = compile_collections(collection)
    seconds = time.perf_counter() - start_s
    figures = {"tasks": program.task_count, "seconds": seconds, "peak_bytes": _peak_bytes()}
    print(json.dumps(figures))


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    main(sys.argv[1])
