"""A reduction whose intermediates are twenty times what the store may hold.

    python -m benchmarks.memory [--chunks 10000] [--store-mb 120]

Prints what the run stored in all, what lay in the store's folder at any moment (looked at every 20 ms) and what its
summary says of that, beside the same run without a bound. The result is compared with Dask's.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dask.array as da
import numpy as np

from benchmarks.text import table, verdict
from graphlambda import config as settings
from graphlambda.api import building, work
from graphlambda.api.given import given_to
from graphlambda.api.session import session_of
from graphlambda.api.stores import Opened
from graphlambda.compiler import called_operations, compile_collections
from graphlambda.report.units import duration, size
from graphlambda.store.file import FileStore

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphlambda.report import Summary

LOOK_S = 0.02
TIMES = 20
"""How much larger the intermediates are than the store may be."""

WIDTH = 14_000
"""Numbers of a chunk: 112 kB, too large to travel in a request."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    summary: Summary
    peak_bytes: int
    """The most that was seen in the store's folder."""

    right: bool


class Watch:
    """Looks at a folder until it is told to stop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stop = threading.Event()
        self.peak_bytes = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look while the body runs."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join()

    def _look(self) -> None:
        while not self._stop.wait(LOOK_S):
            self.peak_bytes = max(self.peak_bytes, sum(map(_size, self._folder.rglob("v-*"))))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # deleted since it was listed
        return 0


def reduction(chunks: int) -> Any:
    """Return the sum of random rows, a chunk each, in a tree."""
    rows = da.random.default_rng(1).random((chunks, WIDTH), chunks=(1, WIDTH))
    return rows.sum(axis=0, split_every=4)


def measure(chunks: int, store_mb: int | None, wanted: Any) -> Measured:
    """Run the reduction in a store of its own."""
    config = settings.load({"store_mb": store_mb, "progress": False})
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        root = Path(folder) / "values"
        root.mkdir(mode=0o700)
        session = replace(session_of(config), opened=Opened(FileStore(root), (root,)))
        program = compile_collections(reduction(chunks))
        watch = Watch(Path(folder))
        with watch.watching(), work.display_of(session) as display:
            functions = building.functions_of(
                called_operations(program), session, given_to(program, config), display.built
            )
            done = work.ran(program, functions, session, display)
    (value,) = program.finish(done.values)
    return Measured(done.summary, watch.peak_bytes, bool(np.allclose(value, wanted, rtol=1e-12)))


def _memory() -> str | None:
    folder = Path("/dev/shm")
    return str(folder) if folder.is_dir() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the reduction with and without a bound; return whether the bar was kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--chunks", type=int, default=10_000)
    parser.add_argument("--store-mb", type=int, default=120)
    given = parser.parse_args(arguments)
    wanted = reduction(given.chunks).compute(scheduler="threads")
    begun_s = time.perf_counter()
    bounded = measure(given.chunks, given.store_mb, wanted)
    free = measure(given.chunks, None, wanted)
    print(
        table(
            ("", "stored in all", "at most at once", "by its summary", "seconds", "result"),
            [_row(f"store_mb={given.store_mb}", bounded), _row("no bound", free)],
        )
    )
    print(f"measured in {duration(time.perf_counter() - begun_s)}")
    kept = _bars(bounded, given.store_mb * 1_000_000)
    return 0 if kept else 1


def _row(name: str, of: Measured) -> tuple[str, ...]:
    summary = of.summary
    told = size(summary.stored_peak_bytes)
    right = "as Dask's" if of.right else "WRONG"
    return name, size(summary.stored_bytes), size(of.peak_bytes), told, f"{summary.seconds:.1f}", right


def _bars(of: Measured, bound_bytes: int) -> bool:
    times = of.summary.stored_bytes / bound_bytes
    bars = {
        f"intermediates of {times:.0f} times the bound, at least {TIMES}": times >= TIMES,
        f"never more than {size(bound_bytes)} in the store": of.peak_bytes <= bound_bytes,
        "no task sent beyond it": of.summary.overfull == 0,
        "the result is Dask's": of.right,
    }
    for bar, kept in bars.items():
        print(f"{verdict(kept)}: {bar}")
    return all(bars.values())


if __name__ == "__main__":
    sys.exit(main())
