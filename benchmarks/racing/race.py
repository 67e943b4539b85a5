"""The race: every case by every peer, a table, the bars.

In: names of cases and peers. Out: what is printed, from which processes were measured in turns: first all that bars are
about, a line for each case as it ends, then other peers as long as there is time. A peer that fails is said so.
"""

from __future__ import annotations

import argparse
import math
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks import with_lithops
from benchmarks.apart import apart
from benchmarks.peers import DISTRIBUTED, OURS, WORKERS
from benchmarks.racing.cases import CASES, MATRIX
from benchmarks.racing.turns import WARM, racer
from benchmarks.text import table, verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

MEAN, WORST, OF_NUMPY = 0.8, 1.1, 0.95
"""The bars: our time over `distributed`'s, its geometric mean and its worst; our GFLOPS over plain NumPy's."""

TASK_S = 0.05
"""What the median task takes at least."""

PEERS = (OURS, DISTRIBUTED, "threads", "processes")
SWEEP, GEMM = "scikit-learn sweep", "GEMM"


@dataclass(frozen=True, slots=True)
class Result:
    """One case by one peer."""

    turns_s: tuple[float, ...]
    """Each of its runs."""

    numbers: Any
    """What its result comes down to; None where nobody compares it."""

    @property
    def seconds(self) -> float:
        """The median of its runs."""
        return statistics.median(self.turns_s)


@dataclass(frozen=True, slots=True)
class Raced:
    """One case by all peers."""

    name: str
    task_s: float
    """The median task's CPU time, run alone."""

    results: Mapping[str, Result]
    failed: tuple[str, ...] = ()
    """Peers that did not come to the end."""

    @property
    def ratio(self) -> float:
        """Our time over `distributed`'s: the median over the turns, in each of which both had the same weather."""
        both = zip(self.results[OURS].turns_s, self.results[DISTRIBUTED].turns_s, strict=True)
        return statistics.median(ours / theirs for ours, theirs in both)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _options(arguments)
    end_s = time.monotonic() + 60 * options.minutes
    judged = [peer for peer in options.peers if peer in (OURS, DISTRIBUTED)]
    others = [peer for peer in options.peers if peer not in judged]
    raced, gflops = [], None
    with tempfile.TemporaryDirectory(prefix="graphlambda-benchmarks-") as folder:
        for name in options.cases:
            raced.append(_raced(name, judged, folder, options.repeats))
            print(rendered(raced[-1:]).splitlines()[-1], flush=True)
        if GEMM in options.cases:
            gflops = _numpy_gflops(options.repeats)
        raced = [_joined(each, others, folder, end_s) for each in raced]
    print(rendered(raced))
    for text, kept in bars(raced, gflops):
        print(f"{text}: {verdict(kept)}")


def rendered(raced: Sequence[Raced]) -> str:
    """Return the table: seconds by peer, and our time over `distributed`'s."""
    peers = list(dict.fromkeys(peer for each in raced for peer in each.results))
    heads = ["workload", "median task, ms", *peers, "of distributed's"]
    return table(heads, [_cells(each, peers) for each in raced])


def bars(raced: Sequence[Raced], numpy_gflops: float | None) -> Iterator[tuple[str, bool]]:
    """Yield each bar's text and whether it is kept, as far as both sides were measured."""
    for each in raced:
        yield from ((f"{each.name}: {peer} comes to the end", False) for peer in each.failed)
    both = [each for each in raced if {OURS, DISTRIBUTED} <= each.results.keys()]
    if both:
        mean = math.exp(statistics.fmean(math.log(each.ratio) for each in both))
        worst = max(both, key=lambda each: each.ratio)
        yield (
            f"geometric mean of our time over distributed's: {mean:.2f} (at most {MEAN})",
            mean <= MEAN,
        )
        yield f"worst: {worst.ratio:.2f}, {worst.name} (at most {WORST})", worst.ratio <= WORST
    for each in raced:
        if each.name == GEMM and numpy_gflops and OURS in each.results:
            ours = _gflops(each.results[OURS].seconds)
            share = ours / numpy_gflops
            text = f"GEMM: {ours:.0f} GFLOPS, {share:.0%} of plain NumPy's {numpy_gflops:.0f}"
            yield f"{text} (at least {OF_NUMPY:.0%})", share >= OF_NUMPY
        if len(each.results) > 1:
            yield f"{each.name}: all peers give the same result", _all_alike(each)
    shortest = min(raced, key=lambda each: each.task_s)
    text = f"shortest median task: {shortest.task_s * 1e3:.0f} ms, {shortest.name}"
    yield f"{text} (at least {TASK_S * 1e3:.0f} ms)", shortest.task_s >= TASK_S


