"""What it means that Lambda refused an invocation: every exception of Invoke, and what gateways before Lambda say.

In: a `Reply` with a status of 400 or more. Out: `Failed`. Must not decide what follows: that is `policy`.

Sources: the errors of `Invoke` in botocore's model of Lambda; AWS, "Common error types" (API reference).
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from graphlambda.scheduler.kinds import Failed, Kind

if TYPE_CHECKING:
    from graphlambda.scheduler.invoke import Reply


class _Meaning(NamedTuple):
    kind: Kind
    remedy: str = ""
    """Empty where the kind's rule says it."""


_NETWORK = (
    "See `subnets=` and `security_groups=` of the function; `graphlambda aws status` lists what there is."
)
_KEY = "The function's role needs `kms:Decrypt` on the key that encrypts its variables."
_KEY_IS_OFF = "Enable the KMS key that encrypts the function's variables, or set up without `--kms-key`."
_RUNTIME = "Its Python is no longer offered: deploy again, from a Python that Lambda still has."
_MOUNT = "Is the file system up, and does the function's security group reach it?"
_REPORT = "This is an error of graphlambda's: please report it, with this message."

_MEANINGS = {
    "TooManyRequestsException": _Meaning(Kind.THROTTLED),
    # The function is not ready yet, or not any more.
    "ResourceConflictException": _Meaning(Kind.NOT_READY),
    "ResourceNotReadyException": _Meaning(Kind.NOT_READY),
    "CodeArtifactUserPendingException": _Meaning(Kind.NOT_READY),
    "CodeArtifactUserDeletedException": _Meaning(Kind.NOT_READY),
    "SnapStartNotReadyException": _Meaning(Kind.NOT_READY),
    "SnapStartRegenerationFailureException": _Meaning(Kind.NOT_READY),
    "ENINotReadyException": _Meaning(Kind.NOT_READY),
    # Its VPC has no room for it.
    "EC2ThrottledException": _Meaning(Kind.NO_NETWORK),
    "EC2UnexpectedException": _Meaning(Kind.NO_NETWORK),
    "ENILimitReachedException": _Meaning(
        Kind.NO_NETWORK, "Ask AWS for more network interfaces (Service Quotas, Amazon VPC)."
    ),
    "SubnetIPAddressLimitReachedException": _Meaning(
        Kind.NO_NETWORK, "Give the functions subnets with free addresses (`subnets=`)."
    ),
    # It cannot run as it was made.
    "InvalidSubnetIDException": _Meaning(Kind.BROKEN, _NETWORK),
    "InvalidSecurityGroupIDException": _Meaning(Kind.BROKEN, _NETWORK),
    "InvalidRuntimeException": _Meaning(Kind.BROKEN, _RUNTIME),
    "InvalidZipFileException": _Meaning(Kind.BROKEN),
    "KMSDisabledException": _Meaning(Kind.BROKEN, _KEY_IS_OFF),
    "KMSInvalidStateException": _Meaning(Kind.BROKEN, _KEY_IS_OFF),
    "KMSNotFoundException": _Meaning(Kind.BROKEN, _KEY_IS_OFF),
    "RuntimeAliasDeletedException": _Meaning(Kind.BROKEN, _RUNTIME),
    "RuntimeVersionDeletedException": _Meaning(Kind.BROKEN, _RUNTIME),
    "CodeArtifactUserFailedException": _Meaning(Kind.BROKEN),
    "NoPublishedVersionException": _Meaning(Kind.BROKEN),
    # Its environment could not be made ready.
    "SnapStartException": _Meaning(Kind.RESTORE_FAILED),
    "SnapStartTimeoutException": _Meaning(Kind.RESTORE_FAILED),
    "EFSMountConnectivityException": _Meaning(Kind.NOT_MOUNTED, _MOUNT),
    "EFSMountTimeoutException": _Meaning(Kind.NOT_MOUNTED, _MOUNT),
    "EFSMountFailureException": _Meaning(Kind.NOT_MOUNTED),
    "S3FilesMountConnectivityException": _Meaning(Kind.NOT_MOUNTED, _MOUNT),
    "S3FilesMountTimeoutException": _Meaning(Kind.NOT_MOUNTED, _MOUNT),
    "S3FilesMountFailureException": _Meaning(Kind.NOT_MOUNTED),
    "EFSIOException": _Meaning(Kind.ENVIRONMENT_LOST, "Its file system failed while the task ran."),
    # Lambda itself, or what was sent.
    "ServiceException": _Meaning(Kind.SERVICE_FAILED),
    "ResourceNotFoundException": _Meaning(Kind.MISSING_FUNCTION),
    "RequestTooLargeException": _Meaning(Kind.REQUEST_TOO_LARGE),
    "SerializedRequestEntityTooLargeException": _Meaning(Kind.REQUEST_TOO_LARGE),
    "InvalidParameterValueException": _Meaning(Kind.REFUSED, _REPORT),
    "InvalidRequestContentException": _Meaning(Kind.REFUSED, _REPORT),
    "UnsupportedMediaTypeException": _Meaning(Kind.REFUSED, _REPORT),
    "ModeNotSupportedException": _Meaning(Kind.REFUSED, _REPORT),
    "DurableExecutionAlreadyStartedException": _Meaning(Kind.REFUSED, _REPORT),
    "RecursiveInvocationException": _Meaning(
        Kind.REFUSED,
        "Lambda takes it for a loop: a task that invokes functions of the run has to be allowed to "
        "(`aws lambda put-function-recursion-config --recursive-loop Allow`).",
    ),
    "ServiceQuotaExceededException": _Meaning(Kind.REFUSED, "Ask AWS for more (Service Quotas, AWS Lambda)."),
    # Who asks. A right that was just given is not known everywhere yet.
    "AccessDeniedException": _Meaning(Kind.DENIED),
    "AccessDenied": _Meaning(Kind.DENIED),
    "KMSAccessDeniedException": _Meaning(Kind.DENIED, _KEY),
    "EC2AccessDeniedException": _Meaning(
        Kind.DENIED, "The function's role lacks the rights on network interfaces: `graphlambda aws policy`."
    ),
    "UnrecognizedClientException": _Meaning(
        Kind.DENIED, "AWS does not know these keys: `aws configure`, `aws sso login`, or set AWS_PROFILE."
    ),
    "InvalidSignatureException": _Meaning(
        Kind.DENIED, "The secret key does not belong to the access key: `aws configure`."
    ),
    "SignatureDoesNotMatch": _Meaning(
        Kind.DENIED, "The secret key does not belong to the access key: `aws configure`."
    ),
    "IncompleteSignatureException": _Meaning(Kind.REFUSED, _REPORT),
    "MissingAuthenticationTokenException": _Meaning(Kind.REFUSED, _REPORT),
    "ExpiredTokenException": _Meaning(Kind.EXPIRED),
    "ExpiredToken": _Meaning(Kind.EXPIRED),
    "RequestTimeTooSkewed": _Meaning(Kind.CLOCK_WRONG),
    "RequestExpired": _Meaning(Kind.CLOCK_WRONG),
    "RequestInTheFuture": _Meaning(Kind.CLOCK_WRONG),
}

