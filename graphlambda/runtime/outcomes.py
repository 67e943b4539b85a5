"""What became of a request's tasks, collected as the reply tells it: a column of each kind, see `wire`.

In: tasks that ended, in order. Out: the part of the reply that tells of them. Must not know how a task is run.
"""

from __future__ import annotations

import time
from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Outcomes:
    """The outcomes of one request."""

    __slots__ = (
        "_at_s", "_begun_s", "_bytes", "_seconds", "_started_s", "_tasks",
        "errors", "inline", "left", "modules", "outputs", "reading_s", "sending_s", "shared", "stored", "unsent",
    )  # fmt: skip

    def __init__(self) -> None:
        self._at_s, self._begun_s = time.time(), time.perf_counter()
        self._tasks: list[int] = []
        self._started_s: list[float] = []
        self._seconds: list[float] = []
        self._bytes: list[int] = []
        self.reading_s = self.sending_s = 0.0
        self.inline: list[bytes] = []
        self.stored: list[int] = []
        self.shared: list[int] = []
        self.unsent: list[int] = []
        self.left: list[int] = []
        self.modules: dict[str, list[str]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, dict[str, Any]] = {}

    def add(self, task: int, start_s: float, end_s: float, size_bytes: int) -> None:
        """Note that a task ended, at these moments of `perf_counter`, with a value of so many bytes."""
        self._tasks.append(task)
        self._started_s.append(round(start_s - self._begun_s, 6))
        self._seconds.append(round(end_s - start_s, 6))
        self._bytes.append(size_bytes)

    def add_stored(self, task: int, size_bytes: int) -> None:
        """Note that the value of a task that was unsent is stored after all."""
        self._bytes[self._tasks.index(task)] = size_bytes
        self.stored.append(task)

    def told(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "at_s": self._at_s,
            "tasks": self._tasks,
            "started_s": self._started_s,
            "seconds": self._seconds,
            "bytes": self._bytes,
            "reading_s": round(self.reading_s, 6),
            "sending_s": round(self.sending_s, 6),
            "inline": b2a_base64(b"".join(self.inline), newline=False).decode(),
            "stored": self.stored,
            "shared": self.shared,
            "unsent": self.unsent,
            "left": self.left,
            "modules": self.modules,
            "outputs": self.outputs,
            "errors": self.errors,
        }