def _raced(name: str, peers: Sequence[str], folder: str, repeats: int) -> Raced:
    """Measure a case by those peers that bars are about, in turns."""
    tasks_s = _measured(name, "one task after the other", "tasks_s", name, folder)
    raced = Raced(name, statistics.median(tasks_s), {})
    try:
        return replace(raced, results=_in_turns(name, peers, folder, repeats))
    except subprocess.SubprocessError as error:
        print(f"  {error}; each peer alone:", file=sys.stderr, flush=True)
        return _with(raced, peers, folder, repeats)


def _in_turns(name: str, peers: Sequence[str], folder: str, repeats: int) -> dict[str, Result]:
    """Return what peers that live side by side do, one after the other, the first one last in the next turn."""
    with ExitStack() as stack:
        racers = {peer: stack.enter_context(racer(name, peer, folder)) for peer in peers}
        print(f"{name}: {', '.join(peers)}, in turns", file=sys.stderr, flush=True)
        for each in racers.values():
            for _ in range(WARM):
                each.run()
        turns_s: dict[str, list[float]] = {peer: [] for peer in peers}
        for turn in range(repeats):
            for peer in peers[:: -1 if turn % 2 else 1]:
                turns_s[peer].append(racers[peer].run())
        return {peer: Result(tuple(turns_s[peer]), each.numbers()) for peer, each in racers.items()}


def _joined(raced: Raced, peers: Sequence[str], folder: str, end_s: float) -> Raced:
    """Measure a case by other peers, one run each, as long as there is time."""
    for peer in peers:
        if time.monotonic() < end_s:
            raced = _with(raced, [peer], folder, 1)
    if raced.name == SWEEP and peers and time.monotonic() < end_s:
        return _with(raced, [with_lithops.NAME], folder, 1)
    return raced


def _with(raced: Raced, peers: Sequence[str], folder: str, repeats: int) -> Raced:
    """Measure a case by some peers."""
    results, failed = dict(raced.results), list(raced.failed)
    for peer in peers:
        try:
            results[peer] = _result(raced.name, peer, folder, repeats)
        except subprocess.SubprocessError as error:
            print(f"  {error}", file=sys.stderr, flush=True)
            failed.append(peer)
        else:
            print(f"  {results[peer].seconds:.2f} s", file=sys.stderr, flush=True)
    return replace(raced, results=results, failed=tuple(failed))


def _result(name: str, peer: str, folder: str, repeats: int) -> Result:
    if peer == with_lithops.NAME:
        return Result(tuple(_measured(name, peer, "lithops_s", repeats)), None)
    told = _measured(name, peer, "raced", name, peer, folder, repeats)
    return Result(tuple(told["seconds"]), told["numbers"])


def _measured(name: str, who: str, function: str, *arguments: Any, **variables: str) -> Any:
    print(f"{name}: {who}", file=sys.stderr, flush=True)
    return apart("benchmarks.racing.measure", function, *arguments, **variables)


def _numpy_gflops(repeats: int) -> float:
    """Return what plain NumPy does with both cores."""
    both = {"OPENBLAS_NUM_THREADS": str(WORKERS), "OMP_NUM_THREADS": str(WORKERS)}
    return _gflops(statistics.median(_measured(GEMM, "plain NumPy", "numpy_s", repeats, **both)))


def _gflops(seconds: float) -> float:
    return 2 * MATRIX**3 / seconds / 1e9


def _all_alike(raced: Raced) -> bool:
    first, *others = [result.numbers for result in raced.results.values() if result.numbers is not None]
    return all(np.shape(first) == np.shape(other) and np.allclose(first, other) for other in others)


def _cells(raced: Raced, peers: Sequence[str]) -> list[str]:
    seconds = [f"{raced.results[peer].seconds:.2f}" if peer in raced.results else "-" for peer in peers]
    known = {OURS, DISTRIBUTED} <= raced.results.keys()
    return [raced.name, f"{raced.task_s * 1e3:.0f}", *seconds, f"{raced.ratio:.2f}" if known else "-"]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workloads")
    names = [case.name for case in CASES]
    parser.add_argument("cases", nargs="*", default=names, metavar="workload", help=f"of {', '.join(names)}")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, metavar="peer")
    parser.add_argument("--repeats", type=int, default=3, help="runs of which a bar's peers have the median")
    parser.add_argument(
        "--minutes", type=float, default=6, help="after so long, peers that no bar is about are left out"
    )
    options = parser.parse_args(arguments)
    if unknown := set(options.cases) - set(names):
        parser.error(f"{', '.join(sorted(unknown))}: none of {', '.join(names)}")
    return options
