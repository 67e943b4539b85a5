"""Calls that block, beside the event loop.

In: a function. Out: its result, or an error that names what was waited for. Must not wait without a bound.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from graphlambda.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


@contextmanager
def own_thread() -> Iterator[ThreadPoolExecutor]:
    """Have a thread, started when it is first needed, for calls that must not wait behind the transfers of any run."""
    thread = ThreadPoolExecutor(1, "graphlambda-own")
    try:
        yield thread
    finally:
        thread.shutdown(wait=False, cancel_futures=True)


async def in_thread(
    call: Callable[[], T], *, timeout_s: float, what: str, thread: ThreadPoolExecutor | None = None
) -> T:
    """Return what `call` returns, from a thread: one of those that all runs share, unless `thread` is given.

    A call that takes longer is left behind: a thread cannot be stopped.

    Raises:
        StoreError: it took longer than `timeout_s`.
    """
    try:
        async with asyncio.timeout(timeout_s):  # `wait_for` may swallow a cancellation before Python 3.12
            return await asyncio.get_running_loop().run_in_executor(thread, call)
    except TimeoutError as error:
        raise StoreError(
            f"{what} took longer than {timeout_s:g} s: is the store's disk or server up?"
        ) from error
