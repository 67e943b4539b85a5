"""Projections: tasks that only pick a part of a value. Whatever function holds the value picks it, without an operation.

In: the tasks of a batch, values as they are made. Out: parts of them. Must not let two tasks share memory: a part is
encoded before the next one is picked, and values leave here in no other way.
"""

from __future__ import annotations

import time
from _operator import getitem

from .inputs import arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from .inputs import Frames, Ref

MOST_SECONDS = 1.0
"""That picking may take in one batch: what takes longer is work, which other functions could share."""


def block(value: Any, index: Any) -> Any:
    """Return a part of an array's block, as `kernels.chunk.getitem` does; most functions do not hold that."""
    try:
        part = value[index]
    except IndexError as error:
        raise ValueError(
            "Array chunk size or shape is unknown. Possible solution with x.compute_chunk_sizes()"
        ) from error
    try:
        return part if part.flags.owndata or value.size < 2 * part.size else part.copy()
    except AttributeError:
        return part


PICKERS: Mapping[str, Callable[..., Any]] = {"item": getitem, "block": block, "get": dict.get}
"""By the name that a request gives them."""


class LeftError(Exception):
    """A projection is not done here: its value was not made, or picking is work of its own."""


class Parts:
    """The values of a batch that its projections pick from, each until the last of them is done."""

    def __init__(
        self, tasks: Sequence[int], picks: Mapping[int, tuple[str, Ref, Sequence[Any], int]], frames: Frames
    ) -> None:
        self.picks = picks
        """By task, as the wire describes them."""

        self._tasks = frozenset(tasks)
        self._frames = frames
        self._values: dict[Ref, Any] = {}
        self.wanted: dict[Ref, int] = {}
        """How many parts of a value are still to be picked; it stays here when none is."""

        for _, ref, _, _ in picks.values():
            self.wanted[ref] = self.wanted.get(ref, 0) + 1
        self._spent_s = 0.0

    def made(self, task: int, value: Any) -> None:
        """Take a task's value, if parts of it are wanted."""
        if task in self.wanted:
            self._values[task] = value

    def held(self, task: int) -> Any:
        """Return a value of which not all parts are done."""
        return self._values[task]

    def pick(self, task: int) -> Any:
        """Return a part of a value of this batch, or of one that is read.

        Raises:
            LeftError: it is for another invocation.
            ValueStoreError, FrameError: as `Frames.of` does. What the value itself raises comes as it is.
        """
        picker, ref, by, _ = self.picks[task]
        held = ref in self._values
        if self._spent_s > MOST_SECONDS or (ref in self._tasks and not held):
            raise LeftError
        value = self._values[ref] if held else arguments([("i", ref)], {}, self._frames)[0]
        started_s = time.perf_counter()
        try:
            return PICKERS[picker](value, *by)  # `by` is seen by the value's own class alone
        finally:
            self._spent_s += time.perf_counter() - started_s

    def done(self, task: int) -> None:
        """Let go of a value with the last of its parts."""
        ref = self.picks[task][1]
        self.wanted[ref] -= 1
        if not self.wanted[ref]:
            self._values.pop(ref, None)
