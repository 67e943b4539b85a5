"""Functions that take no invocation yet, or not any more: when one may ask again.

In: which function refused, how, and when. Out: how long to wait. Pure: must not read a clock, nor wait.

A function that is being made ready (its network interface, its snapshot, a right that is new), or whose endpoint is out of
reach, refuses everything that it is sent. So after a refusal one invocation asks at a time, after waits that grow; the others go where they are taken.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.scheduler.kinds import Kind

ASKING_S = 5.0
"""Lambda refuses within this time: whoever asked for longer is being answered, and others may follow."""


@dataclass(slots=True)
class _Hold:
    latest_s: float
    """When it refused last."""

    refused_s: defaultdict[Kind, float] = field(default_factory=lambda: defaultdict(float))
    """For how long, in each way: the time before a refusal counts as of its kind."""

    tries: int = 0
    until_s: float = 0.0
    asked: bool = True
    """Whether one has asked since the last refusal."""


class Unready:
    """The functions of one run that refuse."""

    __slots__ = ("_holds",)

    def __init__(self) -> None:
        self._holds: dict[str, _Hold] = {}

    def __bool__(self) -> bool:
        return bool(self._holds)

    def __contains__(self, function: str) -> bool:
        return function in self._holds

    def wait_s(self, function: str, now_s: float) -> float:
        """Return after how long an invocation of a function may begin; 0: now."""
        hold = self._holds.get(function)
        return max(0.0, hold.until_s - now_s) if hold else 0.0

    def enter(self, function: str, now_s: float) -> None:
        """Note that an invocation begins: where its function had refused, the others wait for what becomes of it."""
        hold = self._holds.get(function)
        if hold and not hold.asked:
            hold.asked, hold.until_s = True, now_s + ASKING_S

    def refused(self, function: str, kind: Kind, now_s: float, wait_s: Callable[[int], float]) -> float:
        """Note a refusal; return for how long a function has refused so. `wait_s` says how long to wait after so many."""
        hold = self._holds.setdefault(function, _Hold(now_s))
        hold.refused_s[kind] += now_s - hold.latest_s
        hold.latest_s = now_s
        if hold.asked:  # else it was sent before the others' refusals were known
            hold.asked = False
            hold.until_s = now_s + wait_s(hold.tries)
            hold.tries += 1
        return hold.refused_s[kind]

    def taken(self, function: str) -> None:
        """Note that a function took an invocation."""
        self._holds.pop(function, None)
