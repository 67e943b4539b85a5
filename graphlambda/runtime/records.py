"""Log records of the running task; imported only where something logs.

In: records that reach the root logger. Out: (logger, level, message). Must not print.
"""

from __future__ import annotations

import logging

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any


class _Listener(logging.Handler):
    def __init__(self, tell: Callable[[str, int, str], None]) -> None:
        super().__init__()
        self._tell = tell

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except (
            TypeError,
            ValueError,
            KeyError,
        ):  # arguments that do not fit the format: logging reports them
            self.handleError(record)
            return
        self._tell(record.name, record.levelno, message)


def listen(
    tell: Callable[[str, int, str], None],
    apart: Callable[[Callable[[Any], None]], Callable[[Any], None]],
) -> Callable[[], None]:
    """Call `tell` with every record that reaches the root logger; return what ends that.

    The handlers that are there already are the managed runtime's, which print: `apart` wraps how they do it.
    """
    root = logging.getLogger()
    wrapped = [(handler, handler.emit) for handler in root.handlers]
    for handler, emit in wrapped:
        handler.emit = apart(emit)  # type: ignore[assignment, method-assign]
    listener = _Listener(tell)
    root.addHandler(listener)

    def end() -> None:
        root.removeHandler(listener)
        for handler, emit in wrapped:
            handler.emit = emit  # type: ignore[method-assign]

    return end
