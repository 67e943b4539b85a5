"""What it means that a function ended without a reply of our runtime's: it raised, died, or was ended.

In: the error that Lambda reports in its place, and the end of its log. Out: `Failed`. Must not decide what follows: that
is `policy`.

Sources: the Runtime Interface Client for Python (awslambdaric: its faults); AWS, "Understanding the Lambda execution
environment lifecycle" and "Troubleshoot invocation issues" for what the platform reports by itself.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from graphlambda.scheduler.kinds import Failed, Kind

if TYPE_CHECKING:
    from graphlambda.scheduler.invoke import Reply

_BY_TYPE = {
    "Sandbox.Timedout": Kind.TIMED_OUT,
    "Runtime.OutOfMemory": Kind.OUT_OF_MEMORY,
    "Runtime.ExitError": Kind.ENVIRONMENT_LOST,
    "Function.ResponseSizeTooLarge": Kind.RESPONSE_TOO_LARGE,
    # awslambdaric's own
    "Runtime.ImportModuleError": Kind.MISSING_MODULE,
    "Runtime.HandlerNotFound": Kind.BROKEN,
    "Runtime.MalformedHandlerName": Kind.BROKEN,
    "Runtime.BuiltInModuleConflict": Kind.BROKEN,
    "Runtime.UserCodeSyntaxError": Kind.BROKEN,
    "Runtime.BeforeSnapshotError": Kind.RESTORE_FAILED,
    "Runtime.AfterRestoreError": Kind.RESTORE_FAILED,
    "Runtime.MarshalError": Kind.RUNTIME_FAILED,
    "Runtime.UnmarshalError": Kind.RUNTIME_FAILED,
    "Runtime.LambdaContextUnmarshalError": Kind.RUNTIME_FAILED,
    "Runtime.LambdaRuntimeClientError": Kind.ENVIRONMENT_LOST,
    # our runtime's own
    "MemoryError": Kind.OUT_OF_MEMORY,
    "ValueStoreError": Kind.STORE_FAILED,
    "LostValueError": Kind.STORE_FAILED,
    "FrameError": Kind.DAMAGED,
}

_OF_THE_PLATFORM = ("Runtime.", "Sandbox.", "Function.", "Extension.")
"""What its types begin with; others are classes of Python exceptions."""

_TIMED_OUT = re.compile(r"Task timed out after [\d.]+ seconds")
_KILLED = re.compile(r"signal: killed")
_OUT_OF_MEMORY_REPORT = re.compile(r"Runtime\.OutOfMemory")
_MEMORY_REPORT = re.compile(r"Memory Size: (\d+) MB\s+Max Memory Used: (\d+) MB")
_STARTING = re.compile(r"INIT_REPORT .*Status: timeout", re.DOTALL)
_NO_MODULE = re.compile(r"No module named '([^']+)'")

MOST_MEMORY_MB = 10_240
"""Lambda's most; the account or the local machine may say no earlier."""

_SMALLER = (
    "It had 10,240 MiB, the most that there is: make its chunks smaller (`rechunk`, `repartition`), or reduce fewer of them at "
    "once (`split_every=`). In the local Lambda all functions share this machine's memory: a lower `concurrency=` leaves more to each."
)
_SLOW_START = "It was still starting then: more memory imports faster (`memory_mb=`), or give it longer with `timeout_s=`."


def crashed(body: Any, reply: Reply) -> Failed:
    """Return what ended a function; older answers have a message and no type."""
    said = body if isinstance(body, dict) else {}
    message, error_type = str(said.get("errorMessage", "")), str(said.get("errorType", ""))
    kind = _kind(error_type, message, reply.log_tail)
    module = missing[1] if (missing := _NO_MODULE.search(message)) else ""
    if kind is Kind.MISSING_MODULE and not module:
        kind = Kind.BROKEN
    return Failed(
        kind,
        _text(kind, error_type, message) or reply.function_error,
        module=module if kind is Kind.MISSING_MODULE else "",
        remedy=_SLOW_START if kind is Kind.TIMED_OUT and _STARTING.search(reply.log_tail) else "",
        request_id=reply.request_id,
        log=reply.log_tail,
    )


def at_its_most(failed: Failed, memory_mb: int) -> Failed:
    """Return what ended a function of so much memory, with another remedy where there is no more to be had."""
    is_full = failed.kind is Kind.OUT_OF_MEMORY and memory_mb >= MOST_MEMORY_MB
    return replace(failed, remedy=_SMALLER) if is_full else failed


def _kind(error_type: str, message: str, log: str) -> Kind:
    if _TIMED_OUT.search(message):
        return Kind.TIMED_OUT
    kind = _BY_TYPE.get(error_type)
    if kind is None:
        ours = error_type and not error_type.startswith(_OF_THE_PLATFORM)
        return Kind.RUNTIME_FAILED if ours else Kind.ENVIRONMENT_LOST
    if kind is Kind.ENVIRONMENT_LOST and _ran_out_of_memory(message, log):
        return Kind.OUT_OF_MEMORY
    return kind


def _ran_out_of_memory(message: str, log: str) -> bool:
    """Whether a process that has died was killed for its memory: by its message, or by what the log reports of it."""
    if _KILLED.search(message) or _OUT_OF_MEMORY_REPORT.search(log):
        return True
    report = _MEMORY_REPORT.search(log)
    return report is not None and int(report[2]) >= int(report[1])


def _text(kind: Kind, error_type: str, message: str) -> str:
    """Return what happened, for people; an exception that nobody foresaw is told as Python tells it."""
    if kind is Kind.RUNTIME_FAILED and message:
        return f"{error_type}: {message}"
    return message or error_type
