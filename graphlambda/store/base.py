"""What a store promises its client: values by run and name.

In: frames (see `runtime.frame`). Out: the same frames. Must not know tasks, nor look into a frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from graphlambda.errors import LostValueError, StoreError
from graphlambda.runtime import faults
from graphlambda.store.namespaces import is_namespace, stays_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol

    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Client, Traffic
    from graphlambda.store.namespaces import Held

    class SizingClient(Client, Protocol):
        """A client of the runtime that also says how large a value is."""

        def size(self, run: str, name: str) -> int | None:
            """Return a frame's bytes; None when the value is not there."""


class Store(ABC):
    """Where values lie between invocations; used from any thread, blocks for as long as a transfer takes.

    Runs and values are named by 1 to 128 ASCII letters, digits, `-` and `_`; any other name raises
    `ValueError`. Every method may raise `errors.StoreError` when the store is unavailable.
    """

    @property
    @abstractmethod
    def address(self) -> str:
        """Name this store for people and for `Kept` references, such as `file:/…`; holds no secret."""

    @abstractmethod
    def spec(self) -> dict[str, Any]:
        """Return what a request says of the store, for `runtime.values.client_of`: JSON."""

    def road(self, *, readers: int, result: bool) -> dict[str, Any]:  # noqa: ARG002  (for stores with a choice)
        """Return what a request says of the store for values that so many tasks read, or that are a run's results."""
        return self.spec()

    @abstractmethod
    def touch(self, run: str) -> None:
        """Begin a run, or renew its lease. Nothing can be put into a run that was not begun."""

    @abstractmethod
    def put(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame, whole or not at all. The first put of a name wins; later ones change nothing."""

    @abstractmethod
    def get(self, run: str, name: str) -> memoryview:
        """Return a frame in private, writable memory; `errors.LostValueError` when the value is not there."""

    @abstractmethod
    def size(self, run: str, name: str) -> int | None:
        """Return a frame's bytes, without reading it; None when the value is not there."""

    def traffic(self) -> Traffic:
        """Return what this client has asked so far, over all runs, as AWS bills it; see `runtime.values.Client`."""
        return 0, 0, 0

    def room_bytes(self) -> int | None:
        """Return what the store could still take; None where it does not run out, or does not say."""
        return None

    def exists(self, run: str, name: str) -> bool:
        """Whether the value is there."""
        return self.size(run, name) is not None

    @abstractmethod
    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over."""

    @abstractmethod
    def values(self, run: str) -> dict[str, Held]:
        """Return the values of a run that are there, by name; none where the run is not."""

    def use(self, run: str, names: Iterable[str]) -> None:  # noqa: B027  (a store that cannot note it lets the oldest go)
        """Note that values of a namespace are used: others go before them. Those that are not there are passed over."""

    @abstractmethod
    def cancel(self, run: str) -> None:
        """Tell functions that the run does not go on: they stop between tasks. Nothing is dropped yet.

        A run that is not there is passed over.
        """

    @abstractmethod
    def drop(self, run: str) -> None:
        """Delete a run with all its values and its lease; a run that is not there is passed over."""

    def janitor_spec(self) -> dict[str, Any] | None:
        """Return what a function is told that drops a run where the client cannot; None where it reaches no more than we.

        What such a function leaves, too, expires `runtime.valkey.TTL_S` after its last renewal.
        """
        return None

    def end(self, run: str, *, cancel: bool) -> None:
        """Drop a run; `cancel` stops functions first: dropping what is much takes a while, in which nothing should be made."""
        if cancel:
            with suppress(StoreError):  # a full server takes no mark, but still deletes
                self.cancel(run)
        self.drop(run)

    @abstractmethod
    def runs(self) -> dict[str, float]:
        """Return the runs that are there, by name: seconds since each one's lease was renewed."""

    def is_held(self, run: str) -> bool:  # noqa: ARG002  (for stores whose clients are on this machine)
        """Whether the client whose lease a run has is known to live, however old the lease is: it may sleep."""
        return False

    def sweep(self, older_than_s: float) -> tuple[str, ...]:
        """Drop the runs whose client has not renewed their lease for that long, unless it lives; return their names.

        What runs share stays longer; see `namespaces`.
        """
        old = [run for run, age_s in sorted(self.runs().items()) if age_s > stays_s(run, older_than_s)]
        stale = tuple(run for run in old if is_namespace(run) or not self.is_held(run))
        for run in stale:
            self.drop(run)
        return stale


class ClientStore(Store):
    """A store whose values the runtime's own client moves; what only a client of the user needs is left to be said."""

    _client: SizingClient

    def put(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame, whole or not at all; the first put of a name wins."""
        with translated():
            self._client.write(run, name, parts)

    def get(self, run: str, name: str) -> memoryview:
        """Return a frame in private, writable memory."""
        with translated():
            return self._client.read(run, name)

    def size(self, run: str, name: str) -> int | None:
        """Return a frame's bytes; None when the value is not there."""
        with translated():
            return self._client.size(run, name)

    def traffic(self) -> Traffic:
        """Return what this client has asked so far, over all runs, as AWS bills it."""
        return self._client.traffic()


@contextmanager
def translated() -> Iterator[None]:
    """Turn the runtime's faults into the errors that a store raises."""
    try:
        yield
    except faults.LostValueError as error:
        raise LostValueError(str(error), error.run, error.name) from error
    except faults.ValueStoreError as error:
        raise StoreError(str(error)) from error
