"""What it costs to put a value into a store and to get it back, beside others' clients of the same server.

    python -m benchmarks.dataplane [stores …] [--sizes 1KB 1MB 64MB 512MB] [--seconds 10]

Ours pickles, signs, stores, reads, verifies and un-pickles a NumPy array that a task could change; the peers do the same
without signatures, and what their clients do with the array's bytes alone stands beside that, up to 64 MB. A raw socket
and memcpy store nothing: they say what the machine can do. Each size has servers of its own, which go when it is measured
or this process is killed. All roads take turns, in an order drawn anew for each; medians. Prints a line for
each road, then the bars: one is missed if it is by more than the turns' own spread, which stands beside it.
Memory is kept for the next large value as in a function of 10 GB.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.planes import BYTES, MEMCPY, OURS, PLANES, RAW
from benchmarks.text import verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.planes import Plane, Road

SIZES = {"1KB": 1 << 10, "1MB": 1 << 20, "64MB": 64 << 20, "512MB": 512 << 20}
RAW_TIMES, RAW_SIZE = 1.5, "64MB"
"""The bars: never slower than the best peer; at this size, this many times a raw socket's time at most."""

_CALLS = {"1KB": 5, "1MB": 2}
"""How many calls one timing has, for what is over too soon."""

_FEWEST_TURNS = 3
_TIDY_BYTES = 1 << 30
"""After that many bytes, a server is asked to give up the room of what was deleted."""

_BYTES_ALONE_UP_TO = 64 << 20
_UNSURE = "; these turns cannot tell"
_LINE = "{:<12} {:<6} {:<32} {:>10} {:>10} {:>9} {:>9} {:>6}"
_HEADS = ("store", "size", "", "put ms", "get ms", "put/ours", "get/ours", "turns")


@dataclass(frozen=True, slots=True)
class Row:
    """One way to move values of one size: seconds a call, turn by turn."""

    store: str
    size: str
    peer: str
    puts_s: tuple[float, ...]
    gets_s: tuple[float, ...]


def measured(store: str, size: str, seconds: float) -> list[Row]:
    """Return what a store's roads take, in turns for about that long."""
    timings: dict[str, list[tuple[float, float]]] = {}
    with PLANES[store]() as plane:
        begun_s, turns = time.monotonic(), 0
        while turns < _FEWEST_TURNS or time.monotonic() - begun_s < seconds:
            for peer, taken in _turn(plane, size, turns):
                timings.setdefault(peer, []).append(taken)
            turns += 1
    peers = sorted(timings, key=[*plane.roads].index)
    return [Row(store, size, peer, *map(tuple, zip(*timings[peer], strict=True))) for peer in peers]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return whether a bar was missed."""
    options = _options(arguments)
    os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] = "10240"
    print(_LINE.format(*_HEADS), flush=True)
    rows: list[Row] = []
    for store in options.stores or PLANES:
        for size in options.sizes:
            here = measured(store, size, options.seconds)
            print("\n".join(shown(here)), flush=True)
            rows += here
    bars = list(bars_of(rows))
    for said, kept in bars:
        print(f"{verdict(kept):>6}  {said}")
    return 0 if all(kept for _, kept in bars) else 1


def shown(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a line for each road of one store and size: milliseconds, and how many times our time a peer takes."""
    ours = next(row for row in rows if row.peer == OURS)
    for row in rows:
        put_s, get_s = median(row.puts_s), median(row.gets_s)
        times = (f"{put_s / median(ours.puts_s):.2f}", f"{get_s / median(ours.gets_s):.2f}")
        milliseconds = (f"{put_s * 1e3:.3f}", f"{get_s * 1e3:.3f}")
        yield _LINE.format(row.store, row.size, row.peer, *milliseconds, *times, len(row.puts_s))


def bars_of(rows: Sequence[Row]) -> Iterator[tuple[str, bool]]:
    """Yield each bar and whether it was kept."""
    for store, size in dict.fromkeys((row.store, row.size) for row in rows):
        here = {row.peer: row for row in rows if (row.store, row.size) == (store, size)}
        ours = here[OURS]
        peers = [row for peer, row in here.items() if peer not in {OURS, RAW, MEMCPY}]
        for what in ("put", "get"):
            alike, alone = (
                min(
                    (_times(row, ours, what) for row in peers if row.peer.endswith(BYTES) is bare),
                    default=None,
                )
                for bare in (False, True)
            )
            assert alike is not None
            said = f"the best peer takes {_told(alike)} of our time (at least 1)"
            beside = f"; with bytes alone {_told(alone)}" if alone else ""
            doubt = _UNSURE if alike[0] < 1 <= alike[2] else ""
            yield f"{store}, {size}, {what}: {said}{beside}{doubt}", alike[2] >= 1
        if size == RAW_SIZE and RAW in here:
            for what in ("put", "get"):
                raw = _times(ours, here[RAW], what)
                doubt = _UNSURE if raw[1] <= RAW_TIMES < raw[0] else ""
                said = f"{_told(raw)} times a raw socket (at most {RAW_TIMES}){doubt}"
                yield f"{store}, {size}, {what}: {said}", raw[1] <= RAW_TIMES


def _times(row: Row, other: Row, what: str) -> tuple[float, float, float]:
    """Return how many times another's time one takes, and between which bounds that is with 95 % certainty.

    The median of what each turn says, in which both met the same machine; its bounds are by rank.
    """
    mine, others = (row.puts_s, other.puts_s) if what == "put" else (row.gets_s, other.gets_s)
    ratios = sorted(one / another for one, another in zip(mine, others, strict=True))
    rank = max(0, math.floor((len(ratios) - 1.96 * math.sqrt(len(ratios))) / 2))
    return median(ratios), ratios[rank], ratios[-1 - rank]


def _told(times: tuple[float, float, float]) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*times)


def _turn(plane: Plane, size: str, turn: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield what a put and a get take by each road; what comes before a road differs from turn to turn."""
    value = np.random.default_rng(1).random(SIZES[size] // 8)
    calls, written = _CALLS.get(size, 1), 0
    peers = [peer for peer in plane.roads if value.nbytes <= _BYTES_ALONE_UP_TO or not peer.endswith(BYTES)]
    for peer in Random(turn).sample(peers, len(peers)):
        yield peer, _timed(plane.roads[peer], value, f"{value.nbytes}-{turn}", calls)
        written += value.nbytes * calls
        if written >= _TIDY_BYTES:
            plane.tidy()
            written = 0


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
    parser.add_argument("--seconds", type=float, default=10.0, help="for each store and size")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
