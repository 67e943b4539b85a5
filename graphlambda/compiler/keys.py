"""The Dask keys of a program's tasks, by id.

In: what the draft knows of keys, which task became part of which. Out: callables. Must not look at a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from graphlambda.compiler.draft import Block
    from graphlambda.compiler.program import Ids


class Keys:
    """The Dask key of a task, by id."""

    def __init__(self, old: Ids, walked: dict[int, Hashable], blocks: list[Block]) -> None:
        self._old = old
        self._walked = walked
        self._blocks = blocks
        self._firsts = np.array([block.first for block in blocks], np.int64)

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._old)

    def absorbed(self, _task: int) -> tuple[Hashable, ...]:
        """Return the keys of the tasks that are part of one: none are."""
        return ()

    def __call__(self, task: int) -> Hashable:
        """Return the key of one task."""
        old = int(self._old[task])
        known = self._walked.get(old)
        if known is not None:
            return known
        block = self._blocks[int(np.searchsorted(self._firsts, old, side="right")) - 1]
        position = np.unravel_index(old - block.first, block.shape) if block.shape else ()
        return (block.name, *(int(part) for part in position))


class KeysOfFused:
    """The keys of tasks that others became part of; they are numbered anew."""

    def __init__(self, kept: Ids, into: Ids, key: Callable[[int], Hashable]) -> None:
        """`kept` are the tasks that stay, by their new ids; `into` says by old id what each became part of."""
        self._kept = kept
        self._key = key
        self._gone = np.flatnonzero(into != np.arange(len(into)))
        self._gone = self._gone[np.argsort(into[self._gone], kind="stable")]
        self._into = into[self._gone]

    def __len__(self) -> int:
        """How many tasks there are."""
        return len(self._kept)

    def __call__(self, task: int) -> Hashable:
        """Return the key of the last of the tasks that are one now: its value is the task's."""
        return self._key(int(self._kept[task]))

    def absorbed(self, task: int) -> tuple[Hashable, ...]:
        """Return the keys of the others, in no order."""
        first, last = (np.searchsorted(self._into, self._kept[task], side=side) for side in ("left", "right"))
        return tuple(self._key(int(old)) for old in self._gone[first:last])
