"""Where time enters the scheduler.

In: nothing. Out: `Clock`, and the one that reads the machine's. `graphlambda.testing` has one that jumps.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Tells the time and waits."""

    def time(self) -> float:
        """Return seconds since the epoch, for time stamps."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds."""


class SystemClock:
    """The machine's own clock."""

    def time(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds since the machine started."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds; other coroutines go on meanwhile."""
        await asyncio.sleep(seconds)
