"""The event loop that runs go through: one a process, in a thread of its own.

In: a coroutine, from any thread. Out: its result. Made at first use; made again in a forked child. So
compute works inside a notebook's running loop, from several threads at once, and after a fork.
"""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from graphlambda.errors import RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")

CANCEL_TIMEOUT_S = 10.0
"""How long a cancelled coroutine may take to drop its connections and its values."""


class Going(Generic[T]):
    """A coroutine that runs on a loop, as other threads see it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, T]) -> None:
        self._loop = loop
        self._future: Future[T] = Future()
        self._started: list[asyncio.Task[T]] = []
        loop.call_soon_threadsafe(_start, loop, coroutine, self._started, self._future)

    def result(self) -> T:
        """Wait for the coroutine's end and return its result.

        Ctrl-C in the waiting thread cancels the coroutine, lets it clean up, and is raised.

        Raises:
            RunCancelledError: somebody else cancelled the coroutine.
        """
        try:
            return self._future.result()
        except BaseException:
            if not self._future.done():  # it is this thread that was interrupted
                self.cancel()
                wait([self._future], timeout=CANCEL_TIMEOUT_S)
            raise

    def cancel(self) -> None:
        """Cancel the coroutine, which cleans up before it ends; one that has ended is passed over."""
        self._loop.call_soon_threadsafe(_cancel, self._started)


class LoopThread:
    """An event loop in a daemon thread."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._inherited: list[object] = []  # never closed: the parent waits on the same epoll object

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Going[T]:
        """Run a coroutine on the loop.

        Raises:
            RuntimeError: called from the loop's own thread, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a listener or a coroutine of a run cannot wait for another run")
        return Going(self._started(), coroutine)

    def forget(self) -> None:
        """Give up the loop of a parent process: its thread did not survive the fork."""
        self._guard = threading.Lock()
        self._inherited.append(self._loop)
        self._loop = self._thread = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._guard:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=_serve, args=(self._loop,), name="graphlambda", daemon=True
                )
                self._thread.start()
            return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


def _start(
    loop: asyncio.AbstractEventLoop,
    coroutine: Coroutine[Any, Any, T],
    started: list[asyncio.Task[T]],
    future: Future[T],
) -> None:
    task = loop.create_task(coroutine)
    started.append(task)
    task.add_done_callback(lambda done: _hand_over(done, future))


def _cancel(started: list[asyncio.Task[Any]]) -> None:
    for task in started:
        task.cancel()


def _hand_over(task: asyncio.Task[T], future: Future[T]) -> None:
    if task.cancelled():
        future.set_exception(RunCancelledError("the run was stopped before its end"))
    elif (error := task.exception()) is not None:
        future.set_exception(error)
    else:
        future.set_result(task.result())


_OF_PROCESS = LoopThread()
os.register_at_fork(after_in_child=_OF_PROCESS.forget)


def begin_on_loop(coroutine: Coroutine[Any, Any, T]) -> Going[T]:
    """Run a coroutine on this process's loop; see `LoopThread.begin`."""
    return _OF_PROCESS.begin(coroutine)
