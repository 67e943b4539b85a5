"""How many unique operations real graphs have, and what it costs to find them.

    python -m benchmarks.operations [names …] [--scales 1,10,100] [--repeats 3] [--million]

Prints a table, the operations that are new at larger sizes with their reasons, and the bars. Exits with 1 where a
bar is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.compiling import DASK, OURS, Compiled, compile_best_of
from benchmarks.growth import New, new_operations
from benchmarks.million import MILLIONS, measure
from benchmarks.text import table, verdict
from benchmarks.workloads import WORKLOADS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.workloads import Workload

MEDIAN_US = 10.0
WORST_US = 20.0
MOST_OPERATIONS = 20
"""The bars: our share a task in the median and in the worst workload, and operations of any workload."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One workload at every scale, from the smallest on."""

    workload: Workload
    by_scale: tuple[tuple[int, Compiled], ...]

    @property
    def largest(self) -> Compiled:
        """Where fixed costs weigh least."""
        return self.by_scale[-1][1]

    @property
    def new(self) -> list[New]:
        """The operations that a larger scale adds."""
        return new_operations([(scale, compiled.operations) for scale, compiled in self.by_scale])


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where a bar is missed."""
    options = _options(arguments)
    warnings.simplefilter("ignore")  # what Dask advises about chunk sizes is not our matter here
    start_s = time.monotonic()
    measured = [
        _measure(WORKLOADS[name], options.scales, options.repeats) for name in options.names or WORKLOADS
    ]
    print(_table(measured, options.scales))
    print(_growth(measured))
    bars = _bars(measured)
    if options.million:
        bars += [bar for million in MILLIONS for bar in measure(million)]
    print("\n".join(f"{text}: {verdict(kept)}" for text, kept in bars))
    print(f"\n{len(measured)} workloads, best of {options.repeats}, in {time.monotonic() - start_s:.0f} s")
    return 0 if all(kept for _, kept in bars) else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.operations", description=__doc__.split("\n")[0]
    )
    parser.add_argument("names", nargs="*", type=_name, metavar="name", help="workloads; default: all")
    parser.add_argument("--scales", type=_scales, default=(1, 10, 100), help="1 is about 100 tasks")
    parser.add_argument("--repeats", type=int, default=3, help="the best of so many is taken")
    parser.add_argument("--million", action="store_true", help="graphs of a million tasks, a process each")
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if text not in WORKLOADS:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(WORKLOADS)}")
    return text


def _scales(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(each) for each in text.split(",")}))


def _measure(workload: Workload, scales: Sequence[int], repeats: int) -> Measured:
    print(f"compiling {workload.name}", file=sys.stderr, flush=True)
    return Measured(workload, tuple((scale, compile_best_of(workload, scale, repeats)) for scale in scales))


def _table(measured: Sequence[Measured], scales: Sequence[int]) -> str:
    heads = ["workload", *(f"tasks {scale}x" for scale in scales), *(f"ops {scale}x" for scale in scales)]
    rows = [[each.workload.name, *_counts(each), *_costs(each.largest)] for each in measured]
    return table([*heads, "new", "ours µs", "symbolic", "walk", "split", "rest", "dask µs"], rows)


def _counts(measured: Measured) -> list[str]:
    compiled = [each for _, each in measured.by_scale]
    tasks = [f"{each.tasks:,}" for each in compiled]
    return [*tasks, *(str(len(each.operations)) for each in compiled), str(len(measured.new))]


def _costs(compiled: Compiled) -> list[str]:
    stages_s = [compiled.stages_s.get(stage, 0.0) for stage in OURS]
    shares_s = (compiled.ours_s, *stages_s, compiled.ours_s - sum(stages_s), compiled.stages_s.get(DASK, 0.0))
    return [f"{compiled.per_task_us(seconds):.2f}" for seconds in shares_s]


def _growth(measured: Sequence[Measured]) -> str:
    lines = [
        f"  {each.workload.name} at {new.scale}x: {new.name}: {new.reason}"
        for each in measured
        for new in each.new
    ]
    return "\n".join(
        ["", "New at a larger size:" if lines else "No operation is new at a larger size.", *lines, ""]
    )


def _bars(measured: Sequence[Measured]) -> list[tuple[str, bool]]:
    costs = {each.workload.name: each.largest.per_task_us(each.largest.ours_s) for each in measured}
    most = {
        each.workload.name: max(len(compiled.operations) for _, compiled in each.by_scale)
        for each in measured
    }
    median_us = statistics.median(costs.values())
    worst, largest = max(costs, key=costs.__getitem__), max(most, key=most.__getitem__)
    return [
        (f"our share, median {median_us:.1f} µs a task (at most {MEDIAN_US:.0f})", median_us <= MEDIAN_US),
        (
            f"our share, worst {costs[worst]:.1f} µs: {worst} (at most {WORST_US:.0f})",
            costs[worst] <= WORST_US,
        ),
        (
            f"most operations {most[largest]}: {largest} (at most {MOST_OPERATIONS})",
            most[largest] <= MOST_OPERATIONS,
        ),
    ]


if __name__ == "__main__":
    sys.exit(main())
