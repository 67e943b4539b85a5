"""Invocations of type `Event`: accepted at once, run when concurrency allows, tried again when they fail.

In: function names and payloads. Out: invocations to the pool. Must not lose one silently while the service lives;
like everything that runs, they end with it. https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphlambda.local.answers import ServiceError
from graphlambda.local.invocation import Invocation, Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.local.records import Function

MAX_AGE_S = 21_600.0
"""An event that found no concurrency for so long is dropped, as on Lambda."""


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted event."""

    id: str
    function: str
    payload: bytes
    accepted_s: float
    attempt: int = 0


class EventQueue:
    """Holds events in memory, the oldest first."""

    def __init__(
        self,
        find: Callable[[str], Function],
        invoke: Callable[[Function, Invocation], None],
        retry_s: tuple[float, ...],
    ) -> None:
        self._find = find
        self._invoke = invoke
        self._retry_s = retry_s
        self._waiting: deque[Event] = deque()

    def put(self, request_id: str, function: str, payload: bytes) -> None:
        """Accept an event."""
        self._waiting.append(Event(request_id, function, payload, time.monotonic()))
        self.drain()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def drain(self) -> None:
        """Start what can be started; the rest keeps its order."""
        for _ in range(len(self._waiting)):
            event = self._waiting.popleft()
            refusal = self._refusal(event)
            if (
                refusal == "ConcurrentInvocationLimitExceeded"
            ):  # nobody's turn; others' reservations come with the next
                self._waiting.appendleft(event)
                return
            if refusal and time.monotonic() - event.accepted_s < MAX_AGE_S:
                self._waiting.append(event)

    def _refusal(self, event: Event) -> str:
        """Start an event; return why it must stay in the queue, or nothing."""
        invocation = Invocation(
            id=event.id, payload=event.payload, done=lambda result: self._finished(event, result)
        )
        try:
            self._invoke(self._find(event.function), invocation)
        except ServiceError as error:
            return (
                "" if error.status == 404 else error.fields.get("Reason", error.code)
            )  # 404: deleted meanwhile
        return ""

    def _finished(self, event: Event, result: Result) -> None:
        if not result.function_error or event.attempt >= len(self._retry_s):
            return
        again = replace(event, attempt=event.attempt + 1)
        loop = asyncio.get_running_loop()
        loop.call_later(self._retry_s[event.attempt], self._put_back, again)

    def _put_back(self, event: Event) -> None:
        self._waiting.append(event)
        self.drain()


def new_request_id() -> str:
    """Return an id as Lambda gives to each request: what `uuid4` gives, in a third of its time."""
    bits = int.from_bytes(os.urandom(16), "big") & ~(0xF << 76 | 3 << 62) | 4 << 76 | 2 << 62
    text = f"{bits:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
