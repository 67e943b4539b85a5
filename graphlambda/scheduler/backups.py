"""Backup invocations for stragglers: tasks far slower than their operation's others, where they may run twice at once.

In: which invocations are in flight, and since when. Out: which of them to send once more. Must not send anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from graphlambda.scheduler.policy import backups_at_once, straggles_after_s

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.scheduler.tools import Unit

ENOUGH = 8
"""Invocations of an operation after which it is known how long they take."""


@dataclass(slots=True)
class Flight:
    """An invocation without an answer yet, whose tasks may run twice at once."""

    table: int
    tasks: tuple[int, ...]
    sent_s: float
    is_backup: bool
    has_backup: bool = False


class Backups:
    """The invocations of one execution that may have a backup."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self._units = units
        self._able = [unit for unit in units if unit.idempotent]
        self._flights: dict[int, Flight] = {}
        self._numbers = count()
        self._sent = 0

    def sent(self, table: int, tasks: tuple[int, ...], now_s: float, *, is_backup: bool) -> int:
        """Note an invocation; return its number for `returned`."""
        number = next(self._numbers)
        if self._units[table].idempotent:
            self._flights[number] = Flight(table, tasks, now_s, is_backup)
            self._sent += is_backup
        return number

    def returned(self, number: int, now_s: float, *, answered: bool) -> None:
        """Note that an invocation has ended; how long it took tells what to expect of others."""
        flight = self._flights.pop(number, None)
        if flight and answered:
            self._units[flight.table].trips.add([(now_s - flight.sent_s) / len(flight.tasks)], cold=False)

    def has_other(self, task: int) -> bool:
        """Whether another attempt of a task is in flight."""
        return self._sent > 0 and any(task in flight.tasks for flight in self._flights.values())

    @property
    def may_come(self) -> bool:
        """Whether it is worth while to look for stragglers: something is in flight, and it is known how long others take."""
        return bool(self._flights) and any(unit.trips.known >= ENOUGH for unit in self._able)

    def stragglers(self, now_s: float, *, in_flight: int, room: int) -> list[Flight]:
        """Return the invocations to send once more now, the latest first and at most `room`; each is returned once."""
        at_once = sum(flight.is_backup for flight in self._flights.values())
        late = [flight for flight in self._flights.values() if self._straggles(flight, now_s)]
        late.sort(key=lambda flight: flight.sent_s)
        chosen = late[: max(0, min(room, backups_at_once(in_flight) - at_once))]
        for flight in chosen:
            flight.has_backup = True
        return chosen

    def _straggles(self, flight: Flight, now_s: float) -> bool:
        trips = self._units[flight.table].trips
        if trips.known < ENOUGH or flight.is_backup or flight.has_backup:
            return False
        return now_s - flight.sent_s > straggles_after_s(trips.late_s or 0.0, tasks=len(flight.tasks))
