"""How often, and how fast, to ask a control plane: the retry table and the token bucket.

In: error codes; a clock. Out: waits in seconds. Must not know a client or a call.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS_PER_S = 15.0
"""What Lambda's control plane takes in all, for one account and region; not raisable (AWS: Lambda quotas)."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double up to a cap, and end."""

    first_s: float
    cap_s: float
    attempts: int
    """Repetitions after the first try."""

    def wait_s(self, attempt: int) -> float | None:
        """Return how long to wait after failed try number `attempt` (from 0), or None to give up."""
        return min(self.cap_s, self.first_s * 2.0**attempt) if attempt < self.attempts else None


THROTTLED = Backoff(0.5, 8.0, 8)
"""About 40 s in all: the bucket paces us, so a throttle means that somebody else deploys too."""

BROKEN = Backoff(0.2, 2.0, 4)
"""About 3 s: the service, or the way to it, failed. All our calls may be repeated."""

ROLE_IS_NEW = Backoff(1.0, 5.0, 24)
"""About two minutes: a role takes that long to be known everywhere (IAM is eventually consistent)."""

UNREACHABLE = "Unreachable"
"""Our code for what has none: no answer came, or only a part of one."""

_BACKOFFS = {
    "TooManyRequestsException": THROTTLED,
    "ThrottlingException": THROTTLED,
    "ServiceException": BROKEN,
    "ServiceUnavailableException": BROKEN,
    "InternalFailure": BROKEN,
    UNREACHABLE: BROKEN,
}


def backoff(code: str, message: str) -> Backoff | None:
    """Return how an error is to be retried, or None if repeating cannot mend it."""
    if code == "InvalidParameterValueException" and "cannot be assumed by Lambda" in message:
        return ROLE_IS_NEW
    return _BACKOFFS.get(code)


@dataclass(slots=True)
class TokenBucket:
    """Lets calls through at a rate. Shared by threads: each is given its own moment, then waits for it."""

    per_s: float
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next_s: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take(self) -> None:
        """Return when it is this call's turn: the calls waiting now, divided by the rate, away."""
        with self._lock:
            now_s = self.clock()
            turn_s = max(now_s, self._next_s)
            self._next_s = turn_s + 1.0 / self.per_s
        if turn_s > now_s:
            self.sleep(turn_s - now_s)
