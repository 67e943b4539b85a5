"""The bounds of a run.

In: nothing. Out: `Limits`, an argument of whoever has to stop somewhere. Must not read configuration.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How fast an account lets a run go; None: as fast as it can."""

    requests_per_s: float | None = None
    """Invocations a second that begin, for each unit of concurrency."""

    cold_starts_per_s: float | None = None
    """Execution environments that begin in a second, since each asks for a log stream."""


UNPACED = Rates()
AT_AWS = Rates(requests_per_s=10.0, cold_starts_per_s=50.0)
"""AWS, "Lambda quotas" (requests a second for each unit of concurrency); "CloudWatch Logs quotas" (CreateLogStream)."""

AT_AWS_WITHOUT_LOGS = Rates(requests_per_s=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much at once, how large, how long, how often."""

    concurrency: int = 64
    """Invocations in flight, at most; at least 1. Throttling lowers it for a while."""

    rates: Rates = UNPACED
    """How fast invocations may follow each other."""

    batch: int | None = None
    """Tasks that share an invocation, at most; None lets measured durations decide; 1 is one each."""

    batch_s: float = 1.0
    """What the tasks of a batch may take together, nearly always: what is lost with its environment stays small."""

    inline_bytes: int = 64 * 1024
    """A value whose frame is at most this large rides in replies and requests."""

    request_bytes: int = 4_500_000
    """Of a request as it is sent; never more than Lambda takes, 6,291,456."""

    reply_bytes: int = 4_000_000
    """All inline frames of one reply together."""

    held_bytes: int = 256 * 1024 * 1024
    """Inline values that the client keeps in memory; what is beyond goes to the store."""

    store_bytes: int | None = None
    """What a run's values may take in the store at once; None: no bound. Tasks that only make more wait."""

    function_timeout_s: float = 900.0
    """When Lambda ends an invocation: so long after it was sent, an attempt of which nothing was heard is over."""

    invoke_timeout_s: float = 930.0
    """How long an answer may take: longer than the function's own timeout, so that no answer means dead."""

    store_timeout_s: float = 300.0
    """How long one call of the store may take."""

    deadline_s: float | None = None
    """How long the run may take in all; None is as long as it needs."""

    stall_s: float = 300.0
    """How long we wait while every invocation is throttled or not yet possible."""

    retries: int = 0
    """How often a task that raised runs again."""

    idempotent: bool | None = None
    """Whether tasks may run twice, at the same time too: True, all may; False, only what is known to be pure; None: others
    do only when the attempt before is known to be over."""

    downloads: int = 8
    """Outputs that are fetched from the store at once."""
