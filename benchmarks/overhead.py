"""What running a task costs that does nothing, beside Dask's own schedulers.

    python -m benchmarks.overhead [peers …] [--shapes independent chain tree] [--repeats 3]

Prints a table: seconds (the median), microseconds a task, and the ratio to `distributed`'s time. All peers run in
the same minutes on the same machine, each once unmeasured first: its processes and functions exist by then.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

import dask
from dask import delayed
from dask.bag import Bag
from distributed import Client, LocalCluster

import graphlambda
from benchmarks.text import table

if TYPE_CHECKING:
    from collections.abc import Sequence

Compute: TypeAlias = Callable[[Any], Any]
"""Computes a collection."""

DISTRIBUTED = "distributed"


@dataclass(frozen=True, slots=True)
class Shape:
    """A graph of tasks that do nothing."""

    tasks: int
    build: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Row:
    """One peer on one shape."""

    shape: str
    peer: str
    seconds: float


def nothing(*_inputs: Any) -> None:
    """Do nothing, with any inputs."""


def independent() -> Any:
    """Return 10,000 tasks that wait for nothing: one collection, since Dask takes 2 ms for each of many."""
    name = f"nothing-{uuid4().hex}"
    return Bag({(name, number): (nothing, number) for number in range(10_000)}, name, 10_000)


def chain() -> Any:
    """Return 1,000 tasks, each of which waits for the one before."""
    last = delayed(nothing)()
    for _ in range(999):
        last = delayed(nothing)(last)
    return last


def tree() -> Any:
    """Return the root over 4,096 leaves that are joined in pairs."""
    level = [delayed(nothing)(number) for number in range(4096)]
    while len(level) > 1:
        level = [delayed(nothing)(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


SHAPES = {"independent": Shape(10_000, independent), "chain": Shape(1_000, chain), "tree": Shape(8_191, tree)}


@contextmanager
def _graphlambda(**options: Any) -> Iterator[Compute]:
    """Functions and environments outlive a run by themselves."""
    yield partial(graphlambda.compute, **options)


@contextmanager
def _distributed() -> Iterator[Compute]:
    """Two workers of one thread each; alive only here, since a client changes what Dask builds."""
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        yield partial(dask.compute, scheduler=client)


@contextmanager
def _processes() -> Iterator[Compute]:
    """Two processes, as everywhere here; Dask makes them anew for each run."""
    yield partial(dask.compute, scheduler="processes", num_workers=2)


PEERS: dict[str, Callable[[], AbstractContextManager[Compute]]] = {
    "graphlambda": _graphlambda,
    "graphlambda, batch=1": partial(_graphlambda, batch=1),
    DISTRIBUTED: _distributed,
    "processes": _processes,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _options(arguments)
    names = options.peers or PEERS
    print(_table([_measure(shape, peer, options.repeats) for shape in options.shapes for peer in names]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.split("\n")[0])
    parser.add_argument(
        "peers", nargs="*", type=_one_of(PEERS), metavar="peer", help=f"of {', '.join(PEERS)}"
    )
    parser.add_argument("--shapes", nargs="+", type=_one_of(SHAPES), default=list(SHAPES), metavar="shape")
    parser.add_argument("--repeats", type=int, default=3, help="the median of so many is taken")
    return parser.parse_args(arguments)


def _one_of(known: dict[str, Any]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(known)}")
        return text

    return checked


def _measure(shape: str, peer: str, repeats: int) -> Row:
    print(f"{shape}: {peer}", file=sys.stderr, flush=True)
    build = SHAPES[shape].build
    with PEERS[peer]() as compute:
        compute(build())
        return Row(shape, peer, statistics.median(_seconds(compute, build()) for _ in range(repeats)))


def _seconds(compute: Compute, work: Any) -> float:
    """Return the wall time of computing `work`, whose keys are new: `distributed` would hand out known results."""
    start_s = time.perf_counter()
    compute(work)
    return time.perf_counter() - start_s


def _table(rows: Sequence[Row]) -> str:
    base = {row.shape: row.seconds for row in rows if row.peer == DISTRIBUTED}
    heads = ["shape", "peer", "tasks", "seconds", "µs a task", "of distributed's"]
    return table(heads, [_cells(row, base.get(row.shape)) for row in rows], left=2)


def _cells(row: Row, distributed_s: float | None) -> list[str]:
    tasks = SHAPES[row.shape].tasks
    ratio = "-" if distributed_s is None else f"{row.seconds / distributed_s:.2f}"
    return [
        row.shape,
        row.peer,
        f"{tasks:,}",
        f"{row.seconds:.2f}",
        f"{row.seconds / tasks * 1e6:,.0f}",
        ratio,
    ]


if __name__ == "__main__":
    main()
