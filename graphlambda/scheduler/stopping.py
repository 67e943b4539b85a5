"""Ends a block of a coroutine by an error that comes from beside it: a cancellation that says why.

In: a block, errors from other coroutines of its loop. Out: the first of them, raised where the block waits. Must not
touch a block that is over.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Stoppable:
    """A block that `stop` ends, wherever in it its coroutine waits; used as `async with`, once."""

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._error: BaseException | None = None
        self._cancels = 0

    async def __aenter__(self) -> Self:
        """Begin the block."""
        self._task = asyncio.current_task()
        assert self._task is not None
        self._cancels = self._task.cancelling()
        return self

    def stop(self, error: BaseException) -> None:
        """End the block with an error, unless it is over or ends already."""
        if self._task is not None and self._error is None:
            self._error = error
            self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Raise what ended the block. Whoever cancelled its coroutine beside that has it cancelled."""
        task, self._task = self._task, None
        if self._error is None or task is None:
            return
        if kind is not asyncio.CancelledError:  # it came to its end just then: what was asked for still comes
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0)
        if task.uncancel() <= self._cancels:
            raise self._error
