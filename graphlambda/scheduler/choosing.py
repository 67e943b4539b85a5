"""What is sent next, and how much of it: by order, measurements, room in the store, and the pace of the account.

In: a `RunState`, what replies tell. Out: tasks, or how long to wait. Must not send anything, nor read a clock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from graphlambda.scheduler.batching import Measured, batch_size
from graphlambda.scheduler.pace import RECENT, Durations

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Sequence

    from graphlambda.scheduler.gate import Gate
    from graphlambda.scheduler.limits import Limits
    from graphlambda.scheduler.outcomes import Answered
    from graphlambda.scheduler.pace import Window
    from graphlambda.scheduler.pressure import Pressure
    from graphlambda.scheduler.spending import Spending
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Unit


class Chosen(NamedTuple):
    """What one invocation is to do."""

    table: int = 0
    """Whose function runs it."""

    tasks: Sequence[int] = ()
    """None where nothing may be sent now."""

    wait_s: float = 0.0
    """After how long something may be sent that only the account's pace holds back; 0 where nothing is."""

    is_too_dear: bool = False
    """Whether the table's function may not be invoked, as far as the budget goes, before what is in flight has ended."""

    is_overfull: bool = False
    """Whether it is sent though the store has no room for it: nothing else would ever make any."""


class Choosing:
    """Chooses for one execution."""

    def __init__(
        self,
        limits: Limits,
        state: RunState,
        units: Sequence[Unit],
        singles: deque[int],
        *,
        pressure: Pressure,
        window: Window,
        gate: Gate,
        spending: Spending,
    ) -> None:
        """`singles` are tasks that run each in an invocation of its own, before all others."""
        self._limits = limits
        self._state = state
        self._units = units
        self._singles = singles
        self._pressure = pressure
        self._window = window
        self._gate = gate
        self._spending = spending
        self._overhead = Durations()

    def next(self, now_s: float, *, in_flight: int) -> Chosen:
        """Return the tasks of the next invocation; none where none is ready, or may be sent."""
        single = self._single(now_s)
        if single.tasks or single.is_too_dear:
            return single
        table, wait_s = self._first(now_s)
        if table is None:
            return Chosen(wait_s=min(filter(None, (single.wait_s, wait_s)), default=0.0))
        return self._of(table, in_flight)

    def learn(self, table: int, answered: Answered, seconds: float, reply_bytes: int) -> None:
        """Learn from a reply what the operation's tasks and an invocation take."""
        self._window.grow()
        together = self._state.together(answered.tasks)
        own = (
            self._state.table(answered.tasks[0]) if answered.tasks else table
        )  # of projections alone: theirs
        tasks_s = [sum(answered.seconds[rows]) for rows in together[-RECENT:]]
        self._units[own].durations.add(tasks_s, cold=answered.cold)
        self._overhead.add((max(0.0, seconds - sum(answered.seconds)),), cold=answered.cold)
        self._units[own].reply_bytes = reply_bytes / max(1, len(together))

    def _single(self, now_s: float) -> Chosen:
        """Return the first of the tasks that go alone whose function is ready; they pass the account's pace."""
        state, least_s = self._state, 0.0
        for _ in range(len(self._singles)):
            task = self._singles.popleft()
            if not state.is_runnable(task):
                state.give_back(task)  # one of its inputs was lost meanwhile
                continue
            home = self._home(task)
            wait_s = self._gate.unready.wait_s(self._units[home].function, now_s)
            if not wait_s and self._affordable(home, 1):
                return Chosen(home, self._afforded(home, state.follow([task], 0)))
            self._singles.append(task)
            if not wait_s:
                return Chosen(home, is_too_dear=True)
            least_s = min(least_s or wait_s, wait_s)
        return Chosen(wait_s=least_s)

    def _first(self, now_s: float) -> tuple[int | None, float]:
        """Return the first table, in the order, that may be sent now; else after how long one may that is held back."""
        if not self._gate.holds:
            return self._state.next_table(), 0.0
        least_s = 0.0
        for table, task in self._state.first_ready():
            wait_s = self._gate.wait_s(self._units[self._home(task)].function, now_s)
            if not wait_s:
                return table, 0.0
            least_s = min(least_s or wait_s, wait_s)
        return None, least_s

    def _affordable(self, home: int, tasks: int) -> int:
        """Return how many of so many tasks a table's function may be sent, as far as the budget goes."""
        unit = self._units[home]
        return self._spending.affordable(unit.function, tasks, unit.inputs)

    def _afforded(self, home: int, tasks: list[int]) -> list[int]:
        """Return the first of the tasks, as far as the budget goes; the others wait again."""
        count = self._affordable(home, len(tasks))
        for task in tasks[count:]:
            self._state.give_back(task)
        return tasks[:count]

    def _of(self, table: int, in_flight: int) -> Chosen:
        """Return tasks of a table, or of the one that makes room for it."""
        state = self._state
        size = batch_size(
            self._measured(table),
            ready=state.ready(table),
            concurrency=self._window.size,
            limits=self._limits,
        )
        count, room, is_overfull = self._pressure.fitting(table, size.tasks), size.room, False
        if count < size.tasks:
            table, count, is_overfull = self._squeezed(table, count, in_flight)
            room = count
        tasks = state.take(table, count)
        if tasks and state.is_part(tasks[0]):
            tasks = self._neighbours(tasks)
        if not tasks:
            return Chosen()
        home = self._home(tasks[0])
        tasks = self._afforded(home, state.follow(tasks, max(0, room - len(tasks))))
        return Chosen(home, tasks, is_too_dear=not tasks, is_overfull=is_overfull)

    def _squeezed(self, table: int, count: int, in_flight: int) -> tuple[int, int, bool]:
        """Return of which table how many tasks may be sent, where not all may that are ready; and whether it is too much."""
        relieving = self._pressure.relieving() if count == 0 else None
        if count or (relieving is not None and self._pressure.has_room(relieving)):
            return (table, count, False) if relieving is None else (relieving, 1, False)
        if in_flight:
            return table, 0, False
        return table if relieving is None else relieving, 1, True

    def _home(self, task: int) -> int:
        """Return the table whose function runs a task: its own, but for a projection."""
        return self._state.table(self._state.projections.home(task))

    def _neighbours(self, tasks: list[int]) -> list[int]:
        """Return those projections that run in the first one's function, and give the others back."""
        home = self._home(tasks[0])
        for task in tasks:
            if self._home(task) != home:
                self._state.give_back(task)
        return [task for task in tasks if self._home(task) == home]

    def _measured(self, table: int) -> Measured:
        unit = self._units[table]
        return Measured(
            task_s=unit.durations.usual_s,
            late_s=unit.durations.late_s,
            overhead_s=self._overhead.least_s,
            reply_bytes=unit.reply_bytes,
        )
