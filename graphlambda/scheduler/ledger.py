"""What a run has in its store, in bytes, as far as its client knows.

In: what was stored and what was deleted. Out: how much there is, and how much there ever was. Must not ask the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Ledger:
    """The stored frames of one run by name. What is to be deleted counts until it is."""

    __slots__ = ("_of", "peak_bytes", "stored_bytes")

    def __init__(self) -> None:
        self._of: dict[str, int] = {}
        self.stored_bytes = 0
        self.peak_bytes = 0

    def add(self, name: str, size_bytes: int) -> None:
        """Note that a frame was stored; one that was there before was not stored again."""
        if name not in self._of:
            self._of[name] = size_bytes
            self.stored_bytes += size_bytes
            self.peak_bytes = max(self.peak_bytes, self.stored_bytes)

    def remove(self, names: Iterable[str]) -> None:
        """Note that frames were deleted."""
        for name in names:
            self.stored_bytes -= self._of.pop(name, 0)
