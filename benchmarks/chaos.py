"""A million tasks under faults: `make chaos`, or `python -m benchmarks.chaos [--tasks 1000000] [--seed 0]`.

In: a number of tasks and a seed. Out: figures: what was done, what befell it, and that nothing was lost or wrong. The
client is our scheduler, the functions are our runtime, both in this process, on a loop whose time jumps: replies that
come minutes late, and storms of half an hour, cost nothing. Nine tasks of ten have values that ride inline, those of
the tenth lie in a file store.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.synthetic import reduction
from graphlambda.testing.chaos import ALL_BEARABLE, BEARABLE, Scenario, scenario
from graphlambda.testing.chaos_checks import Subject
from graphlambda.testing.chaos_figures import Figures
from graphlambda.testing.chaos_ground import on_disk
from graphlambda.testing.chaos_play import play
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TASKS = 1_000_000
RATE = 0.1
"""The share of invocations that something befalls."""

_OPERATIONS: tuple[Callable[..., Any], ...] = (
    lambda number: number,
    lambda number, factor: number * factor,
    lambda one, other: one + other,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Play and print."""
    options = _options(arguments)
    figures, started_s = Figures(), time.perf_counter()
    for share, inline_bytes in ((0.9, 65_536), (0.1, 0)):
        leaves = max(2, round(options.tasks * share) // 3)
        with tempfile.TemporaryDirectory(prefix="graphlambda-chaos-") as folder:
            figures.add(
                play(_scenario(options.seed, leaves, inline_bytes), _subject(leaves), on_disk(Path(folder)))
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(figures.text())
    print(f"{time.perf_counter() - started_s:,.0f} s, {peak / 1e9:.2f} GB at most")


def _scenario(seed: int, leaves: int, inline_bytes: int) -> Scenario:
    """Return a scenario whose faults any run must bear, all of them."""
    return replace(
        scenario(seed),
        shape="reduction", tasks=3 * leaves - 1, concurrency=64, batch=None, inline_bytes=inline_bytes,
        faults=ALL_BEARABLE, rate=RATE, most=BEARABLE, task_s=(0.001, 0.05), storm_s=(60.0, 240.0),
        deaths=None, idempotent=None, in_bucket=False,
    )  # fmt: skip


def _subject(leaves: int) -> Subject:
    program = reduction(leaves)
    operations = {table.operation.id: call for table, call in zip(program.tables, _OPERATIONS, strict=True)}
    total = leaves * (leaves - 1) // 2 * 0.5
    return Subject(program=program, operations=operations, values=[total], same=identical)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
