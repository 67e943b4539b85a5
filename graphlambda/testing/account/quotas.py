"""The quotas of one account and region, as pure models: who asks at which moment, and what Lambda says to it.

In: limits; what is asked, and the time in seconds. Out: leave, or a `Throttle`. Must not wait, read a clock, or know HTTP.
Sources: AWS, "Lambda quotas", "Understanding Lambda function scaling", "Invoke" (API reference: the Reasons of a 429),
"CloudWatch Logs quotas".
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import StrEnum

_RETRY_AFTER_S = 1.0
"""What Lambda asks for where it cannot know when there will be room."""


class Reason(StrEnum):
    """Why a request is throttled, in Lambda's words."""

    CONCURRENCY = "ConcurrentInvocationLimitExceeded"
    RESERVED_CONCURRENCY = "ReservedFunctionConcurrentInvocationLimitExceeded"
    RATE = "FunctionInvocationRateLimitExceeded"
    RESERVED_RATE = "ReservedFunctionInvocationRateLimitExceeded"
    CALLER = "CallerRateLimitExceeded"
    SNAPSHOTS = "ConcurrentSnapshotCreateLimitExceeded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What an account may do; the defaults are those of an account that is in use, in most regions."""

    control_per_s: float = 15.0
    """Control calls of all kinds together, GetFunction not among them; not raisable."""

    looks_per_s: float = 100.0
    """GetFunction."""

    concurrency: int = 1_000
    """Invocations at one moment; new accounts have less."""

    unreserved: int = 100
    """What of it no reservation may take; less where the account has less."""

    per_unit_per_s: float = 10.0
    """Invocations a second for each unit of concurrency, the account's or a reservation."""

    ramp: int = 1_000
    """Environments that a function may gain at once, and again in each `ramp_s`."""

    ramp_s: float = 10.0
    log_streams_per_s: float = 50.0
    """CreateLogStream: each environment that writes logs needs one."""

    idle_s: float = 600.0
    """How long a free environment stays warm. AWS does not say; minutes are what people see."""

    memory_mb: int = 10_240
    """Largest function; 3,008 in new accounts."""


@dataclass(frozen=True, slots=True)
class Throttle:
    """A refusal with 429."""

    reason: Reason
    retry_after_s: float


@dataclass(frozen=True, slots=True)
class Begun:
    """Leave for an invocation."""

    cold: bool
    log_late_s: float = 0.0
    """How long a cold start's log stream is made to wait, since others are made first."""


@dataclass(slots=True)
class Bucket:
    """So many at once, and so many more a second; what nobody takes does not add up to more than at first."""

    per_s: float
    most: float
    _left: float = field(init=False)
    _at_s: float = field(default=float("-inf"), init=False)

    def __post_init__(self) -> None:
        self._left = self.most

    def lacking_s(self, now_s: float) -> float:
        """Return after how many seconds there is one to take; 0: now."""
        if now_s > self._at_s:
            self._left = min(self.most, self._left + (now_s - self._at_s) * self.per_s)
            self._at_s = now_s
        return max(0.0, (1.0 - _ROUNDING - self._left) / self.per_s)

    def take(self) -> None:
        """Take one, be it of those to come."""
        self._left -= 1.0


_ROUNDING = 1e-6
"""Who waits for exactly as long as it takes is not refused for the last digit of a sum."""


class ControlQuotas:
    """How fast the control plane may be asked."""

    def __init__(self, limits: Limits) -> None:
        self._looks = Bucket(limits.looks_per_s, limits.looks_per_s)
        self._others = Bucket(limits.control_per_s, limits.control_per_s)

    def ask(self, operation: str, now_s: float) -> Throttle | None:
        """Take a request of this kind (`create_function`), or say that there were too many."""
        bucket = self._looks if operation == "get_function" else self._others
        if bucket.lacking_s(now_s):
            return Throttle(Reason.CALLER, _RETRY_AFTER_S)
        bucket.take()
        return None


