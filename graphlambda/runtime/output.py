"""What a task prints, warns of and logs: kept for the client, bounded; the environment's own log gets it, too.

In: writes of the running task. Out: the wire's `output`. Must not lose a print, nor keep one for the next task.
"""

from __future__ import annotations

import sys
import warnings
from _thread import get_ident

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Self, TextIO

LIMIT_BYTES = 64 * 1024
"""How much of one task's output goes home."""

REPLY_BYTES = 128 * 1024
"""How much of all tasks' output fits into one reply, where each byte may be written as six."""

ENTRY_BYTES = 6
"""Counted for each warning and log record, beside its texts."""


class Capture:
    """Stands before an environment's streams, warnings and log records while tasks run."""

    def __init__(self) -> None:
        self._kept: dict[str, list[Any]] = {}
        self._room_bytes = LIMIT_BYTES
        self._reply_room_bytes = REPLY_BYTES
        self._dropped_bytes = 0
        self._end_logging: Callable[[], None] | None = None
        self._logging_thread: int | None = None

    def __enter__(self) -> Self:
        self._reply_room_bytes = REPLY_BYTES
        self._streams = sys.stdout, sys.stderr
        self._show = warnings.showwarning
        sys.stdout = _Tee(sys.stdout, self._keeper("stdout"))
        sys.stderr = _Tee(sys.stderr, self._keeper("stderr"))
        warnings.showwarning = self._warned
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout, sys.stderr = self._streams
        warnings.showwarning = self._show
        if self._end_logging is not None:  # or one wrapper more would stand before each handler
            self._end_logging()
            self._end_logging = None

    def begin(self) -> None:
        """Forget what was written before; hear log records from now on if anything logs."""
        self._kept, self._dropped_bytes = {}, 0
        self._room_bytes = min(LIMIT_BYTES, self._reply_room_bytes)
        if self._end_logging is None and "logging" in sys.modules:
            from .records import listen  # noqa: PLC0415  (it imports logging)

            self._end_logging = listen(self._logged, self._apart)

    def take(self) -> dict[str, Any] | None:
        """Return what was written since `begin`, as the wire says; None where nothing was."""
        if not self._kept and not self._dropped_bytes:
            return None
        self._reply_room_bytes -= min(LIMIT_BYTES, self._reply_room_bytes) - self._room_bytes
        kept = self._kept
        return {
            "stdout": "".join(kept.get("stdout", ())),
            "stderr": "".join(kept.get("stderr", ())),
            "warnings": kept.get("warnings", []),
            "logs": kept.get("logs", []),
            "dropped_bytes": self._dropped_bytes,
        }

    def _keeper(self, stream: str) -> Callable[[str], None]:
        def keep(text: str) -> None:
            if self._logging_thread == get_ident():
                return
            if fitting := self._fitting(text):
                self._kept.setdefault(stream, []).append(fitting)

        return keep

    def _warned(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        name = _name_of(category)
        if fitting := self._fitting(str(message), beside=name):
            self._kept.setdefault("warnings", []).append((name, fitting))
        self._show(message, category, filename, lineno, file or self._streams[1], line)

    def _logged(self, logger: str, level: int, message: str) -> None:
        if fitting := self._fitting(message, beside=logger):
            self._kept.setdefault("logs", []).append((logger, level, fitting))

    def _apart(self, emit: Callable[[Any], None]) -> Callable[[Any], None]:
        """Return what writes a log record to the environment's own log only: the client gets the record itself."""

        def apart(record: Any) -> None:
            self._logging_thread = get_ident()
            try:
                emit(record)
            finally:
                self._logging_thread = None

        return apart

    def _fitting(self, text: str, *, beside: str | None = None) -> str:
        """Return as much of a text as there is room for, and count the rest; `beside` is told with it, if anything is."""
        encoded = text.encode(errors="surrogatepass")
        if beside is not None:
            told_bytes = ENTRY_BYTES + len(beside.encode(errors="surrogatepass"))
            self._room_bytes = max(0, self._room_bytes - told_bytes)
        fitting = encoded[: self._room_bytes]
        self._room_bytes -= len(fitting)
        self._dropped_bytes += len(encoded) - len(fitting)
        return text if len(fitting) == len(encoded) else fitting.decode(errors="ignore")


def _name_of(category: type[Warning]) -> str:
    name = category.__qualname__
    return name if category.__module__ == "builtins" else f"{category.__module__}.{name}"


class _Tee:
    """A stream that also hands on what is written to it."""

    def __init__(self, stream: TextIO, keep: Callable[[str], None]) -> None:
        self._stream = stream
        self._keep = keep

    def write(self, text: str) -> int:
        written = self._stream.write(text)
        self._keep(text)
        return written

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
