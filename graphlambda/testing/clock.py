"""A clock for tests.

In: waits. Out: the time, which jumps to the end of each; what was waited for can be read afterwards.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class FakeClock:
    """A clock that jumps to the end of every wait."""

    now_s: float = 1_790_000_000.0
    """Both the time and the monotonic time."""

    slept_s: list[float] = field(default_factory=list)
    """Every wait, in the order in which they were asked for."""

    def time(self) -> float:
        """Return the time that it is now in the test."""
        return self.now_s

    def monotonic(self) -> float:
        """Return the same: tests never set this clock back."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Jump ahead; let every other coroutine that can go on go on once."""
        self.slept_s.append(seconds)
        self.now_s += seconds
        await asyncio.sleep(0)
