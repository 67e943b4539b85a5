"""How often, and how fast, to ask a control plane: the retry table and the token buckets.

In: error codes, names of calls; a clock. Out: waits in seconds. Must not know a client.
Sources: AWS, "Lambda quotas", "Lambda function states"; aws-sdk-js #3498 and serverless #3339 for what is late or wrapped.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS_PER_S = 15.0
"""What Lambda's control plane takes in all, for one account and region; not raisable."""

LOOKS_PER_S = 100.0
"""What it takes of GetFunction, which does not count among the others."""


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
"""About two minutes: a role, and what it may, takes that long to be known everywhere (IAM is eventually consistent)."""

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


_WRAPPED = {
    "cannot be assumed by Lambda": ROLE_IS_NEW,
    "does not have permissions to call": ROLE_IS_NEW,
    "RequestLimitExceeded": THROTTLED,
    "Throttl": THROTTLED,
}
"""What an InvalidParameterValueException means that is none: what IAM is late with, and EC2's own refusals."""

_REMEDIES = {
    "AccessDeniedException": ". Who only runs needs functions that somebody has made by `graphlambda deploy`: of the same saved program, "
    "or of one compiled with fuse=False, since what runs measure fuses anew. `graphlambda aws policy` prints who may what",
    "CodeStorageExceededException": " `python -m graphlambda aws sweep` deletes what nobody needs",
}


def backoff(code: str, message: str) -> Backoff | None:
    """Return how an error is to be retried, or None if repeating cannot mend it."""
    if code == "InvalidParameterValueException":
        return next((table for words, table in _WRAPPED.items() if words in message), None)
    return _BACKOFFS.get(code)


def remedy(code: str) -> str:
    """Return what a user can do about an error, to be added to its message; nothing where we know of nothing."""
    return _REMEDIES.get(code, "")


@dataclass(slots=True)
class TokenBucket:
    """Lets calls through at a rate. Shared by threads: each is given its own moment, then waits for it."""

    per_s: float
    burst: int = 1
    """Calls that may go out at once, if none did for so many divided by the rate."""

    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    _next_s: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def take(self) -> None:
        """Return when it is this call's turn: the calls waiting now, divided by the rate, away."""
        with self._lock:
            now_s = self.clock()
            saved_s = (self.burst - 1) / self.per_s
            turn_s = max(now_s - saved_s, self._next_s)
            self._next_s = turn_s + 1.0 / self.per_s
        if turn_s > now_s:
            self.sleep(turn_s - now_s)


@dataclass(frozen=True, slots=True)
class Paces:
    """How fast calls go out to one control plane."""

    calls: TokenBucket | None = None
    """For all but looks; None: as fast as they come."""

    looks: TokenBucket | None = None
    """For GetFunction."""

    def wait(self, method: str) -> None:
        """Return when a call may go out."""
        bucket = self.looks if method == "get_function" else self.calls
        if bucket is not None:
            bucket.take()


def aws_paces(
    clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
) -> Paces:
    """Return the pace that AWS allows."""
    looks = TokenBucket(LOOKS_PER_S, burst=int(LOOKS_PER_S) // 2, clock=clock, sleep=sleep)
    return Paces(TokenBucket(CALLS_PER_S, clock=clock, sleep=sleep), looks)


_paces: dict[str, Paces] = {}
_guard = threading.Lock()


def paces_of(url: str) -> Paces:
    """Return the one pace of this process for an endpoint of AWS: whoever calls there is counted together.

    Two accounts of one region share it here, though AWS counts them apart: slower, and never throttled for it.
    """
    with _guard:
        return _paces.setdefault(url, aws_paces())
