"""Checks a request's Signature Version 4.

In: a request as it was received, the secret, the time. Out: nothing, or the refusal that AWS gives.
Must not sign. Follows https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hashlib
import hmac
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from graphlambda.local.answers import ServiceError

if TYPE_CHECKING:
    from graphlambda.local.http import Head, Request
    from graphlambda.local.settings import Credentials

CLOCK_SKEW_S = 300
"""How far a client's clock may be from ours: AWS's five minutes."""

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 +Credential=([^/]+)/(\d{8})/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request, *"
    r"SignedHeaders=([a-z0-9;_-]+), *Signature=([0-9a-f]{64})",
)


class _Claim(NamedTuple):
    """What an Authorization header says."""

    access_key: str
    date: str
    region: str
    service: str
    signed: tuple[str, ...]
    signature: str


def verify(request: Request, credentials: Credentials, *, service: str, now: datetime) -> None:
    """Return if the request was signed for `service` with `credentials` not long before `now`.

    Raises:
        ServiceError: it was not; the message never holds what would have been right.
    """
    claim = _claim(request.head)
    if not hmac.compare_digest(claim.access_key.encode(), credentials.access_key.encode()):
        raise _refused(
            "UnrecognizedClientException", "The security token included in the request is invalid."
        )
    if claim.service != service:
        raise _refused(
            "SignatureDoesNotMatch", f"Credential should be scoped to correct service: '{service}'."
        )
    stamp = request.head.headers.get("x-amz-date", "")
    _check_time(claim, stamp, now)
    wanted = _signature(claim, stamp, request, credentials.secret_key)
    if not hmac.compare_digest(wanted, claim.signature):
        raise _refused(
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )


def _refused(code: str, message: str) -> ServiceError:
    return ServiceError(403, code, message)


def _claim(head: Head) -> _Claim:
    text = head.headers.get("authorization")
    if text is None:
        raise _refused("MissingAuthenticationTokenException", "Missing Authentication Token")
    match = _AUTHORIZATION.fullmatch(text)
    if match is None:
        raise _refused(
            "IncompleteSignatureException", "The Authorization header is not one of Signature Version 4"
        )
    access_key, date, region, service, signed, signature = match.groups()
    names = tuple(signed.split(";"))
    if not {"host", "x-amz-date"} <= set(names):
        raise _refused("IncompleteSignatureException", "'Host' and 'X-Amz-Date' must be signed headers")
    return _Claim(access_key, date, region, service, names, signature)


@lru_cache(maxsize=8)
def _parse_time(stamp: str) -> datetime:
    return datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def _check_time(claim: _Claim, stamp: str, now: datetime) -> None:
    try:
        at = _parse_time(stamp)
    except ValueError as error:
        raise _refused(
            "IncompleteSignatureException", "X-Amz-Date is not a time such as 20260101T000000Z"
        ) from error
    if stamp[:8] != claim.date or abs((now - at).total_seconds()) > CLOCK_SKEW_S:
        raise _refused("InvalidSignatureException", "Signature expired, or from a clock that is wrong")


def _signature(claim: _Claim, stamp: str, request: Request, secret: str) -> str:
    scope = f"{claim.date}/{claim.region}/{claim.service}/aws4_request"
    digest = hashlib.sha256(_canonical(claim, request).encode()).hexdigest()
    message = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    key = _signing_key(secret, claim.date, claim.region, claim.service)
    return hmac.digest(key, message.encode(), "sha256").hex()


def _canonical(claim: _Claim, request: Request) -> str:
    """Return the canonical request; a path is encoded once more than it was sent, as for all but S3."""
    head = request.head
    values = [head.headers.get(name, "") for name in claim.signed]
    if any("  " in value for value in values):
        values = [" ".join(value.split()) for value in values]
    headers = [f"{name}:{value}\n" for name, value in zip(claim.signed, values, strict=True)]
    return "\n".join(
        (
            head.method,
            _encoded(head.path),
            _sorted(head.query) if head.query else "",
            "".join(headers),
            ";".join(claim.signed),
            hashlib.sha256(request.body).hexdigest(),
        ),
    )


@lru_cache(maxsize=256)
def _encoded(path: str) -> str:
    return quote(path, safe="/~")


def _sorted(query: str) -> str:
    pairs = sorted(part.partition("=")[::2] for part in query.split("&") if part)
    return "&".join(f"{name}={value}" for name, value in pairs)


@lru_cache(maxsize=8)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
