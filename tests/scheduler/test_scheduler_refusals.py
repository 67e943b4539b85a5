"""Every exception of Invoke: what it means, what follows, how long it is put up with, and what the user is told."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from botocore.model import StringShape
from botocore.session import get_session

from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.policy import KNOWN_S, NETWORK_S, READY_S, RULES, Ran, Step, error_after
from graphlambda.scheduler.refusals import refused
from graphlambda.testing.invokers import refusal


class Row(NamedTuple):
    kind: Kind
    step: Step
    bound: float
    """Attempts of a task, or seconds of a function; 0: none."""

    said: str
    """What the message tells the user to do."""


READY = Row(Kind.NOT_READY, Step.HOLD, READY_S, "Deploy the program again")
NETWORK = Row(Kind.NO_NETWORK, Step.HOLD, NETWORK_S, "try again later")
BROKEN = Row(Kind.BROKEN, Step.FAIL, 0, "Deploy the program again")
KEY = Row(Kind.BROKEN, Step.FAIL, 0, "Enable the KMS key")
RUNTIME = Row(Kind.BROKEN, Step.FAIL, 0, "a Python that Lambda still has")
VPC = Row(Kind.BROKEN, Step.FAIL, 0, "`security_groups=`")
RESTORE = Row(Kind.RESTORE_FAILED, Step.RETRY, 3, "SnapStart off")
FILES = Row(Kind.NOT_MOUNTED, Step.RETRY, 3, "Is the file system up")
FILES_DENIED = Row(Kind.NOT_MOUNTED, Step.RETRY, 3, "May its role")
TOO_LARGE = Row(Kind.REQUEST_TOO_LARGE, Step.FAIL, 0, "`inline_bytes=`")
OURS = Row(Kind.REFUSED, Step.FAIL, 0, "please report it")

EXCEPTIONS = {
    "CodeArtifactUserDeletedException": READY,
    "CodeArtifactUserFailedException": BROKEN,
    "CodeArtifactUserPendingException": READY,
    "DurableExecutionAlreadyStartedException": OURS,
    "EC2AccessDeniedException": Row(Kind.DENIED, Step.HOLD, KNOWN_S, "`graphlambda aws policy`"),
    "EC2ThrottledException": NETWORK,
    "EC2UnexpectedException": NETWORK,
    "EFSIOException": Row(Kind.ENVIRONMENT_LOST, Step.RETRY, 3, "file system failed"),
    "EFSMountConnectivityException": FILES,
    "EFSMountFailureException": FILES_DENIED,
    "EFSMountTimeoutException": FILES,
    "ENILimitReachedException": Row(Kind.NO_NETWORK, Step.HOLD, NETWORK_S, "Service Quotas"),
    "ENINotReadyException": READY,
    "InvalidParameterValueException": OURS,
    "InvalidRequestContentException": OURS,
    "InvalidRuntimeException": RUNTIME,
    "InvalidSecurityGroupIDException": VPC,
    "InvalidSubnetIDException": VPC,
    "InvalidZipFileException": BROKEN,
    "KMSAccessDeniedException": Row(Kind.DENIED, Step.HOLD, KNOWN_S, "`kms:Decrypt`"),
    "KMSDisabledException": KEY,
    "KMSInvalidStateException": KEY,
    "KMSNotFoundException": KEY,
    "ModeNotSupportedException": OURS,
    "NoPublishedVersionException": BROKEN,
    "RecursiveInvocationException": Row(Kind.REFUSED, Step.FAIL, 0, "put-function-recursion-config"),
    "RequestTooLargeException": TOO_LARGE,
    "ResourceConflictException": READY,
    "ResourceNotFoundException": Row(Kind.MISSING_FUNCTION, Step.HOLD, KNOWN_S, "Deploy the program again"),
    "ResourceNotReadyException": READY,
    "RuntimeAliasDeletedException": RUNTIME,
    "RuntimeVersionDeletedException": RUNTIME,
    "S3FilesMountConnectivityException": FILES,
    "S3FilesMountFailureException": FILES_DENIED,
    "S3FilesMountTimeoutException": FILES,
    "SerializedRequestEntityTooLargeException": TOO_LARGE,
    "ServiceException": Row(Kind.SERVICE_FAILED, Step.RETRY, 5, "try again later"),
    "ServiceQuotaExceededException": Row(Kind.REFUSED, Step.FAIL, 0, "Service Quotas"),
    "SnapStartException": RESTORE,
    "SnapStartNotReadyException": READY,
    "SnapStartRegenerationFailureException": READY,
    "SnapStartTimeoutException": RESTORE,
    "SubnetIPAddressLimitReachedException": Row(Kind.NO_NETWORK, Step.HOLD, NETWORK_S, "`subnets=`"),
    "TooManyRequestsException": Row(Kind.THROTTLED, Step.WAIT, 0, "`concurrency=`"),
    "UnsupportedMediaTypeException": OURS,
}


def statuses() -> dict[str, int]:
    """Return the exceptions of Invoke in the installed botocore's model, and their HTTP statuses."""
    model = get_session().get_service_model("lambda").operation_model("Invoke")
    return {shape.name: shape.metadata["error"]["httpStatusCode"] for shape in model.error_shapes}


