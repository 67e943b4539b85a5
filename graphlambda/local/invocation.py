"""The nouns of an invocation inside of the service, and Lambda's words for its ends.

In: figures and reasons. Out: payloads and log lines as AWS writes them. Must not know processes or HTTP.
"""

from __future__ import annotations

import json
import math
import signal
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from graphlambda.local.limits import RESPONSE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What an invocation ended with."""

    payload: bytes
    function_error: str = ""
    """Empty or `Unhandled`."""

    log: bytes = b""
    """The end of what was written to the log meanwhile, START and REPORT lines included; where asked for."""

    status: int = HTTPStatus.OK


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Invocation:
    """One request on its way through an environment."""

    id: str
    payload: bytes
    done: Callable[[Result], None]
    """Called once, in the loop's thread."""

    tail: bool = False
    """Whether the log's end is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The figures of Lambda's REPORT line."""

    duration_ms: float
    init_ms: float | None
    """Of a cold start; None when warm."""

    memory_mb: int
    peak_mb: int
    error: str = ""
    """Such as `Runtime.OutOfMemory`."""


def report_line(request_id: str, report: Report) -> str:
    """Return the REPORT line; initialisation is billed, as by Lambda since August 2025."""
    billed = math.ceil(report.duration_ms + (report.init_ms or 0.0))
    parts = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {report.duration_ms:.2f} ms",
        f"Billed Duration: {billed} ms",
        f"Memory Size: {report.memory_mb} MB",
        f"Max Memory Used: {min(report.peak_mb, report.memory_mb)} MB",
    ]
    parts += [] if report.init_ms is None else [f"Init Duration: {report.init_ms:.2f} ms"]
    parts += [f"Status: error\tError Type: {report.error}"] if report.error else []
    return "\t".join(parts) + "\t\n"


def exit_reason(returncode: int) -> str:
    """Return how Lambda says that a process ended, from `Popen.returncode`."""
    if returncode == 0:
        return "Runtime exited without providing a reason"
    if returncode > 0:
        return f"Runtime exited with error: exit status {returncode}"
    name = signal.strsignal(-returncode) or f"{-returncode}"
    return f"Runtime exited with error: signal: {name.lower()}"


def failure(kind: str, message: str) -> bytes:
    """Return the payload of an invocation that Lambda itself ended."""
    return json.dumps({"errorType": kind, "errorMessage": message}).encode()


def timed_out(request_id: str, timeout_s: int) -> bytes:
    """Return the payload of an invocation that ran for too long."""
    return failure(
        "Sandbox.Timedout", f"RequestId: {request_id} Error: Task timed out after {timeout_s:.2f} seconds"
    )


def exited(request_id: str, returncode: int, *, out_of_memory: bool) -> bytes:
    """Return the payload of an invocation whose process has ended."""
    kind = "Runtime.OutOfMemory" if out_of_memory else "Runtime.ExitError"
    return failure(kind, f"RequestId: {request_id} Error: {exit_reason(returncode)}")


def too_large() -> bytes:
    """Return the payload of an invocation whose response was larger than Lambda passes on."""
    return failure(
        "Function.ResponseSizeTooLarge",
        f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES} bytes).",
    )


def error_type(payload: bytes) -> str:
    """Return the error type that a runtime's error says it has, for the log."""
    try:
        return str(json.loads(payload)["errorType"])
    except (ValueError, KeyError, TypeError):
        return "Runtime.Unknown"
