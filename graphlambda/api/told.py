"""From a run's events to what Dask's callbacks want to know.

In: events. Out: calls of `told`. Must not keep anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.scheduler.events import Event, InvocationStarted, TasksDone, TasksRecalled

if TYPE_CHECKING:
    from collections.abc import Callable


def progress_of(told: Callable[[str, tuple[int, ...]], None]) -> Callable[[Event], None]:
    """Return a listener that tells which tasks run and which are done."""

    def listen(event: Event) -> None:
        if isinstance(event, InvocationStarted):
            told("running", event.tasks)
        elif isinstance(event, TasksDone):
            told("done", event.tasks)
        elif isinstance(event, TasksRecalled):
            told("running", event.tasks)
            told("done", event.tasks)

    return listen
