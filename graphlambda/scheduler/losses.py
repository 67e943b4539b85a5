"""What is gone from the store, or damaged there, and how it comes again: what made it runs again, so often.

In: the values that somebody could not read. Out: their tasks to be run again; or the error that ends the run. Must not
believe a reader: the store is asked, since a value may have been made again meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

from graphlambda.errors import AuthenticationError, LostValueError
from graphlambda.runtime.faults import FrameError
from graphlambda.runtime.frame import verify
from graphlambda.runtime.wire import context, value_name
from graphlambda.scheduler.journal import lost
from graphlambda.scheduler.policy import lost_too_often

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Tools, Unit


class Losses:
    """Finds and mends what a run's store has lost."""

    def __init__(self, tools: Tools, state: RunState, units: Sequence[Unit]) -> None:
        self._tools = tools
        self._place = tools.place
        self._values = tools.values
        self._state = state
        self._units = units
        self._times: Counter[int] = Counter()
        self._again = 0
        self._lock = asyncio.Lock()  # two readers miss the same value: it is lost once

    async def mend(self, read: Iterable[int], *, damaged: bool) -> bool:
        """Have the values among these that are gone (or damaged, too) made again; tell whether there are any.

        Raises:
            LostValueError: one was lost too often, or the store loses too many.
            AuthenticationError: one came back damaged too often.
        """
        async with self._lock:
            gone = await self._gone([value for value in read if self._is_ours(value)], damaged=damaged)
            if gone:
                await self._unshare([value for value in gone if self._values.shared.place(value)])
                if own := [value for value in gone if not self._values.shared.place(value)]:
                    self._count(own, damaged=damaged)
                await self._let_go(gone)
                again = self._state.lose(gone)
                self._refuse(gone, again)
                self._tools.keeper.note(lost(gone))
                self._again += len(again)
                for value in {*gone, *again}:
                    self._values.forget(value)
                self._tools.teller.undone(again)
            return bool(gone)

    def _refuse(self, gone: list[int], again: list[int]) -> None:
        """Raise where a task would have to run again that may not."""
        for task in again:
            if self._units[self._state.table(task)].idempotent is False:
                name, key = value_name(gone[0]), self._tools.program.key(task)
                message = (
                    f"the store lost value {name} of run {self._place.run}, and task {key} would have to run again for it, "
                    "which `idempotent=False` forbids. Has the store enough memory, and does something else empty it?"
                )
                raise LostValueError(message, self._place.run, name)

    def _is_ours(self, value: int) -> bool:
        """Whether a value is there, as far as we know: what another reader missed before is being made again."""
        values = self._values
        return values.is_stored(value) or values.frame(value) is not None or bool(values.shared.place(value))

    async def _gone(self, values: list[int], *, damaged: bool) -> list[int]:
        """Return those of some values that cannot be read."""
        look = self._is_damaged if damaged else self._is_missing
        found = await self._place.call_all(
            (partial(look, value), f"looking for {value_name(value)}") for value in values
        )
        return [value for value, gone in zip(values, found, strict=True) if gone]

    def _is_missing(self, value: int) -> bool:
        held = self._values.frame(value) is not None
        return not held and not self._place.store.exists(*self._values.address(value))

    def _is_damaged(self, value: int) -> bool:
        run, name = self._values.address(value)
        try:
            frame = self._values.frame(value) or self._place.store.get(run, name)
            verify(frame, key=self._place.key_of(run), context=context(run, name))
        except (FrameError, LostValueError):
            return True
        return False

    def _count(self, gone: list[int], *, damaged: bool) -> None:
        """Charge each value with a loss; raise where that is one too many."""
        self._times.update(gone)
        worst = max(gone, key=lambda value: self._times[value])
        times = self._times[worst]
        if not lost_too_often(times, again=self._again, tasks=self._state.tasks):
            return
        name, run, store = value_name(worst), self._place.run, self._place.store.address
        if damaged:
            raise AuthenticationError(
                f"value {name} of run {run} came back damaged from {store} {times} times. Nothing was un-pickled: is "
                "its disk or network in order, and who else can write to it?"
            )
        message = (
            f"value {name} of run {run} was lost by {store} {times} times, and {self._again:,} tasks ran again. "
            "Has it enough memory for the run, and does something else empty it?"
        )
        raise LostValueError(message, run, name)

    async def _unshare(self, gone: list[int]) -> None:
        """Empty the places in namespaces that were found bad; what is made again is this run's own.

        That is no loss to be counted: a value is lost to a namespace once.
        """
        store, shared = self._place.store, self._values.shared
        for value in gone:
            run, name = self._values.address(value)
            await self._place.call(partial(store.delete, run, [name]), "deleting a shared value")
            shared.keep_own(value)

    async def _let_go(self, gone: list[int]) -> None:
        """Make room for what comes again: the first writer of a name wins, so nothing may be left under it."""
        await self._place.call(partial(self._place.store.touch, self._place.run), "renewing the lease")
        for value in gone:
            self._values.discard(value_name(value))
        await self._tools.keeper.settle()