UNKNOWN_KEYS = frozenset(
    {"UnrecognizedClientException", "InvalidSignatureException", "SignatureDoesNotMatch"}
)
"""What Lambda says of keys that are not, or no longer, what it knows: others may be found meanwhile."""

_BY_REASON = {"ConcurrentSnapshotCreateLimitExceeded": _Meaning(Kind.NOT_READY)}
"""Throttles that are no business of the concurrency."""

_BY_STATUS = {
    401: Kind.DENIED, 403: Kind.DENIED, 404: Kind.MISSING_FUNCTION, 413: Kind.REQUEST_TOO_LARGE,
    429: Kind.THROTTLED, 500: Kind.SERVICE_FAILED, 502: Kind.SERVICE_FAILED, 503: Kind.SERVICE_FAILED,
    504: Kind.SERVICE_FAILED,
}  # fmt: skip

_PROXY = _Meaning(
    Kind.REFUSED, "The proxy wants to know who we are: `HTTPS_PROXY=http://user:password@host:port`."
)

_OUT_OF_TIME = re.compile(r"Signature (?:expired|not yet current)")
"""How a signature's failure says that its date is why."""


def refused(reply: Reply) -> Failed:
    """Return what a refusal means."""
    text = _text(reply.payload)
    meaning = _meaning(reply, text)
    said, named = reply.reason or text, reply.error_code or f"HTTP {reply.status}"
    return Failed(
        meaning.kind,
        f"{named}: {said}" if said else named,
        reply.retry_after_s,
        remedy=meaning.remedy,
        request_id=reply.request_id,
    )


def _meaning(reply: Reply, text: str) -> _Meaning:
    if reply.reason in _BY_REASON:
        return _BY_REASON[reply.reason]
    if reply.status == 407:
        return _PROXY
    meaning = _MEANINGS.get(reply.error_code) or _Meaning(_BY_STATUS.get(reply.status, Kind.REFUSED))
    if meaning.kind is Kind.DENIED and _OUT_OF_TIME.search(text):
        return _Meaning(Kind.CLOCK_WRONG)
    return meaning


def _text(payload: bytes) -> str:
    """Return what an error's body says to people."""
    try:
        body = json.loads(payload)
    except ValueError:
        return payload[:200].decode(errors="replace")
    return str(body.get("Message") or body.get("message") or "") if isinstance(body, dict) else ""
