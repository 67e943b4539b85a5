"""Keeps a run's lease in its store while the run goes on: functions take a client for lost whose lease is 10 s old.

In: a run's place. Out: renewals, in a thread of their own, since transfers may take all others for longer than that. Must
not renew after `end`: that would begin a run again which was dropped.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from graphlambda.errors import StoreError
from graphlambda.scheduler.blocking import in_thread, own_thread

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from graphlambda.scheduler.values import Place

RENEW_EVERY_S = 3.0


class Renewing:
    """Renews the lease of one run."""

    def __init__(self, place: Place, every_s: float = RENEW_EVERY_S, run: str = "") -> None:
        """Begin, `every_s` from now, with the place's run or another; a store that fails is asked again then, and fails the run where it is used."""
        self._place = place
        self._run = run or place.run
        self._going = asyncio.create_task(self._go_on(every_s))
        self._renewal: asyncio.Task[None] | None = None

    async def end(self) -> None:
        """Return when nothing renews the lease any more."""
        self._going.cancel()
        await asyncio.gather(self._going, *filter(None, [self._renewal]), return_exceptions=True)

    async def _go_on(self, every_s: float) -> None:
        with own_thread() as thread:
            while True:
                await asyncio.sleep(every_s)
                self._renewal = asyncio.create_task(self._renewed(thread))
                await asyncio.shield(self._renewal)  # a thread cannot be stopped: `end` waits for it

    async def _renewed(self, thread: ThreadPoolExecutor) -> None:
        place = self._place
        with suppress(StoreError):
            await in_thread(
                partial(place.store.touch, self._run),
                timeout_s=place.limits.store_timeout_s,
                what="renewing the lease",
                thread=thread,
            )
