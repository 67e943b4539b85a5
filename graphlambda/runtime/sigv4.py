"""AWS Signature Version 4, for Lambda and S3 requests, and for what a cache takes as a password.

In: a request and credentials. Out: the headers to send it with, or a signed URL. Must not read the environment.
Source: AWS, "Create a signed AWS API request" (IAM User Guide).
"""

from __future__ import annotations

import hmac
from functools import lru_cache
from hashlib import sha256
from time import gmtime, strftime
from urllib.parse import parse_qsl, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

UNSIGNED = "UNSIGNED-PAYLOAD"
"""Stands for the digest of a body that only TLS protects on its way: for S3, over https."""

_UNSIGNED = frozenset({"expect", "transfer-encoding", "user-agent", "x-amzn-trace-id"})
"""What proxies and clients may change on the way; botocore leaves them out, too."""


def sign(  # noqa: PLR0913  (a request and credentials, each by name)
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    payload: str = "",
    access_key: str,
    secret_key: str,
    token: str | None,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """Return `headers` and those that authenticate the request; `now` is in seconds since the epoch.

    `url` is as sent: its path is percent-encoded. `Host` is signed from the URL and left to the client. `payload` is
    the body's SHA-256 in hex where the caller has it, or S3's word for none (`UNSIGNED`); `body` is not read then.
    """
    time = _written(int(now))
    sent = {**headers, "X-Amz-Date": time}
    if token:
        sent["X-Amz-Security-Token"] = token
    payload = payload or sha256(body).hexdigest()
    if service == "s3":
        sent["X-Amz-Content-SHA256"] = payload
    names, canonical = _canonical_request(method, url, tuple(sent.items()), service)
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    signature = _signature(secret_key, time, scope, canonical + payload)
    sent["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return sent


def presigned(
    url: str,
    *,
    access_key: str,
    secret_key: str,
    token: str | None,
    region: str,
    service: str,
    now: float,
    expires_s: int,
) -> str:
    """Return a GET's `url` with what authenticates it for so long; the rest is as in `sign`."""
    time = _written(int(now))
    scope = f"{time[:8]}/{region}/{service}/aws4_request"
    more = {
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": time,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": token} if token else {}),
    }
    signed = "&".join((url, *(f"{name}={quote(value, safe='-_.~')}" for name, value in more.items())))
    _, canonical = _canonical_request("GET", signed, (), service)
    signature = _signature(secret_key, time, scope, canonical + sha256(b"").hexdigest())
    return f"{signed}&X-Amz-Signature={signature}"


def _signature(secret_key: str, time: str, scope: str, request: str) -> str:
    """Return the signature of a canonical request."""
    to_sign = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    day, region, service, _ = scope.split("/")
    return hmac.digest(_signing_key(secret_key, day, region, service), to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=4)
def _written(seconds: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))


@lru_cache(maxsize=256)
def _canonical_request(
    method: str, url: str, headers: tuple[tuple[str, str], ...], service: str
) -> tuple[str, str]:
    """Return the signed headers' names and the text that is signed, but for the payload's digest at its end.

    Requests of one second for one function differ in nothing else.
    """
    target, _, query = url.partition("://")[2].partition("?")  # `urlsplit` takes five times as long
    host, slash, path = target.partition("/")
    signed = {name.lower(): " ".join(value.split()) for name, value in headers}
    signed.setdefault("host", host.rpartition("@")[2])
    lines = sorted(item for item in signed.items() if item[0] not in _UNSIGNED)
    names = ";".join(name for name, _ in lines)
    path = slash + path or "/"
    if service != "s3":  # every other service signs the encoded path encoded once more
        path = quote(path, safe="/~")
    shown = "".join(f"{name}:{value}\n" for name, value in lines)
    return names, f"{method}\n{path}\n{_canonical_query(query)}\n{shown}\n{names}\n"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = parse_qsl(query, keep_blank_values=True)
    return "&".join(
        sorted(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)
    )


@lru_cache(maxsize=8)
def _signing_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """Return a day's key: four HMACs less for each request."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key
