"""Adds up what happened in many scenarios.

In: how scenarios went. Out: figures, as text. Must not judge: a scenario that went wrong raised before.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.testing.chaos_play import Played


@dataclass(slots=True)
class Figures:
    """Sums over scenarios in which nothing was lost, wrong, hung or left behind."""

    scenarios: int = 0
    tasks: int = 0
    committed: int = 0
    invocations: int = 0
    executions: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Runs that ended with an error that they may end with, by its name."""

    def add(self, played: Played) -> None:
        """Take one scenario."""
        self.scenarios += 1
        self.tasks += played.tasks
        self.committed += played.committed
        self.invocations += played.ledger.invocations
        self.executions += played.ledger.calls
        self.faults += played.ledger.faults
        if played.failure:
            self.failures[played.failure] += 1

    def include(self, others: Mapping[str, Any]) -> None:
        """Take what another process added up: its figures as a dictionary."""
        for name, figure in others.items():
            mine = getattr(self, name)
            setattr(self, name, mine + (Counter(figure) if isinstance(mine, Counter) else figure))

    def text(self) -> str:
        """Return the figures for people; nothing where there are none."""
        if not self.scenarios:
            return ""
        faults = "".join(f"\n  {count:7,} {fault}" for fault, count in self.faults.most_common())
        ended = "".join(f"\n  {count:7,} {name}" for name, count in self.failures.most_common())
        whole = self.scenarios - sum(self.failures.values())
        return (
            f"{self.scenarios:,} scenarios: {self.tasks:,} tasks, {self.committed:,} committed, "
            f"{self.invocations:,} invocations, {self.executions:,} executions\n"
            f"0 lost, 0 wrong, 0 hung, 0 left behind\n"
            f"{self.faults.total():,} faults:{faults}\n"
            f"{whole:,} runs gave their values; the others ended with what their faults may end them with:{ended}"
        )
