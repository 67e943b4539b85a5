"""Where each value of a run lies: in this process while it is small, else in the store.

In: frames from replies, data objects of the program. Out: frames for requests and results, deletions.
Must not know which task runs when.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from itertools import starmap
from random import Random
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.program import Kept
from graphlambda.errors import StoreError, UnshippableError
from graphlambda.runtime.faults import UnshippableValueError
from graphlambda.runtime.frame import encode_parts, size_of
from graphlambda.runtime.wire import context, value_name
from graphlambda.scheduler.blocking import in_thread
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.content import Shared
from graphlambda.scheduler.ledger import Ledger
from graphlambda.scheduler.policy import STORE_CALLS, backoff_s, passes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from graphlambda.compiler.program import Program
    from graphlambda.runtime.frame import Buffer, Dumps
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.limits import Limits
    from graphlambda.store.base import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A run's place in a store, and what its frames are signed and made with."""

    store: Store
    run: str
    key: bytes = field(repr=False)
    """32 bytes; signs every frame of the run."""

    keys_of: Callable[[str], bytes]
    """The key of another run, whose kept values are read."""

    dumps: Dumps
    """Pickles what the client sends: `cloudpickle.dumps`, since classes of `__main__` go by value."""

    limits: Limits
    """The bounds of the run, its calls of the store included."""

    clock: Clock = field(default_factory=SystemClock)

    ledger: Ledger = field(default_factory=Ledger)
    """What the run has stored."""

    def key_of(self, run: str) -> bytes:
        """Return the key that a run's frames are signed with: this one's, or another's."""
        return self.key if run == self.run else self.keys_of(run)

    def encode(self, value: Any, name: str, operation: str = "") -> Sequence[Buffer]:
        """Return a value as the parts of a frame of this run, for one operation's functions or for all.

        Raises:
            UnshippableError: the value does not pickle.
        """
        try:
            bound = context(self.run, name, operation)
            return encode_parts(value, key=self.key, context=bound, dumps=self.dumps)
        except UnshippableValueError as error:
            raise UnshippableError(str(error)) from error

    async def put(self, name: str, parts: Sequence[Buffer]) -> None:
        """Store a frame."""
        await self.call(partial(self.store.put, self.run, name, parts), f"storing {name}")
        self.ledger.add(name, size_of(parts))

    async def delete(self, names: Sequence[str]) -> None:
        """Delete frames."""
        await self.call(partial(self.store.delete, self.run, names), "deleting values")
        self.ledger.remove(names)

    async def call(self, call: Callable[[], Any], what: str) -> Any:
        """Return what a blocking call of the store returns; while the store is down it is tried again, a few times."""
        called = partial(in_thread, call, timeout_s=self.limits.store_timeout_s, what=what)
        for tries in range(1, STORE_CALLS):
            try:
                return await called()
            except StoreError as error:
                if not passes(error):
                    raise
            await self.clock.sleep(backoff_s(tries, Random(f"{self.run} {what} {tries}")))  # noqa: S311  (jitter)
        return await called()

    async def call_all(self, calls: Iterable[tuple[Callable[[], Any], str]]) -> list[Any]:
        """Return what several calls return, each with what it does for people, in order; some go at once."""
        at_once = asyncio.Semaphore(self.limits.downloads)

        async def called(call: Callable[[], Any], what: str) -> Any:
            async with at_once:
                return await self.call(call, what)

        return await asyncio.gather(*starmap(called, calls))


