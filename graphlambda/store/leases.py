"""Leases: a run's values stay while somebody holds them, and go when nobody does.

In: a store and a run. Out: a lease, whose end drops the run. Must not outlive its process: a lease of a client that
was killed is not renewed, and a later client sweeps the run.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from graphlambda.errors import StoreError

if TYPE_CHECKING:
    from graphlambda.store.base import Store

RENEWED_EVERY_S = 30.0
STALE_AFTER_S = 600.0
"""How long a run outlives its last renewal, unless its store knows that its client lives: twenty missed ones."""


class Renewal:
    """Renews the leases of this process, in daemon threads that run while there are any.

    One of them sees to each store: where that is slow or out of reach, no other store's leases wait for it.
    """

    def __init__(self, every_s: float = RENEWED_EVERY_S) -> None:
        self._every_s = every_s
        self._lock = threading.Lock()
        self._leases: weakref.WeakSet[Lease] = weakref.WeakSet()
        self._stores: set[Store] = set()
        """Those that a thread sees to."""

        os.register_at_fork(after_in_child=self._forget)  # a child holds nothing: its parent does

    def add(self, lease: Lease) -> None:
        """Renew a lease for as long as it is held and not collected."""
        with self._lock:
            self._leases.add(lease)
            if lease.store not in self._stores:
                self._stores.add(lease.store)
                threading.Thread(
                    target=self._run, args=(lease.store,), name="graphlambda-leases", daemon=True
                ).start()

    def _run(self, store: Store) -> None:
        while leases := self._held(store):
            for lease in leases:
                lease.renew()
            del leases, lease  # while the thread sleeps, it must not hold them
            time.sleep(self._every_s)

    def _held(self, store: Store) -> list[Lease]:
        with self._lock:
            held = [lease for lease in self._leases if lease.held and lease.store is store]
            if not held:
                self._stores.discard(store)
        return held

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._leases = weakref.WeakSet()
        self._stores = set()


_RENEWAL = Renewal()


class Lease:
    """Holds a run. Ends with `release`, with its `with` block, when it is collected, or with its process.

    A pickled lease holds nothing where it is un-pickled: values stay as long as the original does.
    """

    def __init__(self, store: Store, run: str, renewal: Renewal = _RENEWAL) -> None:
        """Begin the run and keep its lease renewed.

        Raises:
            StoreError: the store is unavailable.
        """
        store.touch(run)
        self.store = store
        self.run = run
        self._lock = threading.Lock()
        self._end = weakref.finalize(self, _drop, store, run, os.getpid())
        renewal.add(self)

    @property
    def held(self) -> bool:
        """Whether this lease still holds its run."""
        return self._end.alive

    def renew(self) -> None:
        """Renew the lease now, if it is held; a store that is unavailable is asked again next time."""
        with self._lock, suppress(StoreError):
            if self.held:
                self.store.touch(self.run)

    def release(self) -> None:
        """Drop the run and its values; releasing again does nothing.

        Raises:
            StoreError: the store is unavailable; a later client sweeps the run.
        """
        with self._lock:  # a renewal after the drop would begin the run again
            if self._end.detach():
                self.store.drop(self.run)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __reduce__(self) -> tuple[type[Released], tuple[str]]:
        return Released, (self.run,)


class Released:
    """What a pickled lease becomes: it names a run, and holds nothing."""

    held = False

    def __init__(self, run: str) -> None:
        self.run = run


def _drop(store: Store, run: str, owner: int) -> None:
    """Drop what nobody holds any more; a store that is unavailable now is swept by a later client."""
    if os.getpid() == owner:  # in a forked child a copy of the lease ends, too
        with suppress(StoreError):
            store.drop(run)
