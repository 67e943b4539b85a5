"""Who looks up what a function's log says of an invocation that brought none of it along.

In: a function, Lambda's number of the invocation, and since when. Out: text for people. `api` gives one that asks
CloudWatch; where nothing keeps logs, there is none.
"""

from __future__ import annotations

from typing import Protocol


class Logs(Protocol):
    """Reads functions' logs."""

    async def of(self, function: str, request_id: str, *, since_s: float) -> str:
        """Return what a log says of an invocation, or how to look for it; empty where there is nothing to say.

        Where its number is not known, since no answer came, of what ended any of the function's. `since_s` is in seconds
        since the epoch. Takes seconds at most, and raises nothing.
        """


class NoLogs:
    """Finds nothing."""

    async def of(self, function: str, request_id: str, *, since_s: float) -> str:  # noqa: ARG002  (the protocol's)
        """There is nothing."""
        return ""
