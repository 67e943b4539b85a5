"""What a reply means.

In: a `Reply`, or the exception that stood in its place. Out: `Answered` or `Failed`. Must not decide what
follows: that is `policy`.

What a refusal means stands in `refusals`, what a dead function means in `crashes`.
"""

from __future__ import annotations

import json
import math
import re
from binascii import a2b_base64
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.errors import RunError, ThrottledError
from graphlambda.prices import NO_TRAFFIC, Traffic
from graphlambda.runtime.wire import VERSION
from graphlambda.scheduler.crashes import crashed
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from graphlambda.scheduler.invoke import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """A reply of our runtime: what became of the tasks that were reached, a column of each kind."""

    tasks: tuple[int, ...]
    """In the order in which they ran, failed ones among them."""

    started_s: tuple[float, ...]
    """Since the epoch."""

    seconds: tuple[float, ...]
    value_bytes: tuple[int, ...]
    """Of each value's frame; 0 where the task failed."""

    reading_s: float
    """What reading all tasks' inputs took, of their `seconds`."""

    sending_s: float
    """What sending all tasks' values took, of their `seconds`."""

    frames: tuple[bytes | None, ...]
    """The frames that came with the reply; None where the value was stored, or the task failed."""

    errors: Mapping[int, Mapping[str, Any]]
    """By task, as `runtime.wire` describes them."""

    unsent: frozenset[int]
    """Tasks whose values are nowhere, since projections of the same invocation have all that is read of them."""

    shared: frozenset[int]
    """Tasks whose values were left in a namespace."""

    left: frozenset[int]
    """Projections that were not done and are to be asked for again."""

    ended: str
    """Why the function took the run for ended and began no more of its tasks; empty where it did not."""

    outputs: Mapping[int, Mapping[str, Any]]
    """By task, what it printed, warned of and logged."""

    peak_mb: float
    cold: bool
    had_waited: bool = False
    """Whether its environment was started before anybody asked, which has a price of its own."""

    billed_s: float
    traffic: Traffic = NO_TRAFFIC
    """What the function asked of stores."""


Outcome: TypeAlias = Answered | Failed

_BILLED = re.compile(r"^REPORT\b.*\bBilled Duration: (\d+) ms", re.MULTILINE)


def outcome_of(reply: Reply) -> Outcome:
    """Return what a reply means."""
    if reply.status >= 400:
        return refused(reply)
    try:
        body = json.loads(reply.payload.decode())
    except ValueError:
        body = None
    if reply.function_error:
        return crashed(body, reply)
    if body is None and reply.payload != b"null":
        return Failed(Kind.GARBLED, f"the function's answer is not JSON: {reply.payload[:200]!r}")
    if not isinstance(body, dict) or body.get("v") != VERSION:
        return Failed(Kind.REFUSED, "the function's runtime speaks another version; deploy it again")
    return _answered(body, _billed_s(body["took_s"], reply.log_tail))


def _answered(body: Mapping[str, Any], billed_s: float) -> Answered:
    at_s, errors = body["at_s"], _by_task(body["errors"])
    kept = {*errors, *body["stored"], *body["shared"], *body["unsent"]}
    return Answered(
        tasks=tuple(body["tasks"]),
        started_s=tuple([at_s + after_s for after_s in body["started_s"]]),
        seconds=tuple(body["seconds"]),
        value_bytes=tuple(body["bytes"]),
        reading_s=body["reading_s"],
        sending_s=body["sending_s"],
        frames=tuple(_cut(a2b_base64(body["inline"]), body["tasks"], body["bytes"], kept)),
        errors=errors,
        unsent=frozenset(body["unsent"]),
        shared=frozenset(body["shared"]),
        ended=body["ended"],
        left=frozenset(body["left"]),
        outputs=_by_task(body["outputs"]),
        peak_mb=body["peak_mb"],
        cold=bool(body["cold"]),
        had_waited=bool(body["had_waited"]),
        billed_s=billed_s,
        traffic=Traffic(*body["traffic"]),
    )


def _cut(
    inline: bytes, tasks: Iterable[int], sizes: Iterable[int], without: Container[int]
) -> Iterator[bytes | None]:
    """Yield each task's frame out of those that stand one after the other; None for tasks that are `without`."""
    end = 0
    for task, size in zip(tasks, sizes, strict=True):
        if task in without:
            yield None
        else:
            start, end = end, end + size
            yield inline[start:end]


def _by_task(told: Mapping[str, Any]) -> dict[int, Any]:
    return {int(task): what for task, what in told.items()}


def outcome_of_error(error: OSError | RunError) -> Failed:
    """Return what an exception of an invoker means."""
    if isinstance(error, TimeoutError):
        return Failed(Kind.NO_ANSWER, str(error) or "no answer came in time")
    if isinstance(error, OSError):
        kind = Kind.UNREACHABLE if isinstance(error, ConnectionRefusedError) else Kind.CUT_OFF
        return Failed(kind, str(error) or type(error).__name__)
    return Failed(Kind.THROTTLED if isinstance(error, ThrottledError) else Kind.REFUSED, str(error))


def _billed_s(took_s: float, log_tail: str) -> float:
    """Return what Lambda says it bills; where it does not say, what the function says it took, in whole milliseconds."""
    told_s = billed_in(log_tail)
    return math.ceil(took_s * 1000) / 1000 if told_s is None else told_s


def billed_in(log: str) -> float | None:
    """Return what a function's log says that Lambda bills; None where it does not say."""
    billed = _BILLED.findall(log)  # the last: tasks may have printed such lines before
    return int(billed[-1]) / 1000 if billed else None