class InvokeQuotas:
    """How many invocations may run, how fast they may begin, and which of them find a warm environment."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._reserved: dict[str, int] = {}
        self._running: Counter[str] = Counter()
        self._free: defaultdict[str, list[float]] = defaultdict(list)
        """By function, since when each free environment is free; the last was used last."""
        self._ramps: dict[str, Bucket] = {}
        self._rates: dict[str, Bucket] = {}
        self._rate = self._rate_of(limits.concurrency)
        self._streams = Bucket(limits.log_streams_per_s, limits.log_streams_per_s)

    @property
    def unreserved(self) -> int:
        """The account's concurrency that no function has for itself."""
        return self._limits.concurrency - sum(self._reserved.values())

    def reserved(self, function: str) -> int | None:
        """Return what a function has for itself; None: nothing of its own, and its share of the rest."""
        return self._reserved.get(function)

    def may_reserve(self, function: str, wanted: int) -> bool:
        """Tell whether enough stays for the others."""
        left = self.unreserved + self._reserved.get(function, 0) - wanted
        return left >= min(self._limits.unreserved, self._limits.concurrency)

    def reserve(self, function: str, wanted: int | None) -> None:
        """Give a function concurrency of its own, which is its limit too; None: no longer."""
        self._reserved.pop(function, None)
        self._rates.pop(function, None)
        if wanted is not None:
            self._reserved[function] = wanted
            self._rates[function] = self._rate_of(wanted)

    def forget(self, function: str) -> None:
        """Let go of a function that was deleted; what runs of it ends as it would."""
        self.reserve(function, None)
        self._free.pop(function, None)
        self._ramps.pop(function, None)

    def begin(self, function: str, now_s: float, *, logs: bool = True) -> Begun | Throttle:
        """Take an invocation, or say why not; one that was taken is to be given back by `end`."""
        reserved = self._reserved.get(function)
        if refused := self._full(function, reserved) or self._too_fast(function, reserved, now_s):
            return refused
        cold = not self._warm(function, now_s)
        if cold and (wait_s := self._ramp(function).lacking_s(now_s)):
            return Throttle(Reason.CONCURRENCY, wait_s)  # AWS does not say which Reason the ramp has
        (self._rate if reserved is None else self._rates[function]).take()
        self._running[function] += 1
        if not cold:
            self._free[function].pop()
            return Begun(cold=False)
        self._ramp(function).take()
        return Begun(cold=True, log_late_s=self._stream(now_s) if logs else 0.0)

    def end(self, function: str, now_s: float) -> None:
        """Give back an invocation; its environment is free."""
        self._running[function] -= 1
        self._free[function].append(now_s)

    def running(self) -> int:
        """Return how many invocations run."""
        return self._running.total()

    def _full(self, function: str, reserved: int | None) -> Throttle | None:
        if reserved is not None:
            full = self._running[function] >= reserved
            return Throttle(Reason.RESERVED_CONCURRENCY, _RETRY_AFTER_S) if full else None
        others = sum(self._running[name] for name in self._reserved)
        if self._running.total() - others >= self.unreserved:
            return Throttle(Reason.CONCURRENCY, _RETRY_AFTER_S)
        return None

    def _too_fast(self, function: str, reserved: int | None, now_s: float) -> Throttle | None:
        bucket, reason = self._rate, Reason.RATE
        if reserved is not None:
            bucket, reason = self._rates[function], Reason.RESERVED_RATE
        return Throttle(reason, wait_s) if (wait_s := bucket.lacking_s(now_s)) else None

    def _warm(self, function: str, now_s: float) -> bool:
        """Tell whether there is a free environment that is warm still."""
        free = self._free[function]
        if free and now_s - free[-1] > self._limits.idle_s:
            free.clear()  # the others are free for even longer
        return bool(free)

    def _ramp(self, function: str) -> Bucket:
        most = self._limits.ramp
        return self._ramps.setdefault(function, Bucket(most / self._limits.ramp_s, most))

    def _stream(self, now_s: float) -> float:
        late_s = self._streams.lacking_s(now_s)
        self._streams.take()
        return late_s

    def _rate_of(self, concurrency: int) -> Bucket:
        """Return the bucket of a concurrency; one that is nothing lets nothing begin anyway."""
        per_s = max(1, concurrency) * self._limits.per_unit_per_s
        return Bucket(per_s, per_s)
