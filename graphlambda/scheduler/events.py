"""What happens in a run, as frozen events, and who is told.

In: nothing. Out: what the loop emits and reports read. Must not print or keep anything.

Timestamps are seconds since the epoch; durations come from a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from graphlambda.prices import NO_TRAFFIC

if TYPE_CHECKING:
    from graphlambda.prices import Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The first event of a run."""

    run: str
    at_s: float
    tasks: int
    operations: tuple[tuple[str, str, int], ...]
    """(operation id, name, tasks), in table order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationStarted:
    """A request was sent."""

    at_s: float
    operation: str
    function: str
    tasks: tuple[int, ...]
    attempt: int
    request_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InvocationEnded:
    """A reply came, or the invocation failed."""

    at_s: float
    operation: str
    function: str
    tasks: tuple[int, ...]
    seconds: float
    billed_s: float
    """What Lambda would bill: the function's own duration, initialisation included when cold. Of a failed invocation of
    which Lambda does not say it, the most that it may be."""

    cold: bool
    had_waited: bool = False
    """Whether its environment was started before anybody asked, which has a price of its own."""

    reply_bytes: int
    reading_s: float = 0.0
    """What reading its tasks' inputs took."""

    sending_s: float = 0.0
    """What sending their values took."""

    traffic: Traffic = NO_TRAFFIC
    """What the function asked of stores."""

    failure: str
    """Empty, or the name of the outcome: `throttled`, `out of memory`, `timed out`, …"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksDone:
    """The values of some tasks of one invocation are committed: each column has one entry a task."""

    at_s: float
    operation: str
    tasks: tuple[int, ...]
    started_s: tuple[float, ...]
    seconds: tuple[float, ...]
    value_bytes: tuple[int, ...]
    inline: tuple[bool, ...]
    """Whether the value came with the reply; else it was stored."""

    peak_mb: float
    """Of the environment, so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksRecalled:
    """Tasks of one operation were committed by an earlier client of the run, and do not run again."""

    at_s: float
    operation: str
    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TasksSpared:
    """Tasks that do not run: an earlier run has left their values, or those of all tasks that read theirs."""

    at_s: float
    operation: str
    tasks: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOutput:
    """What a task printed, warned of or logged; bounded."""

    at_s: float
    task: int
    key: str
    stdout: str
    stderr: str
    warnings: tuple[tuple[str, str], ...]
    """(category, message)."""

    logs: tuple[tuple[str, int, str], ...]
    """(logger, level, message)."""

    dropped_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRetried:
    """A task will run again."""

    at_s: float
    task: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskUndone:
    """A task's committed value is gone from the store, or one that it takes to make that again: it will run again."""

    at_s: float
    task: int
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ValuesReleased:
    """The last readers of some values are done."""

    at_s: float
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOverfull:
    """A task is sent although what it makes may exceed the bound of the store: nothing else could go on."""

    at_s: float
    stored_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnded:
    """The last event of a run."""

    run: str
    at_s: float
    seconds: float
    failure: str
    """Empty, or the error's class name."""

    stored_peak_bytes: int = 0
    """The most that the run had in the store at one moment."""


Event: TypeAlias = (
    RunStarted
    | InvocationStarted
    | InvocationEnded
    | TasksDone
    | TasksRecalled
    | TasksSpared
    | TaskOutput
    | TaskRetried
    | TaskUndone
    | ValuesReleased
    | StoreOverfull
    | RunEnded
)


class Listener(Protocol):
    """Who is told. One that raises is dropped with a warning; the run goes on."""

    def __call__(self, event: Event, /) -> None:
        """Take one event, on the loop's thread: return quickly."""
