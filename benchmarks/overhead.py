"""What running a task costs that does nothing, beside Dask's own schedulers and Lithops.

    python -m benchmarks.overhead [peers …] [--shapes independent chain alternating tree] [--repeats 3]

Prints a table: seconds (the median), microseconds a task, and the ratio to `distributed`'s time; then the bars. All
peers run in the same minutes on the same machine, each in a process of its own, and once unmeasured first: its
processes and functions exist by then.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from benchmarks import with_lithops
from benchmarks.apart import apart
from benchmarks.peers import DISTRIBUTED, OURS, PEERS, SINGLY, Compute
from benchmarks.text import table, verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CHEAPER_THAN_DISTRIBUTED = 20
CHEAPER_THAN_LITHOPS = 500
HOP_US = 2_000
"""The bars: how many times cheaper than each we are by default; a hop of the alternating chain with `batch=1`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One peer on one shape."""

    shape: str
    peer: str
    tasks: int
    seconds: float

    @property
    def task_us(self) -> float:
        """Microseconds a task."""
        return self.seconds / self.tasks * 1e6


def nothing(*_inputs: Any) -> None:
    """Do nothing, with any inputs."""


def nothing_else(*_inputs: Any) -> bool:
    """Do nothing in another way."""
    return False


def independent(tasks: int) -> Any:
    """Return tasks that wait for nothing: one collection, since Dask takes 2 ms for each of many."""
    from dask.bag import Bag

    name = f"nothing-{uuid4().hex}"
    return Bag({(name, number): (nothing, number) for number in range(tasks)}, name, tasks)


def chain(tasks: int) -> Any:
    """Return tasks, each of which waits for the one before."""
    return _chained(tasks, nothing, nothing)


def alternating(tasks: int) -> Any:
    """Return a chain in which every other task is of another operation."""
    return _chained(tasks, nothing, nothing_else)


def tree(tasks: int) -> Any:
    """Return the root over half as many leaves, which are joined in pairs."""
    from dask import delayed

    level = [delayed(nothing)(number) for number in range((tasks + 1) // 2)]
    while len(level) > 1:
        level = [delayed(nothing)(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def _chained(tasks: int, even: Callable[..., Any], odd: Callable[..., Any]) -> Any:
    from dask import delayed

    last = delayed(even)()
    for number in range(1, tasks):
        last = delayed(odd if number % 2 else even)(last)
    return last


SHAPES: dict[str, tuple[Callable[[int], Any], int]] = {
    "independent": (independent, 10_000),
    "chain": (chain, 1_000),
    "alternating": (alternating, 1_000),
    "tree": (tree, 8_191),
}
"""What builds each, and how many tasks it has."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _options(arguments)
    names = options.peers or [*PEERS, with_lithops.NAME]
    rows = [row for peer in names for row in _rows(peer, options.shapes, options.repeats, options.part)]
    rows.sort(key=lambda row: options.shapes.index(row.shape))
    print(_table(rows))
    for text, kept in bars(rows):
        print(f"{text}: {verdict(kept)}")


def measured(peer: str, shapes: list[str], repeats: int, part: int) -> list[tuple[str, int, float]]:
    """Return (shape, tasks, median seconds) of one of Dask's schedulers or ours; called in a process of its own."""
    found = []
    with PEERS[peer]() as ready:
        for shape in shapes:
            build, whole = SHAPES[shape]
            tasks = (whole + 1) // part - 1
            ready.compute(build(tasks))
            seconds = statistics.median(_seconds(ready.compute, build(tasks)) for _ in range(repeats))
            found.append((shape, tasks, seconds))
    return found


def bars(rows: Sequence[Row]) -> Iterator[tuple[str, bool]]:
    """Yield each bar's text and whether it is kept, where both sides were measured."""
    us = {(row.shape, row.peer): row.task_us for row in rows}
    for shape in dict.fromkeys(row.shape for row in rows):
        for ours, peer, least in (
            (OURS, DISTRIBUTED, CHEAPER_THAN_DISTRIBUTED),
            (OURS, with_lithops.NAME, CHEAPER_THAN_LITHOPS),
            (SINGLY, DISTRIBUTED, 1),
        ):
            if {(shape, ours), (shape, peer)} <= us.keys():
                times = us[shape, peer] / us[shape, ours]
                yield (
                    f"{shape}: {ours} is {times:,.1f} times cheaper than {peer} (at least {least})",
                    times >= least,
                )
    if hop_us := us.get(("alternating", SINGLY)):
        yield f"alternating: a hop with batch=1 takes {hop_us:,.0f} µs (at most {HOP_US:,})", hop_us <= HOP_US


def _rows(peer: str, shapes: list[str], repeats: int, part: int) -> list[Row]:
    print(f"{peer}: {', '.join(shapes)}", file=sys.stderr, flush=True)
    if peer == with_lithops.NAME:
        found = apart("benchmarks.with_lithops", "measured", shapes)
    else:
        found = apart("benchmarks.overhead", "measured", peer, shapes, repeats, part)
    return [Row(shape, peer, tasks, seconds) for shape, tasks, seconds in found]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.split("\n")[0])
    known = [*PEERS, with_lithops.NAME]
    parser.add_argument(
        "peers", nargs="*", type=_one_of(known), metavar="peer", help=f"of {', '.join(known)}"
    )
    parser.add_argument("--shapes", nargs="+", type=_one_of(SHAPES), default=list(SHAPES), metavar="shape")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is taken")
    parser.add_argument(
        "--part", type=int, default=1, help="of the tasks, one in so many (a power of two): a quick look"
    )
    return parser.parse_args(arguments)


def _one_of(known: Sequence[str] | dict[str, Any]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return text

    return checked


def _seconds(compute: Compute, work: Any) -> float:
    """Return the wall time of computing `work`, whose keys are new: `distributed` would hand out known results."""
    start_s = time.perf_counter()
    compute(work)
    return time.perf_counter() - start_s


def _table(rows: Sequence[Row]) -> str:
    base = {row.shape: row.task_us for row in rows if row.peer == DISTRIBUTED}
    heads = ["shape", "peer", "tasks", "seconds", "µs a task", "of distributed's"]
    return table(heads, [_cells(row, base.get(row.shape)) for row in rows], left=2)


def _cells(row: Row, distributed_us: float | None) -> list[str]:
    ratio = "-" if distributed_us is None else f"{row.task_us / distributed_us:.3f}"
    return [row.shape, row.peer, f"{row.tasks:,}", f"{row.seconds:.2f}", f"{row.task_us:,.0f}", ratio]


if __name__ == "__main__":
    main()
