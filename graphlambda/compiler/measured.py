"""What was measured of operations, and whether it pays to make one of two.

In: profiles, how many tasks of which would be fused. Out: what it would bring, and whether anybody would wait for it.
Pure. Must not know tables or trees.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST_TASKS = 32
LEAST_SAVED_S = 0.25
"""What a fusion must bring in a run before a function is made for it; fewer tasks must bring it by values that stay."""

WORTH = 0.05
"""Long tasks that keep nobody waiting are fused, too, where handing a value on is so much of what they take."""

STAYS = 3.0
"""So many times longer may what is fused already take, before it is taken apart: measurements differ from run to run."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was measured of one operation's tasks."""

    seconds: float
    """What a task takes: the median."""

    p95_s: float
    value_bytes: float
    """Of a value: the mean."""

    batch: float
    """How many of them shared an invocation."""

    count: float
    """How many tasks this is known from."""

    reading_s: float = 0.0
    """What reading a task's inputs takes in a warm environment, of its seconds: the mean; 0 where that is not known."""

    sending_s: float = 0.0
    """What sending its value takes, of its seconds: the mean."""


@dataclass(frozen=True, slots=True)
class Fusing:
    """Whether to fuse what, by which measurements."""

    always: bool = False
    """Fuse every linear chain, however long its tasks take."""

    profiles: Mapping[str, Profile] = field(default_factory=dict)
    """By an operation's form."""

    overhead_s: float = 0.0
    """What an invocation takes beside its tasks."""

    longest_s: float = math.inf
    """What nearly all fused tasks must stay below."""

    at_once: int = 0
    """How many invocations run at the same time; 0 where that is not known, and nothing that ran beside each other is fused."""


@dataclass(frozen=True, slots=True)
class Joining:
    """Tasks that would become part of those that read them."""

    first: Profile
    """Of those that are read."""

    then: Profile
    """Of those that read."""

    readers: int
    makers: int = 1
    """How many of the first each of the others reads."""

    @property
    def apart_s(self) -> float:
        """What one task and those that it reads take, one after the other."""
        return self.makers * self.first.seconds + self.then.seconds

    @property
    def joined(self) -> Profile:
        """What is to be expected of tasks that do the work of all."""
        return replace(
            self.then,
            seconds=self.apart_s,
            p95_s=self.makers * self.first.p95_s + self.then.p95_s,
            batch=min(self.first.batch, self.then.batch),
            reading_s=self.makers * self.first.reading_s,
        )

    @property
    def way_s(self) -> float:
        """What the way of the values that one task reads takes."""
        return self.makers * self.first.sending_s + self.then.reading_s

    def saves_enough(self, overhead_s: float) -> bool:
        """Whether it saves what a new function costs."""
        few = self.readers < LEAST_TASKS and self.readers * self.way_s < LEAST_SAVED_S
        return not few and self.readers * self._handing_s(overhead_s) >= LEAST_SAVED_S

    def is_cheap(self, overhead_s: float, *, known: bool, only_reads: bool) -> bool:
        """Whether what fused tasks take is not much longer than what their invocations and values cost apart.

        `known` are fused tasks that were measured; `only_reads` says that the readers wait for nothing else.
        """
        times = STAYS if known else 1.0
        is_moving = times * self._handing_s(overhead_s) >= WORTH * self.apart_s
        if self.makers > 1:
            return only_reads and is_moving
        if self.first.seconds <= times * overhead_s:
            return True
        return only_reads and (self.then.seconds <= times * overhead_s or is_moving)

    def keeps_cores_busy(self, at_once: int) -> bool:
        """Whether tasks that ran beside each other end no later as parts of fewer ones, of which so many run at once."""
        if self.makers == 1 or not at_once:
            return self.makers == 1
        rounds = math.ceil(self.readers / at_once)
        return rounds * (self.apart_s - self.way_s) <= self.readers * self.apart_s / at_once

    def _handing_s(self, overhead_s: float) -> float:
        return self.makers * overhead_s / self.first.batch + self.way_s
