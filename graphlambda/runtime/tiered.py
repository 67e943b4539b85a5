"""Two stores as one: values that are small or often read lie in a hot one, the others and results in a cold one.

In: names and frames. Out: the same, each stored once. Must not know frames' content.

The hot store is also the directory. What lies in the cold one has a `MARK` there, so that of two writers whose values
differ in size the first still wins. A value that the hot store cannot take (full, out of reach) goes to the cold one,
and a reader looks there for all that the hot one does not hold: what was evicted is lost, what was moved is not.
"""

from __future__ import annotations

from contextlib import suppress

from .faults import LostValueError, ValueStoreError
from .frame import size_of
from .values import CLIENT_LOST, DROPPED, at_once, client_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .frame import Buffer
    from .values import Client, Traffic

MARK = b"graphlambda: this value lies in the cold store"
"""In the hot store, in place of a value. It needs no signature: the frame that is read instead has its own."""


class TieredClient:
    """Reads and writes values of two stores."""

    def __init__(self, hot: Client, cold: Client, hot_bytes: int) -> None:
        """Larger frames than `hot_bytes` go to the cold store."""
        self._hot = hot
        self._cold = cold
        self._hot_bytes = hot_bytes

    @classmethod
    def of(cls, spec: dict[str, Any]) -> TieredClient:
        """Return the client that a request's `store` describes."""
        return cls(client_of(spec["hot"]), client_of(spec["cold"]), spec["hot_bytes"])

    def read(self, run: str, name: str) -> memoryview:
        """Return a value's frame in private, writable memory.

        Raises:
            LostValueError: it is in neither store.
            ValueStoreError: a store refuses, or is unavailable, and the other does not hold it.
        """
        try:
            frame = self._hot.read(run, name)
            if frame != MARK:
                return frame
        except LostValueError:
            pass
        except ValueStoreError as unavailable:
            try:
                return self._cold.read(run, name)
            except LostValueError:  # it may be in the store that cannot be asked
                raise unavailable from None
        return self._cold.read(run, name)

    def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
        """Return several frames, in order; raises as `read` does."""
        try:
            found = list(self._hot.read_all(run, names))
        except ValueStoreError:  # of one, perhaps: each finds its own way
            return at_once(self.read, run, names)
        marked = [name for name, frame in zip(names, found, strict=True) if frame == MARK]
        cold = iter(self._cold.read_all(run, marked))
        return (next(cold) if frame == MARK else frame for frame in found)

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Make a value out of a frame's parts, unless it is there: the first writer of a name wins.

        Raises:
            ValueStoreError: the run is gone, or no store takes the value.
        """
        if size_of(parts) <= self._hot_bytes:
            try:
                self._hot.write(run, name, parts)
            except ValueStoreError:
                self._cold.write(run, name, parts)
            return
        self._cold.write(run, name, parts)
        with suppress(ValueStoreError):  # readers find it without a mark as well
            self._hot.write(run, name, [MARK])

    def traffic(self) -> Traffic:
        """Return what both stores were asked so far."""
        (writes, reads, units), (others, more, rest) = self._hot.traffic(), self._cold.traffic()
        return writes + others, reads + more, units + rest

    def ended(self, run: str) -> str:
        """Return why a run does not go on; a hot store may have lost its memory, or its client's way to it."""
        ended = self._hot.ended(run)
        return self._cold.ended(run) if ended in {DROPPED, CLIENT_LOST} else ended
