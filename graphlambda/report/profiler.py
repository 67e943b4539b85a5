"""What a run teaches about its operations, for the compiler to fuse by.

In: the events of one run. Out: profiles by form, and what an invocation takes beside its tasks. Must not decide what
is fused, nor keep more than a sample.
"""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from graphlambda.compiler.measured import Profile
from graphlambda.scheduler.events import Event, InvocationEnded, RunEnded, TasksDone

if TYPE_CHECKING:
    from collections.abc import Mapping

_SAMPLE = 1_000
"""Durations of one kind that are kept, the first ones: what comes later is like them."""


class Profiler:
    """A listener that measures operations."""

    def __init__(self, forms: Mapping[str, str]) -> None:
        """`forms` gives an operation's form by its id."""
        self._forms = forms
        self._seconds: dict[str, list[float]] = {}
        self._tasks: Counter[str] = Counter()
        self._bytes: Counter[str] = Counter()
        self._invocations: Counter[str] = Counter()
        self._warm: Counter[str] = Counter()
        self._reading_s: defaultdict[str, float] = defaultdict(float)
        self._sending_s: defaultdict[str, float] = defaultdict(float)
        self._overheads_s: list[float] = []
        self._last: InvocationEnded | None = None
        self._inside_s = 0.0

    def __call__(self, event: Event, /) -> None:
        """Learn from one event."""
        match event:
            case InvocationEnded():
                self._close()
                if not event.failure:
                    self._last, self._inside_s = event, 0.0
                    self._invocations[event.operation] += 1
                    if not event.cold:  # a first value is read with the modules that it takes
                        self._reading_s[event.operation] += event.reading_s
                        self._sending_s[event.operation] += event.sending_s
            case TasksDone():
                self._done(event)
            case RunEnded():
                self._close()

    def profiles(self) -> dict[str, Profile]:
        """Return what is known of each operation, by form."""
        return {self._forms[each]: self._profile(each) for each in self._seconds if self._forms.get(each)}

    def overhead_s(self) -> float | None:
        """Return what an invocation takes beside its tasks when little else is in the way: the lower quartile."""
        overheads_s = sorted(self._overheads_s)
        return overheads_s[len(overheads_s) // 4] if overheads_s else None

    def _done(self, event: TasksDone) -> None:
        """Note the tasks of the latest invocation, or of one table of it; their events come next to its own."""
        self._inside_s += sum(event.seconds)
        seconds = self._seconds.setdefault(event.operation, [])
        seconds += event.seconds[: _SAMPLE - len(seconds)]
        self._tasks[event.operation] += len(event.tasks)
        if self._last is not None and not self._last.cold:
            self._warm[event.operation] += len(event.tasks)
        self._bytes[event.operation] += sum(event.value_bytes)

    def _close(self) -> None:
        """Measure the latest invocation, unless it made a new environment."""
        last, self._last = self._last, None
        if last is not None and not last.cold and len(self._overheads_s) < _SAMPLE:
            self._overheads_s.append(max(0.0, last.seconds - self._inside_s))

    def _profile(self, operation: str) -> Profile:
        seconds, tasks = sorted(self._seconds[operation]), self._tasks[operation]
        return Profile(
            seconds=statistics.median(seconds),
            p95_s=seconds[95 * (len(seconds) - 1) // 100],
            value_bytes=self._bytes[operation] / tasks,
            batch=tasks / max(1, self._invocations[operation]),
            count=tasks,
            reading_s=self._reading_s[operation] / max(1, self._warm[operation]),
            sending_s=self._sending_s[operation] / max(1, self._warm[operation]),
        )
