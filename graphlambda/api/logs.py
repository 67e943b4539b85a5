"""What CloudWatch Logs keeps of an invocation: the reply to one that was ended, or lost, brings nothing of its log along.

In: a deployment's log group, and boto3's client of Logs. Out: the end of what the environment wrote, as text. Must not
wait for longer than `WAIT_S`, nor fail: a log that cannot be read is no reason to lose the error that it explains.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, NamedTuple

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from graphlambda.scheduler.clock import Clock

WAIT_S = 10.0
"""How long we wait for lines to arrive: they take seconds."""

LOOK_EVERY_S = 1.0

LINES = 50
"""Of the environment, at most; the last ones."""

_PAGES = 5
"""An answer may be empty, and tell of more."""

_BEFORE_S = 5.0
"""How much earlier than by our clock it may have begun by Lambda's."""

_ENDS = '?"Task timed out" ?"Runtime exited" ?"Runtime.OutOfMemory" ?"Status: error" ?"signal:"'
"""What Lambda writes when it ends an environment."""


def impatient() -> Config:
    """Return a client's settings: what explains an error is not worth minutes of a way that is broken."""
    return Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 1})


class _Line(NamedTuple):
    stream: str
    at_ms: int
    text: str


class CloudWatchLogs:
    """The logs of a deployment's functions."""

    def __init__(self, client: Callable[[], Any], group: str, clock: Clock) -> None:
        """`client` makes boto3's client of Logs, when it is needed first."""
        self._make = client
        self._group = group
        self._clock = clock

    async def of(self, function: str, request_id: str, *, since_s: float) -> str:
        """Return what the log says of an invocation; else the command that shows what comes later."""
        try:
            found = await self._waited(function, request_id, since_s)
            lines = await asyncio.to_thread(self._around, found) if found else []
        except (BotoCoreError, ClientError) as error:
            return f"The log group {self._group} could not be read: {error}"
        if not lines:
            return f"Nothing of it is in the log yet: `aws logs tail {self._group} --since 15m`"
        return "The end of the function's log:\n" + "\n".join(line.text.rstrip() for line in lines)

    async def _waited(self, function: str, request_id: str, since_s: float) -> list[_Line]:
        """Return lines that bear an invocation's number, or that tell of an end, once there are any."""
        client = await asyncio.to_thread(self._make)
        self._client = client
        deadline_s = self._clock.monotonic() + WAIT_S
        while True:
            found = await asyncio.to_thread(self._found, function, request_id, since_s)
            is_whole = not request_id or any(line.text.startswith("REPORT") for line in found)
            if (found and is_whole) or self._clock.monotonic() >= deadline_s:
                return found
            await self._clock.sleep(LOOK_EVERY_S)

    def _found(self, function: str, request_id: str, since_s: float) -> list[_Line]:
        wanted: dict[str, Any] = {
            "logGroupName": self._group,
            "startTime": int((since_s - _BEFORE_S) * 1000),
            "filterPattern": f'"{request_id}"' if request_id else _ENDS,
        }
        lines: list[_Line] = []
        for _ in range(_PAGES):
            answer = self._client.filter_log_events(**wanted)
            lines += map(_line, answer["events"])
            if "nextToken" not in answer:
                break
            wanted["nextToken"] = answer["nextToken"]
        return [line for line in lines if request_id or function in line.stream]

    def _around(self, found: Sequence[_Line]) -> list[_Line]:
        """Return the last lines of an environment up to those that were found: what a task printed bears no number."""
        last = found[-1]
        first_ms = min(line.at_ms for line in found if line.stream == last.stream)
        answer = self._client.get_log_events(
            logGroupName=self._group,
            logStreamName=last.stream,
            startTime=first_ms if len(found) > 1 else first_ms - int(WAIT_S * 1000),
            endTime=last.at_ms + 1,
            limit=LINES,
            startFromHead=False,
        )
        return [_Line(last.stream, event["timestamp"], event["message"]) for event in answer["events"]]


def _line(event: Any) -> _Line:
    return _Line(event["logStreamName"], event["timestamp"], event["message"])
