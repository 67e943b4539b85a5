"""Runs on the local Lambda whose processes are killed: environments, their parents, the service itself."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import dask
import pytest
from dask import delayed

import graphlambda
from graphlambda.errors import LocalLambdaError
from graphlambda.local.processes import descendants
from graphlambda.store.file import FileStore, default_root
from graphlambda.testing.chaos_graphs import first, second

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCENARIOS = 20
LEFT_S = 30.0
SIGNALS = (signal.SIGSEGV, signal.SIGABRT)
"""Not SIGKILL: where Lambda tells of that, memory was short, and the function gets more of it."""

KILLS = 2
"""In one run: a task bears as many."""


def slowly(call: Callable[..., Any], number: int, elements: int, *inputs: Any) -> Any:
    time.sleep(0.02)
    return call(number, elements, *inputs)


def graph(random: Random) -> Any:
    """Return the end of a graph of two operations whose values ride inline and in the store."""
    level = [delayed(slowly)(first, number, random.choice((20, 12_000))) for number in range(10)]
    while len(level) > 1:
        joined = [level[start : start + 2] for start in range(0, len(level), 2)]
        level = [delayed(slowly)(second, 20 + n, 12_000, *inputs) for n, inputs in enumerate(joined)]
    return level[0]


def service() -> int | None:
    """Return the process of the local Lambda that this one has started, if one runs."""
    for pid in descendants(os.getpid())[1:]:
        try:
            if b"graphlambda.local" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        except OSError:
            continue
    return None


def leaves() -> list[int]:
    """Return the processes below the service that have started no other: environments, and parents of some to come."""
    top = service()
    below = [] if top is None else descendants(top)[1:]
    return [pid for pid in below if len(descendants(pid)) == 1]


def killing(random: Random, done: threading.Event, choose: Callable[[], list[int]], kills: int) -> None:
    """Kill one of the processes that there are, some times, at any moment."""
    while kills and not done.wait(random.uniform(0.01, 0.15)):
        if chosen := choose():
            kills -= 1
            try:
                os.kill(random.choice(chosen), random.choice(SIGNALS))
            except ProcessLookupError:
                continue


def computed(work: Any, random: Random, choose: Callable[[], list[int]], kills: int) -> Any:
    done = threading.Event()
    killer = threading.Thread(target=killing, args=(random, done, choose, kills))
    killer.start()
    try:
        return graphlambda.compute(work, progress=False, batch=random.choice((None, 1, 3)))[0]
    finally:
        done.set()
        killer.join()


def own_runs(store: FileStore) -> set[str]:
    """Return the runs in a store that this process has begun."""
    owners = {run: store.owner(run) for run in store.runs()}
    return {run for run, owner in owners.items() if owner and owner.process == os.getpid()}


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """See that no run that this process began during the test stays in the store, which all of the user's share."""
    store = FileStore(default_root(Path(os.environ["GRAPHLAMBDA_CACHE_DIR"])))
    before = own_runs(store)
    yield
    deadline_s = time.monotonic() + LEFT_S
    while own_runs(store) - before:
        assert time.monotonic() < deadline_s, "a run is left in the store"
        time.sleep(0.05)


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """Make the functions before anything is killed: building them is another matter."""
    graphlambda.compute(graph(Random(0)), progress=False)


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("number", range(SCENARIOS))
def test_environments_that_are_killed_change_no_value_and_leave_none(number: int) -> None:
    random = Random(number)
    work = graph(random)
    got = computed(work, random, leaves, KILLS)
    assert (got == dask.compute(work, scheduler="sync")[0]).all()


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("number", range(3))
def test_a_service_that_is_killed_ends_its_run_with_a_named_error_and_the_next_run_has_another(
    number: int,
) -> None:
    random = Random(number)
    work = graph(random)
    with contextlib.suppress(LocalLambdaError):
        computed(work, random, lambda: [pid for pid in [service()] if pid], 1)
    (got,) = graphlambda.compute(work, progress=False)
    assert (got == dask.compute(work, scheduler="sync")[0]).all()
