"""A few requests at once, and an end to them that comes when it is asked for.

In: a function and what to call it with. Out: its results, in that order. Must not know what it calls.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = 8
"""Requests in flight: enough to fill a line; the control plane's own rate is the cloud's business."""


LOOKERS = 32
"""Functions that are waited for at a time: each is looked at once a second at most, and is made in some seconds."""


class AtOnce(Protocol):
    """What calls a function for many items, some at a time: threads, or a test's in virtual time."""

    def __call__(
        self, function: Callable[[Item], Result], items: Iterable[Item], /, *, threads: int = THREADS
    ) -> Iterator[Result]:
        """Yield `function(item)` for each item, in order."""


def at_once(
    function: Callable[[Item], Result], items: Iterable[Item], /, *, threads: int = THREADS
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in order, so many at a time; `items` may come while the first are worked on.

    After a failure no call is begun, and those in flight end before it is raised. An interrupt waits for
    nothing: Ctrl-C in the middle of an upload, or of a retry, comes back at once.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="graphlambda-deploy")
    patient = False
    try:
        yield from pool.map(function, items)
    except Exception:
        patient = True
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)
