"""What is told beside a run's report: before it, whether its result fits; during it, what Dask's callbacks want to know.

In: a program; events. Out: a warning; calls of `told`. Must not keep anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.edge import warn
from graphlambda.errors import ResultWarning
from graphlambda.scheduler.events import Event, InvocationStarted, TasksDone, TasksRecalled
from graphlambda.scheduler.memory import free_bytes
from graphlambda.scheduler.results import LESS

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.compiler import Program


def tell_of_size(program: Program) -> None:
    """Warn of a result that would be refused after its run. It is no error: what chunks declare may be wrong."""
    if (wanted := program.declared_bytes) > (free := free_bytes()):
        warn(
            f"the result has {wanted:,} bytes, as chunks and dtypes say, but this process can take {free:,} more: if that is "
            f"so, the run's end is an error. {LESS}",
            ResultWarning,
        )


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
