"""What a run adds up to.

In: its events. Out: a `Summary`, and the one line that closes a run. Must not print, nor keep an event.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING

from graphlambda.prices import NO_TRAFFIC, US_EAST_1, Prices, Traffic, Usage, ran
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

    from graphlambda.prices import Size


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One run in numbers; `print` shows the line that closes it."""

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

    def __str__(self) -> str:
        """Return the one line that closes a run."""
        return " · ".join(part for part in _parts(self) if part)


@dataclass(slots=True)
class _Used:
    """What functions of one size were billed."""

    requests: int = 0
    seconds: float = 0.0
    ready_s: float = 0.0
    """Of these, where environments had waited."""

    starts: int = 0


def _nothing() -> Traffic:
    return NO_TRAFFIC


class Tally:
    """A listener that adds up one run."""

    def __init__(
        self,
        size_of: Callable[[str], Size],
        *,
        made: int = 0,
        reused: int = 0,
        asked: Callable[[], Traffic] = _nothing,
        beside: Usage | None = None,
        prices: Prices = US_EAST_1,
    ) -> None:
        """Take a function's size, by its name, and what the client itself asked of stores so far; see `Bill` for `beside`.

        The deployer knows `made` and `reused`.
        """
        self._size_of = size_of
        self._asked = asked
        self._beside = beside or Usage()
        self._made = made
        self._reused = reused
        self._prices = prices
        self._tasks = self._operations = self._done = self._spared = self._retried = 0
        self._throttled = self._cold = 0
        self._request_bytes = self._reply_bytes = self._stored_bytes = 0
        self._stored_peak_bytes = self._overfull = 0
        self._seconds = 0.0
        self._used: dict[Size, _Used] = {}
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
        bill = self.bill()
        return Summary(
            tasks=self._tasks,
            tasks_done=self._done,
            tasks_spared=self._spared,
            operations=self._operations,
            functions_made=self._made,
            functions_reused=self._reused,
            invocations=bill.requests,
            throttled=self._throttled,
            cold_starts=self._cold,
            retried=self._retried,
            request_bytes=self._request_bytes,
            reply_bytes=self._reply_bytes,
            stored_bytes=self._stored_bytes,
            stored_peak_bytes=self._stored_peak_bytes,
            overfull=self._overfull,
            seconds=self._seconds,
            bill=bill,
            failure=self._failure,
        )

    def bill(self) -> Bill:
        """Return what is billed so far; may be called from any thread, and then be an event behind."""
        usage = Usage(traffic=self._traffic + self._asked())
        for of_one, used in list(self._used.items()):
            usage += ran(
                of_one, used.seconds, requests=used.requests, ready_s=used.ready_s, starts=used.starts
            )
        return Bill(usage=usage, beside=self._beside, prices=self._prices)

    def _end(self, event: InvocationEnded) -> None:
        self._throttled += event.failure == Kind.THROTTLED
        if event.failure in NEVER_BEGUN:
            return
        self._cold += event.cold
        self._reply_bytes += event.reply_bytes
        used = self._used.setdefault(self._size_of(event.function), _Used())
        used.requests += 1
        used.seconds += event.billed_s
        used.ready_s += event.billed_s if event.had_waited else 0.0
        used.starts += event.cold
        self._traffic += event.traffic


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
        f"{money(summary.cost_usd)} at list prices of Lambda",
    )


def _tasks(summary: Summary) -> str:
    all_tasks = count(summary.tasks, "task")
    return all_tasks if summary.tasks_done == summary.tasks else f"{summary.tasks_done:,} of {all_tasks}"
