"""Back-pressure: how many tasks may start before the store holds more than it may.

In: what is stored, what the tasks in flight are expected to store. Out: how many tasks may start, and which. Must not
start any, nor wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphlambda.scheduler.ledger import Ledger
    from graphlambda.scheduler.outcomes import Answered
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.values import Values

UNKNOWN = 1 / 32
"""Of the bound: what a task is expected to store whose operation has not been measured."""

RESERVED = 1 / 8
"""Of the bound: for what makes room, which has to store its own value first."""

TIGHT = 1 / 4
"""Of the bound: beyond, what is let go is deleted at once, and not with many others."""

FADING = 0.9
"""A larger value is remembered; each reply with smaller ones makes it count for so much less."""


class Pressure:
    """What is taken, and promised, of what the store may hold."""

    def __init__(self, ledger: Ledger, values: Values, state: RunState, bound_bytes: int | None) -> None:
        self._ledger = ledger
        self._values = values
        self._state = state
        self._bound_bytes = bound_bytes
        self._promised_bytes = 0
        self._each_bytes: dict[int, int] = {}

    @property
    def is_tight(self) -> bool:
        """Whether deletions should not wait."""
        if self._bound_bytes is None:
            return False
        return self._ledger.stored_bytes + self._promised_bytes > TIGHT * self._bound_bytes

    def fitting(self, table: int, count: int) -> int:
        """Return how many of `count` tasks of a table may start: all, or half of what there is room for."""
        if self._bound_bytes is None:
            return count
        each_bytes = self._expected_bytes(table)
        free_bytes = self._free_bytes(self._bound_bytes) - int(RESERVED * self._bound_bytes)
        if each_bytes * count <= max(0, free_bytes):
            return count
        return max(0, (free_bytes // each_bytes + 1) // 2)

    def has_room(self, table: int) -> bool:
        """Whether a task of a table may start that makes room."""
        return self._bound_bytes is None or self._expected_bytes(table) <= self._free_bytes(self._bound_bytes)

    def relieving(self) -> int | None:
        """Return the table of the first ready task that lets go of as much as it stores; None where there is none.

        One whose operation has not been measured counts if it lets go of anything.
        """
        for table, task in self._state.first_ready():
            freed_bytes = sum(self._stored_bytes(value) for value in self._state.last_reads(task))
            if freed_bytes >= self._each_bytes.get(table, 1):
                return table
        return None

    def promise(self, table: int, count: int) -> int:
        """Count what tasks will store as taken; return the bytes, to be redeemed when they have ended."""
        if self._bound_bytes is None:
            return 0
        promised_bytes = self._expected_bytes(table) * count
        self._promised_bytes += promised_bytes
        return promised_bytes

    def redeem(self, promised_bytes: int) -> None:
        """Take a promise back."""
        self._promised_bytes -= promised_bytes

    def learn(self, table: int, answered: Answered) -> None:
        """Learn from a reply what tasks of a table store, each with its projections."""
        if self._bound_bytes is None or not answered.tasks:
            return
        stored_bytes = [
            size if frame is None else 0
            for size, frame in zip(answered.value_bytes, answered.frames, strict=True)
        ]
        largest_bytes = max(sum(stored_bytes[rows]) for rows in self._state.together(answered.tasks))
        faded_bytes = int(FADING * self._each_bytes.get(table, 0))
        self._each_bytes[table] = max(largest_bytes, faded_bytes)

    def _free_bytes(self, bound_bytes: int) -> int:
        return bound_bytes - self._ledger.stored_bytes - self._promised_bytes

    def _expected_bytes(self, table: int) -> int:
        unknown_bytes = int(UNKNOWN * (self._bound_bytes or 0))
        return self._each_bytes.get(table, unknown_bytes)

    def _stored_bytes(self, value: int) -> int:
        return self._values.size(value) if self._values.is_stored(value) else 0
