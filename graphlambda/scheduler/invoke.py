"""The nouns of an invocation, and the Invoker protocol.

In: nothing. Out: what the loop sends and gets. Must not know HTTP, AWS or the local Lambda.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What Invoke answered. Failures of the connection are raised as `InvokeError` or `ThrottledError`."""

    status: int
    """HTTP status."""

    function_error: str
    """Empty, `Unhandled` or `Handled` (Lambda's `X-Amz-Function-Error`)."""

    error_code: str
    """For status ≥ 400, the exception's name: `TooManyRequestsException`."""

    reason: str
    """For a 429: `ReservedFunctionConcurrentInvocationLimitExceeded`, `CallerRateLimitExceeded`, …"""

    payload: bytes
    log_tail: str
    """The last 4 KB of the function's log, where asked for."""

    retry_after_s: float
    request_id: str = ""
    """Lambda's number of the invocation, which its log lines bear."""


class Invoker(Protocol):
    """Sends one request to one function and waits for its reply; no retries of its own."""

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Return the reply.

        Raises:
            TimeoutError: no answer came in `timeout_s`; whether the function ran is unknown.
            ConnectionRefusedError: the endpoint is unreachable; nothing was sent.
            ConnectionError: the connection was dropped; whether the function ran, or still runs, is unknown.
        """

    async def close(self) -> None:
        """Drop all connections; invocations in flight end with `ConnectionError`."""
