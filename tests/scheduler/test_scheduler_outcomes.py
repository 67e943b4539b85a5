"""What each answer of Lambda means: one test a row of AWS's tables."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import InvokeError, RunError, ThrottledError
from graphlambda.runtime.wire import VERSION
from graphlambda.scheduler.outcomes import Answered, Failed, Kind, outcome_of, outcome_of_error
from graphlambda.testing.invokers import function_error, refusal, reply

if TYPE_CHECKING:
    from graphlambda.scheduler.invoke import Reply


def kind_of(told: Reply) -> Kind | None:
    outcome = outcome_of(told)
    return outcome.kind if isinstance(outcome, Failed) else None


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "TooManyRequestsException", Kind.THROTTLED),
        (429, "", Kind.THROTTLED),
        (413, "RequestTooLargeException", Kind.REQUEST_TOO_LARGE),
        (413, "SerializedRequestEntityTooLargeException", Kind.REQUEST_TOO_LARGE),
        (409, "ResourceConflictException", Kind.NOT_READY),
        (409, "CodeArtifactUserPendingException", Kind.NOT_READY),
        (409, "SnapStartNotReadyException", Kind.NOT_READY),
        (502, "ResourceNotReadyException", Kind.NOT_READY),
        (502, "ENINotReadyException", Kind.NOT_READY),
        (502, "EC2ThrottledException", Kind.NOT_READY),
        (502, "SubnetIPAddressLimitReachedException", Kind.NOT_READY),
        (502, "InvalidZipFileException", Kind.REFUSED),
        (502, "KMSDisabledException", Kind.REFUSED),
        (502, "EC2AccessDeniedException", Kind.REFUSED),
        (502, "InvalidRuntimeException", Kind.REFUSED),
        (500, "ServiceException", Kind.SERVICE_FAILED),
        (503, "", Kind.SERVICE_FAILED),
        (404, "ResourceNotFoundException", Kind.MISSING_FUNCTION),
        (403, "ExpiredTokenException", Kind.EXPIRED),
        (403, "AccessDeniedException", Kind.DENIED),
        (403, "UnrecognizedClientException", Kind.DENIED),
        (403, "InvalidSignatureException", Kind.DENIED),
        (400, "InvalidRequestContentException", Kind.REFUSED),
        (415, "UnsupportedMediaTypeException", Kind.REFUSED),
        (400, "RecursiveInvocationException", Kind.REFUSED),
    ],
)
def test_what_a_refusal_means(status: int, code: str, kind: Kind) -> None:
    assert kind_of(refusal(status, code)) is kind


def test_a_refusal_says_its_reason_and_how_long_to_wait() -> None:
    told = refusal(429, "TooManyRequestsException", "CallerRateLimitExceeded", retry_after_s=2)
    assert outcome_of(told) == Failed(Kind.THROTTLED, "TooManyRequestsException: CallerRateLimitExceeded", 2)


@pytest.mark.parametrize(
    ("error_type", "message", "kind"),
    [
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds", Kind.TIMED_OUT),
        ("", "2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds", Kind.TIMED_OUT),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited", Kind.OUT_OF_MEMORY),
        ("Runtime.ExitError", "Runtime exited with error: signal: killed", Kind.OUT_OF_MEMORY),
        ("Runtime.ExitError", "Runtime exited with error: signal: segmentation fault", Kind.ENVIRONMENT_LOST),
        ("Runtime.ExitError", "Runtime exited without providing a reason", Kind.ENVIRONMENT_LOST),
        ("MemoryError", "", Kind.OUT_OF_MEMORY),
        ("Function.ResponseSizeTooLarge", "Response payload size exceeded", Kind.RESPONSE_TOO_LARGE),
        ("ValueStoreError", "cannot read value b-1", Kind.STORE_FAILED),
        ("LostValueError", "cannot read value b-1", Kind.STORE_FAILED),
        ("FrameError", "the frame of r/batch is damaged", Kind.DAMAGED),
    ],
)
def test_what_a_functions_failure_means(error_type: str, message: str, kind: Kind) -> None:
    assert kind_of(function_error(error_type, message)) is kind


def test_out_of_memory_may_be_told_by_the_log_only() -> None:
    body = json.dumps({"errorType": "Runtime.ExitError", "errorMessage": "Runtime exited"}).encode()
    told = reply(
        body, function_error="Unhandled", log_tail="REPORT Status: error Error Type: Runtime.OutOfMemory"
    )
    assert kind_of(told) is Kind.OUT_OF_MEMORY


def test_a_failed_import_names_the_module() -> None:
    message = "Unable to import module 'graphlambda_runtime.handler': No module named 'scipy.linalg'"
    assert outcome_of(function_error("Runtime.ImportModuleError", message)) == Failed(
        Kind.MISSING_MODULE, message, module="scipy.linalg"
    )


def test_an_answer_that_is_not_json_is_garbled() -> None:
    assert kind_of(reply(b'{"v": 3, "tas')) is Kind.GARBLED


@pytest.mark.parametrize("payload", [b"null", b"[]", b'{"v": 99}', b'{"hello": 1}'])
def test_an_answer_that_is_not_ours_is_refused(payload: bytes) -> None:
    assert kind_of(reply(payload)) is Kind.REFUSED


def test_an_answer_holds_its_outcomes_and_what_it_costs() -> None:
    error = {"kind": "user", "type": "builtins.ValueError", "message": "no"}
    body = {
        "v": VERSION,
        "environment": "e",
        "cold": True,
        "at_s": 1000.0,
        "peak_mb": 61.5,
        "tasks": [1, 2, 3, 5, 4, 7],
        "started_s": [0.0, 0.25, 0.5, 0.75, 0.75, 0.75],
        "seconds": [0.0101, 0.002, 0.0, 0.0, 0.0, 0.0],
        "bytes": [2, 70_000, 0, 0, 3, 80_000],
        "reading_s": 0.001,
        "sending_s": 0.002,
        "inline": b64encode(b"onefour"[1:6]).decode(),
        "stored": [2],
        "shared": [7],
        "unsent": [5],
        "left": [6],
        "ended": "cancelled",
        "modules": {},
        "outputs": {"1": {"stdout": "said"}},
        "errors": {"3": error},
    }
    wanted = Answered(
        tasks=(1, 2, 3, 5, 4, 7),
        started_s=(1000.0, 1000.25, 1000.5, 1000.75, 1000.75, 1000.75),
        seconds=(0.0101, 0.002, 0.0, 0.0, 0.0, 0.0),
        value_bytes=(2, 70_000, 0, 0, 3, 80_000),
        frames=(b"ne", None, None, None, b"fou", None),
        reading_s=0.001,
        sending_s=0.002,
        errors={3: error},
        unsent=frozenset({5}),
        shared=frozenset({7}),
        left=frozenset({6}),
        ended="cancelled",
        outputs={1: {"stdout": "said"}},
        peak_mb=61.5,
        cold=True,
        billed_s=0.013,
    )
    assert outcome_of(reply(json.dumps(body).encode())) == wanted
    tail = "REPORT RequestId: 1\tDuration: 12.3 ms\tBilled Duration: 140 ms\tInit Duration: 120 ms"
    told = outcome_of(reply(json.dumps(body).encode(), log_tail=tail))
    assert told == replace(wanted, billed_s=0.14)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("late"), Kind.NO_ANSWER),
        (ConnectionRefusedError(), Kind.UNREACHABLE),
        (ConnectionResetError(), Kind.CUT_OFF),
        (OSError("no route"), Kind.CUT_OFF),
        (ThrottledError("later"), Kind.THROTTLED),
        (InvokeError("no"), Kind.REFUSED),
    ],
)
def test_what_an_invokers_exception_means(error: OSError | RunError, kind: Kind) -> None:
    assert outcome_of_error(error).kind is kind
