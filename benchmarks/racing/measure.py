"""Measures one case by one peer; each call of `benchmarks.apart` makes a process for it.

In: the names of a case and of a peer, a folder. Out: seconds and numbers, as JSON-like data.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.peers import PEERS, Peer
from benchmarks.racing.cases import CASES, MATRIX, Case, fitted_score

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEAST_S = 0.005
"""A task that takes less only picks a part, adds up a few numbers, or hands a value on."""


def raced(name: str, peer: str, folder: str, repeats: int) -> dict[str, Any]:
    """Return the seconds of each of some runs after one that is not measured, and the result's numbers."""
    with prepared(name, peer, folder) as run:
        run()
        seconds = [run.timed() for _ in range(repeats)]
        return {"seconds": seconds, "numbers": run.numbers()}


@contextmanager
def prepared(name: str, peer: str, folder: str) -> Iterator[Run]:
    """Yield what computes a case by a peer, whose workers live as long."""
    case = _named(name)
    with PEERS[peer]() as ready:
        yield Run(case, ready, Path(folder) if case.ready is None else ready.persist(*case.ready()))


class Run:
    """One case by one peer; called, it computes it once more."""

    def __init__(self, case: Case, peer: Peer, given: Any) -> None:
        self._case, self._peer, self._given = case, peer, given
        self._result: Any = None

    def __call__(self) -> None:
        """Compute it."""
        (self._result,) = self._peer.compute(self._case.build(self._given))

    def timed(self) -> float:
        """Return how many seconds it takes."""
        return _seconds(self)

    def numbers(self) -> Any:
        """Return what the latest result comes down to."""
        return np.asarray(self._case.numbers(self._result), dtype=float).tolist()


def tasks_s(name: str, folder: str) -> list[float]:
    """Return the CPU time of each task that computes something, one after the other in this process."""
    import dask
    from dask.callbacks import Callback

    case, started_s, found = _named(name), {}, []

    def begin(key: Any, _graph: Any, _state: Any) -> None:
        started_s[key] = time.thread_time()

    def end(key: Any, _value: Any, _graph: Any, _state: Any, _worker: Any) -> None:
        if (taken_s := time.thread_time() - started_s[key]) >= LEAST_S:
            found.append(taken_s)

    given = Path(folder) if case.ready is None else dask.persist(*case.ready(), scheduler="sync")
    with Callback(pretask=begin, posttask=end):
        dask.compute(case.build(given), scheduler="sync")
    return found


def numpy_s(repeats: int) -> list[float]:
    """Return how long plain NumPy takes for the product of GEMM's matrices."""
    draw = np.random.default_rng(0).random
    one, other = draw((MATRIX, MATRIX)), draw((MATRIX, MATRIX))
    one @ other
    return [_seconds(lambda: one @ other) for _ in range(repeats)]


def lithops_s(repeats: int) -> list[float]:
    """Return how long Lithops takes for the sweep: one `map`, with the data in each call."""
    from lithops import FunctionExecutor
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from benchmarks.with_lithops import config

    split = train_test_split(*load_digits(return_X_y=True), random_state=0)

    with FunctionExecutor(config=config()) as executor:

        def run() -> None:
            executor.map(fitted_score, list(range(2, 22)), extra_args=(split,))
            executor.get_result()

        run()
        return [_seconds(run) for _ in range(repeats)]


def _named(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def _seconds(call: Callable[[], Any]) -> float:
    start_s = time.perf_counter()
    call()
    return time.perf_counter() - start_s
