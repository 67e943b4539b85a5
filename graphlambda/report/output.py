"""What tasks printed, warned of and logged, told again on the client.

In: `TaskOutput` events. Out: `sys.stdout`, `sys.stderr`, warnings, log records. Must not judge them: a
filter, a handler or a level that the user has set decides, as it would have in this process.

It is bounded: what a million tasks print would fill a terminal for hours and a notebook for good.
"""

from __future__ import annotations

import builtins
import logging
import sys
import warnings

from graphlambda.report.units import count, size
from graphlambda.scheduler.events import Event, RunEnded, TaskOutput

LIMIT_CHARACTERS = 1_000_000
"""Of a whole run, stdout and stderr together; a notebook becomes unusable at a few times that."""


class TaskWarning(UserWarning):
    """A task's warning whose own class this process has not imported."""


class Output:
    """A listener that tells again what tasks told, each warning once with the key of the first task."""

    def __init__(self, limit_characters: int = LIMIT_CHARACTERS) -> None:
        self._left = limit_characters
        self._kept_back = 0
        self._warned: dict[tuple[str, str], int] = {}

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        match event:
            case TaskOutput():
                self._tell(event)
            case RunEnded():
                self._close()
            case _:
                pass

    def _tell(self, event: TaskOutput) -> None:
        self._write("stdout", event.stdout)
        self._write("stderr", event.stderr)
        for category, message in event.warnings:
            self._warn(category, message, event.key)
        for name, level, message in event.logs:
            _log(name, level, message, event.key)
        if event.dropped_bytes:
            _note(
                f"task {event.key} told more than a reply may hold: {size(event.dropped_bytes)} are not here"
            )

    def _write(self, stream: str, text: str) -> None:
        """Write as is: a prefix would break what a task prints as a table or in parts of a line."""
        shown = text[: self._left]
        self._left -= len(shown)
        self._kept_back += len(text) - len(shown)
        if shown:
            getattr(sys, stream).write(shown)
            getattr(sys, stream).flush()

    def _warn(self, category: str, message: str, key: str) -> None:
        seen = self._warned.get((category, message), 0)
        self._warned[category, message] = seen + 1
        if not seen:
            _issue(f"{message} (in task {key})", warning_class(category))

    def _close(self) -> None:
        again = sum(self._warned.values()) - len(self._warned)
        if again:
            _note(f"{count(again, 'more warning')} of other tasks said the same")
        if self._kept_back:
            _note(f"{count(self._kept_back, 'more character')} of tasks' output are not shown")


def warning_class(name: str) -> type[Warning]:
    """Return the class called `name` (`UserWarning`, `numpy.exceptions.ComplexWarning`) if it is loaded here.

    A name that came over the network imports nothing: `TaskWarning` stands for what is not loaded.
    """
    module, _, attribute = name.rpartition(".")
    holder = sys.modules.get(module) if module else builtins
    found = getattr(holder, attribute, None)
    return found if isinstance(found, type) and issubclass(found, Warning) else TaskWarning


def _issue(text: str, category: type[Warning]) -> None:
    """Warn. The task is done: where a filter makes an error of it, it is shown and stops nothing."""
    try:
        warnings.warn_explicit(text, category, filename="<task>", lineno=0)
    except category as raised:
        sys.stderr.write(warnings.formatwarning(raised, category, "<task>", 0, line=""))


def _log(name: str, level: int, message: str, key: str) -> None:
    logger = logging.getLogger(name)
    if logger.isEnabledFor(level):
        told = logger.makeRecord(name, level, "<task>", 0, message, (), None, extra={"task": key})
        logger.handle(told)


def _note(text: str) -> None:
    sys.stderr.write(f"graphlambda: {text}\n")
