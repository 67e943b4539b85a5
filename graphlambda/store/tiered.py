"""The tiered store: a hot store before a cold one, and which of the two a value goes to.

In: frames. Out: the same, each stored once. Built on `runtime.tiered`, which functions use themselves. Must not know
what the two stores are: Valkey before S3 on AWS, anything before anything in tests.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from graphlambda.errors import LostValueError, StoreError
from graphlambda.runtime import faults
from graphlambda.runtime.tiered import MARK, TieredClient
from graphlambda.store.base import Store, translated

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Traffic
    from graphlambda.store.namespaces import Held

HOT_BYTES = 8 << 20
"""The largest frame that one reader makes hot: what S3 takes 100 ms for is twice its wait for the first byte."""

MOST_READERS = 16
"""A value that several tasks read may be that many times larger, up to so many."""


def hot_bytes(limit: int, readers: int, *, result: bool) -> int:
    """Return up to which size values that so many tasks read are hot: results of a run never are."""
    return -1 if result else limit * min(max(readers, 1), MOST_READERS)


class TieredStore(Store):
    """Values in two stores."""

    def __init__(self, hot: Store, cold: Store, limit: int = HOT_BYTES) -> None:
        """`limit` is the largest frame in bytes that goes to the hot store for one reader."""
        self._hot = hot
        self._cold = cold
        self._limit = limit
        self._client = TieredClient(_StoreClient(hot), _StoreClient(cold), limit)

    def __repr__(self) -> str:
        return f"TieredStore({self._hot!r}, {self._cold!r})"

    @property
    def address(self) -> str:
        """Return both addresses."""
        return f"tiered:{self._hot.address} before {self._cold.address}"

    def spec(self) -> dict[str, Any]:
        """Return what a request says of the store, for values that one task reads."""
        return self.road(readers=1, result=False)

    def road(self, *, readers: int, result: bool) -> dict[str, Any]:
        """Return what a request says of the store for values that so many tasks read, or that are the run's results."""
        specs = {"hot": self._hot.spec(), "cold": self._cold.spec()}
        return {"kind": "tiered", **specs, "hot_bytes": hot_bytes(self._limit, readers, result=result)}

    def traffic(self) -> Traffic:
        """Return what both stores were asked so far."""
        return self._client.traffic()

    def touch(self, run: str) -> None:
        """Begin a run in both stores, or renew its leases; the hot one is missed, not needed."""
        self._cold.touch(run)
        with suppress(StoreError):
            self._hot.touch(run)

    def put(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame where its size belongs; the first put of a name wins."""
        with translated():
            self._client.write(run, name, parts)

    def get(self, run: str, name: str) -> memoryview:
        """Return a frame in private, writable memory."""
        with translated():
            return self._client.read(run, name)

    def size(self, run: str, name: str) -> int | None:
        """Return a frame's bytes; None when the value is in neither store."""
        size = self._hot.size(run, name)
        return self._cold.size(run, name) if size in {None, len(MARK)} else size

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values, and the marks of those that are in the cold store."""
        doomed = list(names)
        self._cold.delete(run, doomed)
        with suppress(StoreError):  # what stays there goes with its run
            self._hot.delete(run, doomed)

    def values(self, run: str) -> dict[str, Held]:
        """Return what lies in either store; a mark stands for none."""
        cold = self._cold.values(run)
        try:
            hot = self._hot.values(run)
        except StoreError:  # missed, not needed
            return cold
        return cold | {name: held for name, held in hot.items() if held.size_bytes != len(MARK)}

    def use(self, run: str, names: Iterable[str]) -> None:
        """Note that values are used, wherever they lie."""
        used = list(names)
        self._cold.use(run, used)
        with suppress(StoreError):
            self._hot.use(run, used)

    def cancel(self, run: str) -> None:
        """Tell functions that the run does not go on, whichever store they ask."""
        self._cold.cancel(run)
        with suppress(StoreError):
            self._hot.cancel(run)

    def drop(self, run: str) -> None:
        """Delete a run from both stores; the second, too, where the first fails."""
        try:
            self._hot.drop(run)
        finally:
            self._cold.drop(run)

    def janitor_spec(self) -> dict[str, Any] | None:
        """Return the hot store's: whatever is cold is in everybody's reach."""
        return self._hot.janitor_spec()

    def runs(self) -> dict[str, float]:
        """Return the runs of both stores; where they differ, as old as the one that was renewed later."""
        hot, cold = self._hot.runs(), self._cold.runs()
        return {run: min(ages[run] for ages in (hot, cold) if run in ages) for run in {**hot, **cold}}

    def is_held(self, run: str) -> bool:
        """Whether either store knows that a run's client lives."""
        return self._hot.is_held(run) or self._cold.is_held(run)


class _StoreClient:
    """A store as a function's client: what it raises are the runtime's faults."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self, run: str, name: str) -> memoryview:
        """Return a frame."""
        with _untranslated():
            return self._store.get(run, name)

    def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
        """Return several frames, in order; raises as `read` does."""
        return (self.read(run, name) for name in names)

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Make a value."""
        with _untranslated():
            self._store.put(run, name, parts)

    def ended(self, _run: str) -> str:
        """Say that the run goes on: its client is here."""
        return ""

    def traffic(self) -> Traffic:
        """Return what the store was asked so far."""
        return self._store.traffic()


@contextmanager
def _untranslated() -> Iterator[None]:
    """Turn a store's errors into the faults that `translated` makes them of."""
    try:
        yield
    except LostValueError as error:
        raise faults.LostValueError(str(error), error.run, error.name) from error
    except StoreError as error:
        raise faults.ValueStoreError(str(error)) from error
