"""A run in the background, as whoever submitted it holds it.

In: work that runs a program and waits. Out: its result, in any thread. Must not know what the work is.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from graphlambda.edge import edge
from graphlambda.errors import RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.scheduler.loop import Run
    from graphlambda.scheduler.thread import Going

    Begun = Callable[[Going[Run]], None]


class RunHandle:
    """A run that goes on in the background. It does not hold up the end of the process: `resume` goes on with it."""

    def __init__(self, run: str, work: Callable[[Begun], tuple[Any, ...]]) -> None:
        """Begin `work` in a thread; it is given whom to tell when its run begins."""
        self.id = run
        self._work = work
        self._future: Future[tuple[Any, ...]] = Future()
        self._lock = threading.Lock()
        self._going: Going[Run] | None = None
        self._cancelled = False
        threading.Thread(
            target=copy_context().run, args=(self._run,), name=f"graphlambda-{run[:8]}", daemon=True
        ).start()

    def __repr__(self) -> str:
        return f"<RunHandle {self.id} {'done' if self.done() else 'running'}>"

    @edge
    def result(self, timeout: float | None = None) -> tuple[Any, ...]:
        """Wait for the run's end and return what `compute` would.

        Raises:
            TimeoutError: it takes longer than `timeout` seconds; it goes on.
            RunCancelledError: it was cancelled. Whatever else ends a run comes as `compute` would raise it.
        """
        return self._future.result(timeout)

    def done(self) -> bool:
        """Whether the run has ended, in whatever way."""
        return self._future.done()

    def cancel(self) -> None:
        """Stop the run: nothing new is invoked, its values are dropped. One that has ended is passed over."""
        with self._lock:
            self._cancelled = True
            if self._going is not None:
                self._going.cancel()
                return
        self._end(RunCancelledError(f"run {self.id} was cancelled before it began"))

    def _run(self) -> None:
        try:
            values = self._work(self._begun)
        except BaseException as error:  # noqa: BLE001  (whatever it is, whoever waits gets it)
            self._end(error)
        else:
            with self._lock:
                if not self._future.done():
                    self._future.set_result(values)

    def _begun(self, going: Going[Run]) -> None:
        with self._lock:
            self._going = going
            if self._cancelled:
                going.cancel()

    def _end(self, error: BaseException) -> None:
        with self._lock:
            if not self._future.done():
                self._future.set_exception(error)
