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
    payload = payload or sha256(body).hexdigest()
    if service == "s3":
        headers = {**headers, "X-Amz-Content-SHA256": payload}
    signer = Signer(
        method, url, headers, access_key=access_key, secret_key=secret_key, token=token, region=region,
        service=service, now=now,
    )  # fmt: skip
    return {**signer.headers, "Authorization": signer.authorization(payload)}


class Signer:
    """Signs requests of one second that differ in nothing but their bodies."""

    __slots__ = ("_canonical", "_key", "_scope", "_signed_by", "_time", "headers")

    def __init__(  # noqa: PLR0913  (as `sign`)
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        access_key: str,
        secret_key: str,
        token: str | None,
        region: str,
        service: str,
        now: float,
    ) -> None:
        """`headers` are then all that are to be sent but `Authorization`; the rest is as in `sign`."""
        self._time = _written(int(now))
        self.headers = {**headers, "X-Amz-Date": self._time}
        if token:
            self.headers["X-Amz-Security-Token"] = token
        self._scope = f"{self._time[:8]}/{region}/{service}/aws4_request"
        self._key = _signing_key(secret_key, self._time[:8], region, service)
        names, self._canonical = _canonical_request(method, url, self.headers, service)
        credential = f"Credential={access_key}/{self._scope}"
        self._signed_by = f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature="

    def authorization(self, payload: str) -> str:
        """Return what authenticates a request whose body has this SHA-256, in hex."""
        signature = _signature(self._key, self._time, self._scope, self._canonical + payload)
        return self._signed_by + signature


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
    _, canonical = _canonical_request("GET", signed, {}, service)
    key = _signing_key(secret_key, time[:8], region, service)
    signature = _signature(key, time, scope, canonical + sha256(b"").hexdigest())
    return f"{signed}&X-Amz-Signature={signature}"


def _signature(key: bytes, time: str, scope: str, request: str) -> str:
    """Return the signature of a canonical request."""
    to_sign = f"AWS4-HMAC-SHA256\n{time}\n{scope}\n{sha256(request.encode()).hexdigest()}"
    return hmac.digest(key, to_sign.encode(), "sha256").hex()


@lru_cache(maxsize=4)
def _written(seconds: int) -> str:
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))


def _canonical_request(method: str, url: str, headers: Mapping[str, str], service: str) -> tuple[str, str]:
    """Return the signed headers' names and the text that is signed, but for the payload's digest at its end."""
    target, _, query = url.partition("://")[2].partition("?")  # `urlsplit` takes five times as long
    host, slash, path = target.partition("/")
    signed = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
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
