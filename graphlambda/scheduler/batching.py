"""How many tasks share an invocation: a cost model over what was measured.

In: measurements of an operation, how many of its tasks are ready, bounds. Out: decisions. Pure: must not know a run's
state, time or the network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphlambda.scheduler.limits import Limits

MOST_TASKS = 1_000
"""Of one batch: beyond that nothing is saved, and the client would have nothing to do meanwhile."""

WORTH = 20.0
"""A batch lasts at most so many times what an invocation costs: then that cost is 5% of it."""

_LEAST_S = 1e-6
"""What a task takes at least: clocks tell no less."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large a batch of one operation's tasks becomes."""

    tasks: int
    """Ready tasks that it takes; at least 1."""

    room: int
    """With those that its own tasks make ready; at least `tasks`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of an operation's tasks; None where nothing is."""

    task_s: float | None
    """What most of them take: the median."""

    late_s: float | None
    """What nearly all of them stay below: the 95th percentile."""

    overhead_s: float | None
    """What an invocation takes beside its tasks, at least."""

    reply_bytes: float
    """Of a reply, for each task."""


def batch_size(measured: Measured, *, ready: int, concurrency: int, limits: Limits) -> Size:
    """Return how large the next batch is, given `ready` tasks of its operation.

    An unmeasured operation is tried with one task each. A measured one is spread over what may run at once
    (half of a fair share at a time, so that the end is even), in pieces that last neither less than an
    invocation costs nor longer than is needed to make that cost small. Nearly every batch stays within `batch_s`.
    """
    if limits.batch is not None:
        return Size(min(limits.batch, ready), limits.batch)
    if measured.task_s is None or measured.late_s is None or measured.overhead_s is None:
        return Size(1, 1)
    task_s = max(measured.task_s, _LEAST_S)
    most = min(
        MOST_TASKS,
        int(limits.batch_s / max(measured.late_s, _LEAST_S)),
        int(WORTH * measured.overhead_s / task_s),
        int(limits.reply_bytes / max(measured.reply_bytes, 1.0)),
    )
    fair = math.ceil(ready / (2 * max(1, concurrency)))
    least = math.ceil(measured.overhead_s / task_s)
    most = max(1, most)
    return Size(min(ready, most, max(fair, least)), most)


def fitting(sizes: list[int], budget: int) -> int:
    """Return how many of these, from the left, fit into a budget together; at least 1."""
    total = 0
    for count, size in enumerate(sizes):
        total += size
        if total > budget:
            return max(1, count)
    return len(sizes)
