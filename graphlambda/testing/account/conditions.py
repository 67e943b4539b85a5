"""How an account behaves beside its quotas: how long things take, when they are known, what breaks.

In: a seed. Out: frozen figures, and what is drawn from them, the same for the same seed. Must not wait or read a clock.

AWS promises none of these figures. Those here are what people measured (`cold`: maxday/lambda-perf, August 2026, and the
placement that its Init Duration leaves out) or report in issues (`role_late`: aws-sdk-js #3498); the rest is a guess.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import StrEnum
from random import Random

from graphlambda.testing.account.quotas import Reason

_P99 = 2.326
"""Standard deviations from the median of a normal distribution to its 99th percentile."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A distribution of waits: the logarithm is normal, as that of latencies nearly is."""

    median_s: float
    p99_s: float

    def draw(self, random: Random) -> float:
        """Return a wait in seconds."""
        if not self.median_s:
            return 0.0
        return self.median_s * math.exp(random.gauss(0, math.log(self.p99_s / self.median_s) / _P99))


AT_ONCE = Spread(0.0, 0.0)


class Mishap(StrEnum):
    """What may befall a request beside the quotas."""

    NONE = "none"
    UNAVAILABLE = "unavailable"
    """500, 502, 503 or 504, and nothing was done."""

    RESET_BEFORE = "reset before"
    """The connection is reset, and nothing was done."""

    RESET_AFTER = "reset after"
    """What was asked is done, and the connection is reset in place of the answer."""

    THROTTLED = "throttled"
    """429 with any Reason, though there is room as far as one knows: others use the account too."""


UNAVAILABLE = (500, 502, 503, 504)
"""Statuses of a service, or of what stands before it, that has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """How an account behaves. Nothing takes time and nothing breaks, unless it is said here."""

    network: Spread = AT_ONCE
    """From a request to its answer, on the way alone."""

    control: Spread = AT_ONCE
    """What the control plane takes for a call that changes something."""

    look: Spread = AT_ONCE
    """What it takes for one that only asks."""

    cold: Spread = AT_ONCE
    """What an invocation waits for a new environment, without what the function itself imports."""

    pending: Spread = AT_ONCE
    """How long a new function is `Pending`."""

    pending_vpc: Spread = AT_ONCE
    """The same in a VPC, for the first function on its subnets and security groups."""

    deleting: Spread = AT_ONCE
    """How long a deleted function is `Deleting`, and its name is taken."""

    role_late: Spread = AT_ONCE
    """How long Lambda cannot assume a role that it is told of for the first time."""

    stale: Spread = AT_ONCE
    """How long a read may still say what was before a change."""

    mishaps: tuple[tuple[Mishap, float], ...] = ()
    """The share of requests that each befalls."""


TYPICAL = Conditions(
    network=Spread(0.03, 0.15),
    control=Spread(0.2, 0.8),
    look=Spread(0.03, 0.15),
    cold=Spread(0.25, 0.9),
    pending=Spread(1.5, 4.0),
    pending_vpc=Spread(90.0, 240.0),
    deleting=Spread(1.0, 5.0),
    role_late=Spread(8.0, 30.0),
)
"""A good day."""

ROUGH = replace(
    TYPICAL,
    stale=Spread(0.3, 2.0),
    mishaps=(
        (Mishap.UNAVAILABLE, 0.02),
        (Mishap.RESET_BEFORE, 0.02),
        (Mishap.RESET_AFTER, 0.02),
        (Mishap.THROTTLED, 0.03),
    ),
)
"""A bad one."""


@dataclass(slots=True)
class Dice:
    """What is drawn: each kind from a stream of its own, so that one more draw of one changes no other."""

    conditions: Conditions
    seed: int = 0
    _streams: dict[str, Random] = field(default_factory=dict)

    def wait_s(self, kind: str) -> float:
        """Draw how long something takes: a field of the conditions, by its name."""
        spread: Spread = getattr(self.conditions, kind)
        return spread.draw(self._stream(kind))

    def mishap(self) -> Mishap:
        """Draw what befalls the next request."""
        left = self._stream("mishap").random()
        for mishap, share in self.conditions.mishaps:
            left -= share
            if left < 0:
                return mishap
        return Mishap.NONE

    def status(self) -> int:
        """Draw the status of a service that has failed."""
        return self._stream("status").choice(UNAVAILABLE)

    def reason(self) -> Reason:
        """Draw the Reason of a 429."""
        return self._stream("reason").choice(list(Reason))

    def coin(self) -> bool:
        """Draw which of two servers, one that knows and one that does not yet, answers a read."""
        return self._stream("coin").random() < 0.5

    def _stream(self, name: str) -> Random:
        return self._streams.setdefault(name, Random(f"{self.seed} {name}"))