STATUSES = statuses()


def test_the_table_has_every_exception_that_the_installed_model_of_invoke_has() -> None:
    assert set(EXCEPTIONS) == set(STATUSES)


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_each_exception_of_invoke_has_its_rule_its_bound_and_its_message(name: str) -> None:
    failed = refused(refusal(STATUSES[name], name, message="as it is"))
    row, rule = EXCEPTIONS[name], RULES[failed.kind]
    bound = rule.within_s or (rule.attempts if rule.alone is Step.RETRY else 0)
    assert (failed.kind, rule.alone, bound) == (row.kind, row.step, row.bound)
    message = str(error_after(failed, what="task x"))
    assert message.startswith(f"task x: {row.kind}: {name}: as it is. ")
    assert row.said in message


@pytest.mark.parametrize("name", EXCEPTIONS)
def test_what_may_have_run_is_never_taken_for_what_did_not(name: str) -> None:
    """A status of 500 may come after the function ran; the file system failed while it did."""
    perhaps = {"ServiceException", "EFSIOException"}
    assert (RULES[EXCEPTIONS[name].kind].ran is not Ran.NO) == (name in perhaps)


@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "said"),
    [
        (403, "ExpiredTokenException", "The security token is expired", Kind.EXPIRED, "aws sso login"),
        (403, "ExpiredToken", "The security token is expired", Kind.EXPIRED, "aws sso login"),
        (403, "RequestTimeTooSkewed", "The difference is too large", Kind.CLOCK_WRONG, "timedatectl"),
        (400, "RequestExpired", "no", Kind.CLOCK_WRONG, "timedatectl"),
        (
            403,
            "InvalidSignatureException",
            "Signature expired: 20261127T000000Z is now earlier than 20261127T001000Z",
            Kind.CLOCK_WRONG,
            "timedatectl",
        ),
        (
            403,
            "InvalidSignatureException",
            "Signature not yet current: 20261127T001000Z is still later than",
            Kind.CLOCK_WRONG,
            "timedatectl",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            "Signature expired: 1 is now earlier",
            Kind.CLOCK_WRONG,
            "timedatectl",
        ),
        (403, "InvalidSignatureException", "does not match", Kind.DENIED, "aws configure"),
        (403, "SignatureDoesNotMatch", "does not match", Kind.DENIED, "aws configure"),
        (403, "UnrecognizedClientException", "invalid token", Kind.DENIED, "AWS_PROFILE"),
        (403, "AccessDeniedException", "not authorized", Kind.DENIED, "lambda:InvokeFunction"),
        (403, "MissingAuthenticationTokenException", "missing", Kind.REFUSED, "report"),
        (403, "", "blocked", Kind.DENIED, "lambda:InvokeFunction"),
        (407, "", "who", Kind.REFUSED, "HTTPS_PROXY"),
        (413, "", "too large", Kind.REQUEST_TOO_LARGE, "inline_bytes"),
        (429, "", "slow down", Kind.THROTTLED, "concurrency"),
        (503, "", "no", Kind.SERVICE_FAILED, "later"),
        (504, "", "no", Kind.SERVICE_FAILED, "later"),
        (418, "TeapotException", "no", Kind.REFUSED, "Deploy"),
    ],
)
def test_what_the_model_does_not_name_is_told_by_its_code_its_text_or_its_status(
    status: int, code: str, message: str, kind: Kind, said: str
) -> None:
    failed = refused(refusal(status, code, message=message))
    assert failed.kind is kind
    assert said in str(error_after(failed, what="x"))


REASONS = {
    "ConcurrentInvocationLimitExceeded": Kind.THROTTLED,
    "FunctionInvocationRateLimitExceeded": Kind.THROTTLED,
    "ReservedFunctionConcurrentInvocationLimitExceeded": Kind.THROTTLED,
    "ReservedFunctionInvocationRateLimitExceeded": Kind.THROTTLED,
    "CallerRateLimitExceeded": Kind.THROTTLED,
    "ConcurrentSnapshotCreateLimitExceeded": Kind.NOT_READY,
}


@pytest.mark.parametrize(("reason", "kind"), REASONS.items())
def test_a_throttle_says_its_reason_and_how_long_to_wait(reason: str, kind: Kind) -> None:
    told = refusal(429, "TooManyRequestsException", reason, retry_after_s=2)
    assert refused(told) == Failed(kind, f"TooManyRequestsException: {reason}", 2)


def test_the_table_of_reasons_has_all_that_the_installed_model_has() -> None:
    shape = get_session().get_service_model("lambda").shape_for("ThrottleReason")
    assert isinstance(shape, StringShape)
    assert set(REASONS) == set(shape.enum)
