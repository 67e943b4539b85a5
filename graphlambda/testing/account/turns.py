"""Threads whose time is virtual: one of them runs at a moment, and when it waits, the time jumps to who is due next.

In: functions that wait by `sleep`. Out: their results after no real waiting, in the same order each time. Threads must
not wait for each other by other means than `sleep` and `at_once`: nobody else's turn would come.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Generic, TypeVar

from graphlambda.deployer.threads import THREADS
from graphlambda.testing.virtual import HungError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

_REAL_S = 240.0
"""How long a thread waits for its turn in real time: the others compute meanwhile, and wait for nothing."""


class Turns:
    """The time of the thread that made it, and of those that its `at_once` starts; it begins at second 0."""

    def __init__(self) -> None:
        self._now_s = 0.0
        self._numbers = count()
        self._due: list[tuple[float, int, threading.Event]] = []

    def clock(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def sleep(self, seconds: float) -> None:
        """Let others have their turns, and return so many seconds later.

        Raises:
            HungError: a thread holds its turn for very long.
        """
        turn = threading.Event()
        self._line_up(turn, seconds)
        self._next()
        _wait(turn)

    def at_once(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, threads: int = THREADS
    ) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order, as the deployer's own `at_once` does."""
        crew = _Crew(function, self._line_up, self._next, threads)
        for item in items:
            crew.take(item)
        yield from crew.results()

    def _line_up(self, turn: threading.Event, seconds: float = 0.0) -> None:
        """Have an event set when the turn of who waits for it comes."""
        heapq.heappush(self._due, (self._now_s + seconds, next(self._numbers), turn))

    def _next(self) -> None:
        """Give the turn to who is due first; whoever calls this goes on to wait, or to its end."""
        self._now_s, _, turn = heapq.heappop(self._due)
        turn.set()


class _Crew(Generic[Item, Result]):
    """The threads of one `at_once`: each works until nothing is left to do."""

    def __init__(
        self,
        function: Callable[[Item], Result],
        line_up: Callable[[threading.Event], None],
        pass_on: Callable[[], None],
        most: int,
    ) -> None:
        self._function = function
        self._line_up = line_up
        self._pass_on = pass_on
        self._most = most
        self._working = 0
        self._taken = 0
        self._waiting: deque[tuple[int, Item]] = deque()
        self._results: dict[int, Result] = {}
        self._failures: list[BaseException] = []
        self._awaiting: threading.Event | None = None
        """Of who waits for the next result."""

    def take(self, item: Item) -> None:
        """Have a thread work on an item, as soon as there is one."""
        self._waiting.append((self._taken, item))
        self._taken += 1
        if self._working < self._most:
            self._working += 1
            turn = threading.Event()
            self._line_up(turn)
            threading.Thread(target=self._work, args=(turn,), daemon=True).start()

    def results(self) -> Iterator[Result]:
        """Yield each result when it is there, in order; raise what failed first, once nobody works any more."""
        for place in range(self._taken):
            while place not in self._results and not self._failures:
                self._await()
            if self._failures:
                break
            yield self._results[place]
        while self._failures and self._working:
            self._await()
        if self._failures:
            raise self._failures[0]

    def _await(self) -> None:
        """Return when a thread has done something."""
        self._awaiting = threading.Event()
        awaited = self._awaiting
        self._pass_on()
        _wait(awaited)

    def _tell(self) -> None:
        if self._awaiting is not None:
            self._line_up(self._awaiting)
            self._awaiting = None

    def _work(self, turn: threading.Event) -> None:
        _wait(turn)
        while self._waiting and not self._failures:
            place, item = self._waiting.popleft()
            try:
                self._results[place] = self._function(item)
            except BaseException as error:  # noqa: BLE001  (it is the caller's)
                self._failures.append(error)
            self._tell()
        self._working -= 1
        self._tell()
        self._pass_on()


def _wait(turn: threading.Event) -> None:
    if not turn.wait(_REAL_S):
        raise HungError(f"no turn within {_REAL_S:g} s: a thread waits for what is not virtual")
