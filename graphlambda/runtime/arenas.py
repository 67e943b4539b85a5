"""Memory of small objects, kept for the next task: Python gives each of its arenas back as soon as nothing is in it.

In: when the tasks of a request begin and have ended. Out: nothing; one small object lies in each arena that is kept. Must
not keep more than a share of the function's memory, nor anything where that spares nothing.

A task that makes a million objects gets its arenas page by page, each time anew: a fifth of the time that it takes. Whether
arenas are what pages are got for shows only when some are kept. That is tried once: when it costs no more than tasks have
lost by then.
"""

from __future__ import annotations

import os
from resource import RUSAGE_SELF, getrusage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

ARENA_BYTES = 1 << 20

OBJECT_BYTES = 512
"""What the largest objects that lie in arenas take."""

MOST_BYTES = (int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")) << 20) // 16
"""What may be kept."""

LEAST_BYTES = 4 * ARENA_BYTES
"""Tasks that get less are not worth a look."""

REQUESTS = 4
"""After so many requests whose tasks got as much as those that got most, it is tried."""


def got_bytes() -> int:
    """Return how much memory this process has got so far that was not read from anywhere."""
    return getrusage(RUSAGE_SELF).ru_minflt * os.sysconf("SC_PAGE_SIZE")


class Arenas:
    """What one environment keeps."""

    def __init__(self, got_bytes: Callable[[], int] = got_bytes) -> None:
        self._got_bytes = got_bytes
        self._begun_bytes = self._sum_bytes = self._most_bytes = 0
        self._kept: list[bytes] = []
        self._is_tried = False

    @property
    def kept_bytes(self) -> int:
        """Return how much is kept."""
        return len(self._kept) * ARENA_BYTES

    def begin(self) -> None:
        """A request's tasks begin."""
        self._begun_bytes = self._got_bytes()

    def end(self, tasks: int) -> None:
        """So many tasks have ended, and their objects are gone."""
        task_bytes = (self._got_bytes() - self._begun_bytes) // max(1, tasks)
        if self._is_tried:
            if self._kept and task_bytes > self._most_bytes // 2:  # it was for something else
                self._kept.clear()
        elif task_bytes >= LEAST_BYTES:
            self._sum_bytes += task_bytes
            self._most_bytes = max(self._most_bytes, task_bytes)
            if self._sum_bytes >= REQUESTS * self._most_bytes:
                self._kept, self._is_tried = one_in_each(min(self._most_bytes, MOST_BYTES)), True


def one_in_each(size_bytes: int) -> list[bytes]:
    """Return an object in each of the arenas that so many bytes take, the last ones, which hold nothing else."""
    objects = [bytes(OBJECT_BYTES - 64) for _ in range(size_bytes // OBJECT_BYTES)]
    apart = {id(each) // ARENA_BYTES: each for each in objects}
    return list(apart.values())[-(size_bytes // ARENA_BYTES) :]
