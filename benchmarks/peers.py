"""What graphlambda is measured beside: Dask's own schedulers, two cores each.

In: the name of a peer. Out: a context in which collections can be computed by it. Every peer is used in a process of
its own (see `apart`): what one leaves in memory, or sets, is not the next one's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

Compute: TypeAlias = Callable[..., Any]
"""Computes collections, as `dask.compute` does."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Something that runs Dask's graphs."""

    compute: Compute
    persist: Compute


OURS = "graphlambda"
SINGLY = "graphlambda, batch=1"
DISTRIBUTED = "distributed"
WORKERS = 2


@contextmanager
def _graphlambda(**options: Any) -> Iterator[Peer]:
    """Functions and environments outlive a run by themselves."""
    import graphlambda

    yield Peer(partial(graphlambda.compute, **options), partial(graphlambda.persist, **options))


@contextmanager
def _distributed() -> Iterator[Peer]:
    """Two workers of one thread each; alive only here, since a client changes what Dask builds."""
    import dask
    from distributed import Client, LocalCluster

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        yield Peer(*[partial(call, scheduler=client) for call in (dask.compute, dask.persist)])


@contextmanager
def _dasks(scheduler: str) -> Iterator[Peer]:
    """Two threads, or two processes, which Dask makes anew for each run."""
    import dask

    both = {"scheduler": scheduler, "num_workers": WORKERS}
    yield Peer(partial(dask.compute, **both), partial(dask.persist, **both))


PEERS: dict[str, Callable[[], AbstractContextManager[Peer]]] = {
    OURS: _graphlambda,
    SINGLY: partial(_graphlambda, batch=1),
    DISTRIBUTED: _distributed,
    "processes": partial(_dasks, "processes"),
    "threads": partial(_dasks, "threads"),
}
