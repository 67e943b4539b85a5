"""What it costs to put a value into a store and to get it back, beside others' clients of the same server.

    python -m benchmarks.dataplane [stores …] [--sizes 1KB 1MB 64MB 512MB] [--repeats 9]

Ours pickles, signs, stores, reads, verifies and un-pickles a NumPy array that a task could change; the peers do the same
without signatures, and what their clients do with the array's bytes alone stands beside that. A raw socket and memcpy store
nothing: they say what the machine can do. All of them take turns; medians. Prints a table for each store, then the bars.
Memory is kept for the next large value as in a function of 10 GB.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.planes import BYTES, MEMCPY, OURS, PLANES, RAW
from benchmarks.text import table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from benchmarks.planes import Road

SIZES = {"1KB": 1 << 10, "1MB": 1 << 20, "64MB": 64 << 20, "512MB": 512 << 20}
RAW_TIMES, RAW_SIZE = 1.5, "64MB"
"""The bars: never slower than the best peer; at this size, this many times a raw socket's time at most."""

_CALLS = {"1KB": 200, "1MB": 10}
"""How many calls one timing has, for what is over too soon."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to move values of one size."""

    store: str
    size: str
    peer: str
    put_s: float
    get_s: float


def measured(store: str, sizes: Sequence[str], repeats: int, folder: Path) -> Iterator[Row]:
    """Yield what a store's roads take, size by size, in turns."""
    with PLANES[store](folder) as roads:
        for size in sizes:
            value = np.random.default_rng(1).random(SIZES[size] // 8)
            timings = {peer: ([], []) for peer in roads}  # type: dict[str, tuple[list[float], list[float]]]
            for turn in range(repeats + 1):
                for peer, road in roads.items():
                    taken = _timed(road, value, f"{value.nbytes}-{turn}", _CALLS.get(size, 1))
                    if turn:  # the first is for what is made once
                        for kept, seconds in zip(timings[peer], taken, strict=True):
                            kept.append(seconds)
            for peer, (puts, gets) in timings.items():
                yield Row(store, size, peer, statistics.median(puts), statistics.median(gets))


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return whether a bar was missed."""
    options = _options(arguments)
    os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "10240"
    rows: list[Row] = []
    for store in options.stores or PLANES:
        with tempfile.TemporaryDirectory(prefix="gl-") as folder:
            rows += measured(store, options.sizes, options.repeats, Path(folder))
        print(shown([row for row in rows if row.store == store]), flush=True)
    bars = list(bars_of(rows))
    for said, kept in bars:
        print(f"{verdict(kept):>6}  {said}")
    return 0 if all(kept for _, kept in bars) else 1


def shown(rows: Sequence[Row]) -> str:
    """Return a store's table: milliseconds, and how many times our time a peer takes."""
    heads = [rows[0].store, "", "put ms", "get ms", "put/ours", "get/ours"]
    by_size = {row.size: row for row in rows if row.peer == OURS}
    lines = [
        [
            row.size,
            row.peer,
            f"{row.put_s * 1e3:.3f}",
            f"{row.get_s * 1e3:.3f}",
            f"{row.put_s / by_size[row.size].put_s:.2f}",
            f"{row.get_s / by_size[row.size].get_s:.2f}",
        ]
        for row in rows
    ]
    return table(heads, lines, left=2)


def bars_of(rows: Sequence[Row]) -> Iterator[tuple[str, bool]]:
    """Yield each bar and whether it was kept."""
    for store, size in dict.fromkeys((row.store, row.size) for row in rows):
        here = {row.peer: row for row in rows if (row.store, row.size) == (store, size)}
        peers = {peer: row for peer, row in here.items() if peer not in {OURS, RAW, MEMCPY}}
        alike = [row for peer, row in peers.items() if not peer.endswith(BYTES)]
        for what in ("put", "get"):
            best, bare = (_best(rows, what) / _seconds(here[OURS], what) for rows in (alike, peers.values()))
            said = f"the best peer takes {best:.2f} of our time (at least 1); with bytes alone, {bare:.2f}"
            yield f"{store}, {size}, {what}: {said}", best >= 1
        if size == RAW_SIZE and RAW in here:
            for what in ("put", "get"):
                times = _seconds(here[OURS], what) / _seconds(here[RAW], what)
                yield (
                    f"{store}, {size}, {what}: {times:.2f} times a raw socket (at most {RAW_TIMES})",
                    times <= RAW_TIMES,
                )


def _best(rows: Iterable[Row], what: str) -> float:
    return min(_seconds(row, what) for row in rows)


def _seconds(row: Row, what: str) -> float:
    return row.put_s if what == "put" else row.get_s


def _timed(road: Road, value: Any, name: str, calls: int) -> tuple[float, float]:
    """Return what a put and a get take."""
    names = [f"{name}-{call}" for call in range(calls)]
    put_s = _seconds_of(lambda each: road.put(each, value), names)
    get_s = _seconds_of(lambda each: _checked(road.get(each), value), names)
    for each in names:
        road.delete(each)
    return put_s, get_s


def _seconds_of(call: Callable[[str], object], names: Sequence[str]) -> float:
    start_s = time.perf_counter()
    for name in names:
        call(name)
    return (time.perf_counter() - start_s) / len(names)


def _checked(found: Any, value: Any) -> Any:
    """Return what was got, if it is as long as what was put: a peer that gives less would be faster."""
    if found.nbytes != value.nbytes:
        raise ValueError(f"{found.nbytes:,} bytes came back of {value.nbytes:,}")
    return found


def _options(arguments: Sequence[str] | None) -> Any:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dataplane", description=__doc__.partition("\n")[0]
    )
    parser.add_argument("stores", nargs="*", choices=[*PLANES, []], help="which stores; all of them")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--repeats", type=int, default=9)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