class Values:
    """The values of one run."""

    def __init__(self, program: Program, place: Place, shared: Shared | None = None) -> None:
        self._first_data = program.task_count
        self._data = program.data
        self._place = place
        self.shared = shared or Shared(None)
        self._held: dict[int, bytes] = {}
        self._sizes: dict[int, int] = {}
        self._preparing: dict[int, asyncio.Task[None]] = {}
        self._dropping: list[str] = []
        self.held_bytes = 0

    def kept(self, value: int) -> Kept | None:
        """Return where a value lies that is not in this run: a data object that is a reference, or one that is shared."""
        if value < self._first_data:
            return self.shared.place(value)
        data = self._data[value - self._first_data]
        return data if isinstance(data, Kept) else None

    def address(self, value: int) -> tuple[str, str]:
        """Return the run and the name under which a value lies in the store, if it does."""
        kept = self.kept(value)
        return (kept.run, value_name(kept.id)) if kept else (self._place.run, value_name(value))

    def frame(self, value: int) -> bytes | None:
        """Return the frame of a value that this process holds."""
        return self._held.get(value)

    def size(self, value: int) -> int:
        """Return the bytes of a value's frame, held or stored; 0 where no reply has told it."""
        return self._sizes.get(value, 0)

    def receive(self, value: int, frame: bytes | None, size_bytes: int, place: Kept | None = None) -> None:
        """Take a committed value: its frame, or the news that it was stored, here or in a namespace."""
        self._sizes[value] = size_bytes if frame is None else len(frame)
        if place is not None:
            self.shared.lies(value, place)
        elif frame is None:
            self._place.ledger.add(value_name(value), size_bytes)
        else:
            self._hold(value, frame)

    def release(self, values: Iterable[int]) -> None:
        """Let go of values that nobody will read again."""
        for value in values:
            if self.is_stored(value):
                self._dropping.append(value_name(value))
            self.forget(value)

    def written_again(self, value: int) -> None:
        """Take the news that a value was stored late, or once more: it does not stay where it was let go before."""
        if value not in self._sizes:
            self.discard(value_name(value))

    def is_stored(self, value: int) -> bool:
        """Whether a value lies in this run's folder of the store, as far as is known."""
        return value in self._sizes and value not in self._held and self.shared.place(value) is None

    def forget(self, value: int) -> None:
        """Know nothing of a value any more: it comes again, or a data object is encoded again."""
        self.held_bytes -= len(self._held.pop(value, b""))
        self._sizes.pop(value, None)
        self.shared.forget(value)
        self._preparing.pop(value, None)

    def discard(self, name: str) -> None:
        """Delete something else of the run's folder, with the next values."""
        self._dropping.append(name)

    @property
    def dropping(self) -> int:
        """How many deletions wait for `let_go`."""
        return len(self._dropping)

    def let_go(self) -> list[str]:
        """Return the names of what was let go since this was last asked, for `delete`."""
        names, self._dropping = self._dropping, []
        return names

    async def delete(self, names: list[str]) -> None:
        """Delete from the store what was let go."""
        if names:
            await self._place.delete(names)

    def unprepared(self, values: Iterable[int]) -> list[int]:
        """Return the data objects among values that no function could read yet."""
        if not self._data:
            return []
        first, sizes = self._first_data, self._sizes
        return [v for v in values if v >= first and v not in sizes and self.kept(v) is None]

    async def prepare(self, values: Iterable[int]) -> None:
        """Encode data objects, once each; hold the small ones and store the others."""
        for value in values:
            if value not in self._preparing:
                self._preparing[value] = asyncio.create_task(self._prepare(value))
        for preparing in [
            self._preparing[value] for value in values
        ]:  # one may be forgotten while another is encoded
            await asyncio.shield(preparing)

    async def spill(self, values: Iterable[int]) -> None:
        """Put held values into the store and hold them no longer."""
        for value in values:
            if (frame := self._held.get(value)) is not None:
                await self._place.put(value_name(value), [frame])
                self.held_bytes -= len(self._held.pop(value, b""))
                self.written_again(value)  # its last reader may have been done meanwhile

    async def shed(self) -> None:
        """Spill the oldest values until no more are held than may be."""
        excess, oldest = self.held_bytes - self._place.limits.held_bytes, []
        for value, frame in self._held.items():
            if excess <= 0:
                break
            oldest.append(value)
            excess -= len(frame)
        await self.spill(oldest)

    async def close(self) -> None:
        """Stop what is still being encoded."""
        for task in self._preparing.values():
            task.cancel()
        await asyncio.gather(*self._preparing.values(), return_exceptions=True)

    async def _prepare(self, value: int) -> None:
        encode = partial(self._place.encode, self._data[value - self._first_data], value_name(value))
        parts = await self._place.call(encode, f"encoding data object {value}")
        if size_of(parts) <= self._place.limits.inline_bytes:
            self._hold(value, b"".join(parts))
        else:
            await self._place.put(value_name(value), parts)
        self._sizes[value] = size_of(parts)

    def _hold(self, value: int, frame: bytes) -> None:
        self._held[value] = frame
        self.held_bytes += len(frame)


def refuse_foreign(program: Program, store: Store) -> None:
    """Refuse a program that reads values which another store keeps.

    Raises:
        StoreError: it does.
    """
    for data in program.data:
        if isinstance(data, Kept) and data.store != store.address:
            raise StoreError(
                f"a persisted value of run {data.run} lies in {data.store}, but this run uses {store.address}. "
                "Use the store that it was persisted to."
            )
