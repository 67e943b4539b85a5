"""Bounds waits as `asyncio.timeout` does, with one timer for all of them.

In: how long each may take. Out: `TimeoutError` in whoever has waited longer. Must not know what is waited for.

A timer for each wait, made and cancelled, was a tenth of what an invocation costs the client, and hardly any ever rings.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


class Bounds:
    """The bounded waits of those who share it, all on one event loop."""

    __slots__ = ("_timer", "_waits")

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._timer: asyncio.TimerHandle | None = None

    def within(self, seconds: float) -> _Wait:
        """Return a context that ends with `TimeoutError` where it takes longer."""
        return _Wait(self, seconds)

    def begin(self, wait: _Wait) -> None:
        """Look after a wait."""
        self._waits.add(wait)
        if self._timer is None or wait.until_s < self._timer.when():
            self._look_at(wait.until_s)

    def end(self, wait: _Wait) -> None:
        """Look no more; the timer stays for others."""
        self._waits.discard(wait)

    def _look_at(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(at_s, self._look)

    def _look(self) -> None:
        """End the waits that take too long; look again when the next one does."""
        now_s, self._timer = asyncio.get_running_loop().time(), None
        for wait in [wait for wait in self._waits if wait.until_s <= now_s]:
            self._waits.discard(wait)
            wait.give_up()
        if self._waits:
            self._look_at(min(wait.until_s for wait in self._waits))


class _Wait:
    """One wait of one task."""

    __slots__ = ("_bounds", "_cancelled", "_is_over", "_seconds", "_task", "until_s")

    _task: asyncio.Task[object]

    def __init__(self, bounds: Bounds, seconds: float) -> None:
        self._bounds = bounds
        self._seconds = seconds
        self._is_over = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task, self._cancelled = task, task.cancelling()
        self.until_s = loop.time() + self._seconds
        self._bounds.begin(self)

    def give_up(self) -> None:
        """Wake whoever waits."""
        self._is_over = True
        self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell a wait that is over from one that somebody cancelled, as `asyncio.timeout` does."""
        self._bounds.end(self)
        if self._is_over and self._task.uncancel() <= self._cancelled and kind is asyncio.CancelledError:
            raise TimeoutError from error
