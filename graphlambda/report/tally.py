"""What a run adds up to.

In: its events. Out: a `Summary`, and the one line that closes a run. Must not print, nor keep an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from graphlambda.prices import NO_TRAFFIC, US_EAST_1, Prices, Traffic, beyond_free_mb, gb_seconds
from graphlambda.report.bill import Bill
from graphlambda.report.units import count, duration, money, size
from graphlambda.scheduler.events import (
    Event,
    InvocationEnded,
    InvocationStarted,
    RunEnded,
    RunStarted,
    StoreOverfull,
    TaskRetried,
    TasksDone,
    TasksRecalled,
    TasksSpared,
    TaskUndone,
)
from graphlambda.scheduler.kinds import Kind
from graphlambda.scheduler.policy import NEVER_BEGUN

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One run in numbers."""

    tasks: int
    tasks_done: int
    """Equal to `tasks`, unless the run failed or is still going on; what an earlier client committed is among them."""

    tasks_spared: int = 0
    """Of these, those that did not run, since an earlier run has left what they would give."""

    operations: int
    functions_made: int
    functions_reused: int
    invocations: int
    """That reached a function, as far as one can tell: what Lambda counts and bills."""

    throttled: int
    """Invocations that Lambda refused for want of concurrency."""

    cold_starts: int
    retried: int
    """How often a task had to run again."""

    request_bytes: int
    reply_bytes: int
    stored_bytes: int
    """Of values that went to a store instead of a reply."""

    stored_peak_bytes: int
    """The most that the store held of the run at one moment."""

    overfull: int
    """How often a task had to be sent although the store was as full as `store_mb` allows."""

    seconds: float
    """From the first event to the last."""

    bill: Bill
    """What it is billed on AWS, or would have been."""

    failure: str
    """Empty, or the class name of the error that ended the run."""

    @property
    def billed_gb_s(self) -> float:
        """Memory given, during what Lambda bills."""
        return self.bill.billed_gb_s

    @property
    def cost_usd(self) -> float:
        """At list prices: see `prices`."""
        return self.bill.usd

    @property
    def moved_bytes(self) -> int:
        """How much went through requests, replies and the store."""
        return self.request_bytes + self.reply_bytes + self.stored_bytes


class Tally:
    """A listener that adds up one run."""

    def __init__(
        self,
        memory_of: Callable[[str], int],
        architecture: str,
        *,
        ephemeral_mb: int = 0,
        made: int = 0,
        reused: int = 0,
        prices: Prices = US_EAST_1,
    ) -> None:
        """Take how much memory in MiB a function has, by its name, and of /tmp; the deployer knows `made` and `reused`."""
        self._memory_of = memory_of
        self._architecture = architecture
        self._made = made
        self._reused = reused
        self._prices = prices
        self._tasks = self._operations = self._done = self._spared = self._retried = 0
        self._invocations = self._throttled = self._cold = 0
        self._request_bytes = self._reply_bytes = self._stored_bytes = 0
        self._stored_peak_bytes = self._overfull = 0
        self._seconds = self._billed_gb_s = self._billed_s = 0.0
        self._ephemeral_mb = ephemeral_mb
        self._traffic = NO_TRAFFIC
        self._failure = ""

    def __call__(self, event: Event, /) -> None:
        """Add one event."""
        match event:
            case TasksDone():
                self._done += len(event.tasks)
                stored = (not inline for inline in event.inline)
                self._stored_bytes += sum(compress(event.value_bytes, stored))
            case TasksRecalled() | TasksSpared():
                self._done += len(event.tasks)
                self._spared += len(event.tasks) if isinstance(event, TasksSpared) else 0
            case InvocationStarted():
                self._request_bytes += event.request_bytes
            case InvocationEnded():
                self._end(event)
            case TaskRetried():
                self._retried += 1
            case TaskUndone():
                self._done -= 1
                self._retried += 1
            case RunStarted():
                self._tasks = event.tasks
                self._operations = len({operation for operation, _, _ in event.operations})
            case RunEnded():
                self._seconds, self._failure = event.seconds, event.failure
                self._stored_peak_bytes = event.stored_peak_bytes
            case StoreOverfull():
                self._overfull += 1
            case _:
                pass

    def summary(self) -> Summary:
        """Return what there is so far; whole after `RunEnded`."""
        return Summary(
            tasks=self._tasks,
            tasks_done=self._done,
            tasks_spared=self._spared,
            operations=self._operations,
            functions_made=self._made,
            functions_reused=self._reused,
            invocations=self._invocations,
            throttled=self._throttled,
            cold_starts=self._cold,
            retried=self._retried,
            request_bytes=self._request_bytes,
            reply_bytes=self._reply_bytes,
            stored_bytes=self._stored_bytes,
            stored_peak_bytes=self._stored_peak_bytes,
            overfull=self._overfull,
            seconds=self._seconds,
            bill=self.bill(),
            failure=self._failure,
        )

    def bill(self) -> Bill:
        """Return what is billed so far; may be called from any thread, and then be an event behind."""
        return Bill(
            architecture=self._architecture,
            requests=self._invocations,
            billed_gb_s=self._billed_gb_s,
            ephemeral_gb_s=gb_seconds(beyond_free_mb(self._ephemeral_mb), self._billed_s),
            traffic=self._traffic,
            prices=self._prices,
        )

    def add_traffic(self, traffic: Traffic) -> None:
        """Add what the client itself asked of the store."""
        self._traffic += traffic

    def _end(self, event: InvocationEnded) -> None:
        self._throttled += event.failure == Kind.THROTTLED
        if event.failure in NEVER_BEGUN:
            return
        self._invocations += 1
        self._cold += event.cold
        self._reply_bytes += event.reply_bytes
        self._billed_gb_s += gb_seconds(self._memory_of(event.function), event.billed_s)
        self._billed_s += event.billed_s
        self._traffic += event.traffic


def line(summary: Summary) -> str:
    """Return the one line that closes a run."""
    return " · ".join(part for part in _parts(summary) if part)


def _parts(summary: Summary) -> tuple[str, ...]:
    functions = summary.functions_made + summary.functions_reused
    made_of = f"({summary.functions_made:,} made, {summary.functions_reused:,} reused)"
    return (
        _tasks(summary),
        f"{summary.tasks_spared:,} spared" if summary.tasks_spared else "",
        count(summary.operations, "operation"),
        f"{count(functions, 'function')} {made_of}",
        count(summary.invocations, "invocation"),
        f"{summary.retried:,} retried" if summary.retried else "",
        f"{summary.throttled:,} throttled" if summary.throttled else "",
        size(summary.moved_bytes),
        f"at most {size(summary.stored_peak_bytes)} stored at once" if summary.stored_peak_bytes else "",
        f"beyond store_mb= for {count(summary.overfull, 'task')}" if summary.overfull else "",
        duration(summary.seconds),
        f"failed with {summary.failure}" if summary.failure else "",
        f"would cost {money(summary.cost_usd)} on Lambda",
    )


def _tasks(summary: Summary) -> str:
    all_tasks = count(summary.tasks, "task")
    return all_tasks if summary.tasks_done == summary.tasks else f"{summary.tasks_done:,} of {all_tasks}"
