"""Tells several listeners; one that raises is told nothing more.

In: events. Out: calls of listeners, in the order in which they were given. Must not let a listener end a run.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from graphlambda.edge import warn

if TYPE_CHECKING:
    from graphlambda.scheduler.events import Event, Listener


class Listeners:
    """A listener that tells others."""

    __slots__ = ("_listeners",)

    def __init__(self, *listeners: Listener) -> None:
        self._listeners = list(listeners)

    def __bool__(self) -> bool:
        """Whether anybody listens: if not, no event need be made."""
        return bool(self._listeners)

    def __call__(self, event: Event, /) -> None:
        """Tell everyone."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001  (a listener is anybody's code; the run goes on)
                self._listeners.remove(listener)
                what = f"{type(error).__name__}: {error} ({_place(error)})"
                text = f"{listener!r} raised {what}; it is told nothing more of this run"
                warn(text, RuntimeWarning)


def _place(error: Exception) -> str:
    """Return where an error was raised: innermost line first, three at most."""
    frames = traceback.extract_tb(error.__traceback__)[-3:]
    return ", called from ".join(
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames)
    )
