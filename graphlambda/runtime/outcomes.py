"""What became of a request's tasks, collected as the reply tells it: a column of each kind, see `wire`.

In: tasks that ended, in order. Out: the part of the reply that tells of them. Must not know how a task is run.
"""

from __future__ import annotations

import time
from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


ROW_BYTES = 192
"""What a task takes of a reply at most, in all columns and in the lists that name it; and what its output's frame takes."""


class Outcomes:
    """The outcomes of one request."""

    __slots__ = (
        "_at_s",
        "_begun_s",
        "_bytes",
        "_inline",
        "_seconds",
        "_started_s",
        "_tasks",
        "errors",
        "left",
        "modules",
        "outputs",
        "reading_s",
        "sending_s",
        "shared",
        "stored",
        "taken_bytes",
        "unsent",
    )  # fmt: skip

    def __init__(self) -> None:
        self._at_s, self._begun_s = time.time(), time.perf_counter()
        self._tasks: list[int] = []
        self._started_s: list[float] = []
        self._seconds: list[float] = []
        self._bytes: list[int] = []
        self.reading_s = self.sending_s = 0.0
        self._inline: list[bytes] = []
        self.stored: list[int] = []
        self.shared: list[int] = []
        self.unsent: list[int] = []
        self.left: list[int] = []
        self.modules: dict[str, list[str]] = {}
        self.outputs: dict[str, dict[str, Any]] = {}
        self.errors: dict[str, dict[str, Any]] = {}
        self.taken_bytes = 0
        """Of the reply as it is sent, at most; without what tasks print, for which there is room of its own."""

    def add(self, task: int, start_s: float, end_s: float, size_bytes: int) -> None:
        """Note that a task ended, at these moments of `perf_counter`, with a value of so many bytes."""
        self._tasks.append(task)
        self._started_s.append(round(start_s - self._begun_s, 6))
        self._seconds.append(round(end_s - start_s, 6))
        self._bytes.append(size_bytes)
        self.taken_bytes += ROW_BYTES

    def add_inline(self, frame: bytes) -> None:
        """Note a frame that rides in the reply."""
        self._inline.append(frame)
        self.taken_bytes += encoded_bytes(len(frame))

    def add_left(self, task: int) -> None:
        """Note a projection that is for another invocation."""
        self.left.append(task)
        self.taken_bytes += ROW_BYTES

    def add_error(self, task: int, error: dict[str, Any], size_bytes: int) -> None:
        """Note how a task failed, and how many bytes that takes as JSON."""
        self.errors[str(task)] = error
        self.taken_bytes += size_bytes

    def add_modules(self, task: int, modules: list[str]) -> None:
        """Note what un-pickling a value imports."""
        self.modules[str(task)] = modules
        self.taken_bytes += 16 + sum(4 + len(name) * (1 if name.isascii() else 12) for name in modules)

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
            "inline": b2a_base64(b"".join(self._inline), newline=False).decode(),
            "stored": self.stored,
            "shared": self.shared,
            "unsent": self.unsent,
            "left": self.left,
            "modules": self.modules,
            "outputs": self.outputs,
            "errors": self.errors,
        }


def encoded_bytes(size_bytes: int) -> int:
    """Return what so many bytes take as base64."""
    return (size_bytes + 2) // 3 * 4
