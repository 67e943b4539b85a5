"""An event loop whose time jumps: hours of a run pass in milliseconds, and in the same order each time.

In: coroutines. Out: what they return, after no real waiting. Must not start a thread: what asks for one is done on
the spot, so that nothing depends on how the machine schedules threads.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")

LONGEST_S = 7 * 86_400.0
"""A run that goes on for longer than a week never ends."""


class HungError(Exception):
    """Nothing can ever happen any more, or nothing comes to an end."""


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that jumps to the next moment at which something is due."""

    def __init__(self, slowness: Callable[[], float] = lambda: 0.0) -> None:
        """Make a loop at second 0; `slowness` gives for each blocking call how many seconds late it is done."""
        self._now_s = 0.0
        self._slowness = slowness
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._now_s

    def jump(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            HungError: too much has passed.
        """
        self._now_s += seconds
        if self._now_s > LONGEST_S:
            raise HungError(f"still going on after {self._now_s:,.0f} s")

    def run_in_executor(self, _executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Call a function now, or as much later as this call is slow."""
        future: asyncio.Future[T] = self.create_future()
        late_s = self._slowness()
        if late_s:
            self.call_later(late_s, _call, future, func, args)
        else:
            _call(future, func, args)
        return future


class LoopClock:
    """The running loop's own time, as a scheduler's clock."""

    def __init__(self, epoch_s: float = 1_790_000_000.0) -> None:
        self._epoch_s = epoch_s

    def time(self) -> float:
        """Return seconds since the epoch, at the loop's time."""
        return self._epoch_s + self.monotonic()

    def monotonic(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        """Return after so many seconds of the loop's time."""
        await asyncio.sleep(seconds)


def run_virtually(coroutine: Coroutine[Any, Any, T], slowness: Callable[[], float] = lambda: 0.0) -> T:
    """Return a coroutine's result, from a virtual loop of its own.

    Raises:
        HungError: it waits for what never comes.
    """
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(slowness)) as runner:
        return runner.run(coroutine)


class _Jumping(selectors.SelectSelector):
    """Waits by letting the loop's time pass."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise HungError("everything waits, and nothing is due")
        if timeout > 0:
            self._loop.jump(timeout)
        return super().select(0)


def _call(future: asyncio.Future[T], func: Callable[..., T], args: tuple[Any, ...]) -> None:
    """Do what a thread would; one whose caller has gone does it all the same."""
    try:
        result = func(*args)
    except Exception as error:  # noqa: BLE001  (it is the caller's)
        if not future.done():
            future.set_exception(error)
    else:
        if not future.done():
            future.set_result(result)
