"""What a reply means.

In: a `Reply`, or the exception that stood in its place. Out: `Answered` or `Failed`. Must not decide what
follows: that is `policy`.

Sources: AWS, "Invoke" (API reference: errors) and "Understanding retry behavior"; the Runtime Interface
Client for what a function's own failures look like.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64decode
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.errors import RunError, ThrottledError
from graphlambda.runtime.wire import VERSION

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from graphlambda.scheduler.invoke import Reply


class Kind(StrEnum):
    """Why an invocation brought no outcomes."""

    THROTTLED = "throttled"
    NOT_READY = "not ready"
    OUT_OF_MEMORY = "out of memory"
    TIMED_OUT = "timed out"
    ENVIRONMENT_LOST = "environment lost"
    NO_ANSWER = "no answer"
    UNREACHABLE = "unreachable"
    CUT_OFF = "cut off"
    GARBLED = "garbled reply"
    SERVICE_FAILED = "service failed"
    REQUEST_TOO_LARGE = "request too large"
    RESPONSE_TOO_LARGE = "response too large"
    STORE_FAILED = "store failed"
    DAMAGED = "damaged frame"
    MISSING_MODULE = "missing module"
    MISSING_FUNCTION = "missing function"
    EXPIRED = "credentials expired"
    DENIED = "access denied"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Failed:
    """An invocation without outcomes."""

    kind: Kind
    message: str
    """What the other side said, for people."""

    retry_after_s: float = 0.0
    """How long the other side asks us to wait; 0 where it did not say."""

    module: str = ""
    """The module that is missing, where that is the reason."""

    after_s: float = 0.0
    """How long after the request was sent this was known."""


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
    billed_s: float


Outcome: TypeAlias = Answered | Failed

_BY_CODE = {
    "TooManyRequestsException": Kind.THROTTLED,
    "RequestTooLargeException": Kind.REQUEST_TOO_LARGE,
    "SerializedRequestEntityTooLargeException": Kind.REQUEST_TOO_LARGE,
    "ResourceConflictException": Kind.NOT_READY,
    "ResourceNotReadyException": Kind.NOT_READY,
    "CodeArtifactUserPendingException": Kind.NOT_READY,
    "SnapStartNotReadyException": Kind.NOT_READY,
    "ENINotReadyException": Kind.NOT_READY,
    "EC2ThrottledException": Kind.NOT_READY,
    "EC2UnexpectedException": Kind.NOT_READY,
    "ENILimitReachedException": Kind.NOT_READY,
    "SubnetIPAddressLimitReachedException": Kind.NOT_READY,
    "ResourceNotFoundException": Kind.MISSING_FUNCTION,
    "ExpiredTokenException": Kind.EXPIRED,
    "ExpiredToken": Kind.EXPIRED,
    "RequestExpired": Kind.EXPIRED,
    "AccessDeniedException": Kind.DENIED,
    "AccessDenied": Kind.DENIED,
    "UnrecognizedClientException": Kind.DENIED,
    "InvalidSignatureException": Kind.DENIED,
    "IncompleteSignatureException": Kind.DENIED,
    "MissingAuthenticationTokenException": Kind.DENIED,
}

EXPIRED = frozenset(code for code, kind in _BY_CODE.items() if kind is Kind.EXPIRED)
"""What Lambda calls credentials that were valid once."""

_PERMANENT = frozenset(
    {
        "EC2AccessDeniedException",
        "InvalidRuntimeException",
        "InvalidSecurityGroupIDException",
        "InvalidSubnetIDException",
        "InvalidZipFileException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
    }
)
"""Wrong in the function itself, though their HTTP status (502) is that of what passes."""

_BY_STATUS = {
    403: Kind.DENIED, 404: Kind.MISSING_FUNCTION, 409: Kind.REFUSED, 413: Kind.REQUEST_TOO_LARGE,
    429: Kind.THROTTLED, 500: Kind.SERVICE_FAILED, 502: Kind.SERVICE_FAILED, 503: Kind.SERVICE_FAILED,
    504: Kind.SERVICE_FAILED,
}  # fmt: skip

_BY_ERROR_TYPE = {
    "Sandbox.Timedout": Kind.TIMED_OUT,
    "Runtime.OutOfMemory": Kind.OUT_OF_MEMORY,
    "Runtime.ExitError": Kind.ENVIRONMENT_LOST,
    "Function.ResponseSizeTooLarge": Kind.RESPONSE_TOO_LARGE,
    "Runtime.ImportModuleError": Kind.MISSING_MODULE,
    "MemoryError": Kind.OUT_OF_MEMORY,
    "ValueStoreError": Kind.STORE_FAILED,  # our runtime could not read the batch
    "LostValueError": Kind.STORE_FAILED,
    "FrameError": Kind.DAMAGED,
}

_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")
_KILLED = re.compile(r"signal: killed")
_OUT_OF_MEMORY_REPORT = re.compile(r"Runtime\.OutOfMemory")
_NO_MODULE = re.compile(r"No module named '([^']+)'")
_BILLED = re.compile(r"Billed Duration: (\d+) ms")


def outcome_of(reply: Reply) -> Outcome:
    """Return what a reply means."""
    if reply.status >= 400:
        return _refusal(reply)
    try:
        body = json.loads(reply.payload)
    except ValueError:
        return Failed(Kind.GARBLED, f"the function's answer is not JSON: {reply.payload[:200]!r}")
    if reply.function_error:
        return _function_error(body, reply)
    if not isinstance(body, dict) or body.get("v") != VERSION:
        return Failed(Kind.REFUSED, "the function's runtime speaks another version; deploy it again")
    return _answered(body, _billed_s(body["seconds"], reply.log_tail))


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
        frames=tuple(_cut(b64decode(body["inline"]), body["tasks"], body["bytes"], kept)),
        errors=errors,
        unsent=frozenset(body["unsent"]),
        shared=frozenset(body["shared"]),
        ended=body["ended"],
        left=frozenset(body["left"]),
        outputs=_by_task(body["outputs"]),
        peak_mb=body["peak_mb"],
        cold=bool(body["cold"]),
        billed_s=billed_s,
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


def _refusal(reply: Reply) -> Failed:
    by_status = Kind.REFUSED if reply.error_code in _PERMANENT else _BY_STATUS.get(reply.status, Kind.REFUSED)
    kind = _BY_CODE.get(reply.error_code, by_status)
    said = reply.reason or _message(reply.payload)
    named = reply.error_code or f"HTTP {reply.status}"
    return Failed(kind, f"{named}: {said}" if said else named, reply.retry_after_s)


def _function_error(body: Any, reply: Reply) -> Failed:
    """Return what killed the function; older answers have a message and no type."""
    said = body if isinstance(body, dict) else {}
    message = str(said.get("errorMessage", ""))
    kind = _BY_ERROR_TYPE.get(str(said.get("errorType", "")), Kind.ENVIRONMENT_LOST)
    if _TIMED_OUT.search(message):
        kind = Kind.TIMED_OUT
    elif kind is Kind.ENVIRONMENT_LOST and (
        _KILLED.search(message) or _OUT_OF_MEMORY_REPORT.search(reply.log_tail)
    ):
        kind = Kind.OUT_OF_MEMORY
    missing = _NO_MODULE.search(message)
    text = message or str(said.get("errorType", "")) or reply.function_error
    return Failed(kind, text, module=missing[1] if missing and kind is Kind.MISSING_MODULE else "")


def _message(payload: bytes) -> str:
    try:
        body = json.loads(payload)
    except ValueError:
        return payload[:200].decode(errors="replace")
    return str(body.get("Message") or body.get("message") or "") if isinstance(body, dict) else ""


def _billed_s(tasks_s: list[float], log_tail: str) -> float:
    """Return what Lambda says it bills; where it does not say, the tasks' own time in whole milliseconds."""
    if billed := _BILLED.search(log_tail):
        return int(billed[1]) / 1000
    return math.ceil(sum(tasks_s) * 1000) / 1000
