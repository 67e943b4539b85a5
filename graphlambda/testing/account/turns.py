"""Threads whose time is virtual: one of them runs at a moment, and when it waits, the time jumps to who is due next.

In: functions that wait by `sleep`. Out: their results after no real waiting, in the same order each time. Threads must
not wait for each other by other means than `sleep` and `at_once`: nobody else's turn would come.
"""

from __future__ import annotations

import heapq
import threading
from itertools import count
from typing import TYPE_CHECKING, TypeVar

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
        turn = self._lined_up(seconds)
        self._next()
        _wait(turn)

    def at_once(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order, as the deployer's own `at_once` does; all are called first."""
        remaining = enumerate(list(items))
        results: list[tuple[int, Result]] = []
        failures: list[BaseException] = []
        working = [self._lined_up(0.0) for _ in range(THREADS)]
        all_done = threading.Event()

        def work(turn: threading.Event) -> None:
            _wait(turn)
            try:
                for place, item in remaining:
                    if failures:
                        break
                    results.append((place, function(item)))
            except BaseException as error:  # noqa: BLE001  (it is the caller's)
                failures.append(error)
            working.remove(turn)
            if not working:
                heapq.heappush(self._due, (self._now_s, next(self._numbers), all_done))
            self._next()

        for turn in tuple(working):
            threading.Thread(target=work, args=(turn,), daemon=True).start()
        self._next()
        _wait(all_done)
        if failures:
            raise failures[0]
        yield from (result for _, result in sorted(results, key=lambda each: each[0]))

    def _lined_up(self, seconds: float) -> threading.Event:
        """Return what is set when a thread's turn comes."""
        turn = threading.Event()
        heapq.heappush(self._due, (self._now_s + seconds, next(self._numbers), turn))
        return turn

    def _next(self) -> None:
        """Give the turn to who is due first; whoever calls this goes on to wait, or to its end."""
        self._now_s, _, turn = heapq.heappop(self._due)
        turn.set()


def _wait(turn: threading.Event) -> None:
    if not turn.wait(_REAL_S):
        raise HungError(f"no turn within {_REAL_S:g} s: a thread waits for what is not virtual")
