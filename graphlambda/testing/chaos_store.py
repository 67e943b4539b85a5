"""Stores in which things go wrong, as a client and as a function sees them.

In: a store, or what a request says of one; a fault. Out: the same, troubled. Must not break what a store promises
while it works: what it wrote is whole or not there.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

from graphlambda.errors import StoreError
from graphlambda.runtime.faults import ValueStoreError
from graphlambda.testing.chaos import Fault
from graphlambda.testing.stores import Passing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from random import Random

    from graphlambda.runtime.answer import Clients
    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Traffic
    from graphlambda.store.base import Store


class TroubledClient:
    """A function's client during one invocation."""

    def __init__(
        self, clients: Clients, spec: Mapping[str, Any], *, fault: Fault, written: list[str]
    ) -> None:
        self._client = clients(spec)
        self._fault = fault
        self._written = written

    def read(self, run: str, name: str) -> memoryview:
        """Return a frame, or fail, or return what has been damaged on the way."""
        if self._fault is Fault.READS_FAIL:
            raise ValueStoreError(f"injected: cannot read {name} of run {run}: connection refused")
        frame = self._client.read(run, name)
        if self._fault is Fault.CUT_IN_STORE:
            return frame[: len(frame) // 2]
        if self._fault is Fault.FLIPPED_IN_STORE:
            frame[len(frame) // 2] ^= 4
        return frame

    def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
        """Return several frames, in order; raises as `read` does."""
        return (self.read(run, name) for name in names)

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame, or fail."""
        if self._fault in {Fault.WRITES_FAIL, Fault.DISK_FULL}:
            why = os.strerror(errno.ENOSPC if self._fault is Fault.DISK_FULL else errno.ECONNREFUSED)
            raise ValueStoreError(f"injected: cannot write {name} of run {run}: {why}")
        self._client.write(run, name, parts)
        self._written.append(name)

    def ended(self, run: str) -> str:
        """Return why a run does not go on, if it does not."""
        return self._client.ended(run)

    def traffic(self) -> Traffic:
        """Return what the client behind has asked so far."""
        return self._client.traffic()


class TroubledStore(Passing):
    """A client's store: one call in some fails."""

    def __init__(self, store: Store, random: Random, share: float, written: list[str]) -> None:
        super().__init__(store, self._fail)
        self._random = random
        self._share = share
        self._written = written

    def put(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame, and note its name."""
        super().put(run, name, parts)
        self._written.append(name)

    def _fail(self, method: str) -> None:
        if self._random.random() < self._share:
            raise StoreError(f"injected: {method} fails")
