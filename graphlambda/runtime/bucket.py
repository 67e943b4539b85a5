"""Objects of one S3 bucket: signed requests, repeated where that can help.

In: keys and bytes. Out: bytes and entity tags. Must not wait longer than `GIVE_UP_S` and one exchange (see `http1`),
nor send an unsigned body in the clear.

A body that TLS protects is not hashed (`UNSIGNED-PAYLOAD`): what reads a frame verifies its own signature, which also
finds what went wrong at rest. Source: AWS, "Amazon S3 API reference"; checked against botocore and two servers.
"""

from __future__ import annotations

import os
import time
from hashlib import sha256
from urllib.parse import quote

from .faults import ValueStoreError
from .frame import allocate, size_of
from .http1 import CALM_S, Http
from .sigv4 import UNSIGNED, sign

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .frame import Buffer
    from .http1 import Answer, Place
    from .identity import Keys

FIRST_ONLY = {"If-None-Match": "*"}
"""The condition of a put that nobody else's may precede."""

TRUSTED = "AWS_CA_BUNDLE"
"""The variable that names a file of certificates to trust instead of the system's, as boto3 reads it, too."""

ATTEMPTS = 8
GIVE_UP_S = 60.0
"""No attempt begins that long after the first."""

SPLIT_BYTES = 64 << 20
"""A larger object is received in parts, several at once, and over TLS sent so, too; see `multipart`."""

FIRST_BYTES = 16 << 20
"""How much of such an object the request brings that finds out how large it is."""

NEAR_SPLIT_BYTES = 1 << 30
"""The same for sending without TLS: a server that is near takes one request faster than its parts."""

_OF_NOTHING = sha256().hexdigest()
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_AGAIN = frozenset({429, 500, 502, 503, 504})
_AGAIN_CODES = frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SKEW_S = 2.0  # a server's date is a second coarse, and a second old
_REMEDIES = {
    "AccessDenied": "Give the function's role s3:GetObject, s3:PutObject and s3:DeleteObject there",
    "ExpiredToken": "The credentials have expired: renew them",
    "InvalidAccessKeyId": "The server does not know these credentials",
    "NoSuchBucket": "Make the bucket first",
    "PermanentRedirect": "The bucket is in another region",
    "RequestTimeTooSkewed": "Set this machine's clock (`sudo timedatectl set-ntp true`): the server's own date did not do",
    "SignatureDoesNotMatch": "The credentials or the region are not the server's",
}
_UNTRUSTED = (
    f"Name a file with the certificates to trust in {TRUSTED}: local functions get it from the client; at AWS the file comes "
    "with a package of yours, and the variable by `environment=`"
)


class _PassingError(Exception):
    """What is wrong now and may not be in a moment."""


class Bucket:
    """Objects of one bucket whose keys begin with a prefix."""

    def __init__(  # noqa: PLR0913  (where it is, who asks, and how)
        self,
        url: str,
        prefix: str,
        *,
        region: str,
        keys: Callable[[], Keys],
        owner: str = "",
        ca: str | None = None,
        calm_s: float = CALM_S,
        pause: Callable[[float], None] = time.sleep,
        http: Http | None = None,
    ) -> None:
        """`url` is the bucket's; `prefix` ends in a slash, or is empty; `owner` is the account that must own it.

        `http` has the connections; None: new ones, which trust `ca` and wait for `calm_s`.
        """
        scheme, _, rest = url.partition("://")
        host, slash, path = rest.partition("/")
        self.url = url
        self.prefix = prefix
        self._path = slash + path
        self._tls = scheme == "https"
        self._http = http or Http(f"{scheme}://{host}", ca, calm_s)
        self._origin = f"{scheme}://{host}"
        self._region = region
        self._keys = keys
        self._always = {"x-amz-expected-bucket-owner": owner} if owner else {}
        self._pause = pause
        self._skew_s = 0.0
        self._date = ""
        self.writes = self.reads = 0
        """Requests so far that S3 bills as such, lists among the writes; with several threads, a little less at worst."""

    def __repr__(self) -> str:
        return f"Bucket({self.url!r}, {self.prefix!r})"

    def now_s(self) -> float:
        """Return the server's time, as far as its answers told: seconds since the epoch."""
        return time.time() + self._skew_s

    def get(self, key: str, *, attempts: int = ATTEMPTS) -> tuple[memoryview, str] | None:
        """Return an object in private, writable memory and its entity tag; None where there is none.

        Raises:
            ValueStoreError: the server refuses, or is unavailable.
        """
        whole = allocate(0)

        def place(status: int, size: int) -> memoryview:
            nonlocal whole
            whole = allocate(size)
            return whole[:FIRST_BYTES] if status == 200 and size > SPLIT_BYTES else whole

        answer = self.ask("GET", key, good=(200, 404), place=place, attempts=attempts)
        if self._is_absent(answer):
            return None
        etag = answer.headers.get("etag")
        if len(answer.body) >= len(whole):
            return answer.body, etag
        from .multipart import get_rest  # noqa: PLC0415  (threads, which few values need)

        get_rest(self, key, whole, len(answer.body), etag)
        return whole, etag

    def put(self, key: str, parts: Sequence[Buffer], condition: Mapping[str, str]) -> str | None:
        """Make an object, whole or not at all, and return its entity tag; None where the condition does not hold.

        Raises:
            ValueStoreError: the server refuses, or is unavailable.
        """
        if size_of(parts) > (SPLIT_BYTES if self._tls else NEAR_SPLIT_BYTES):
            from .multipart import put_in_parts  # noqa: PLC0415  (threads, which few values need)

            return put_in_parts(self, key, parts, condition)
        answer = self.ask("PUT", key, headers=condition, parts=parts, good=(200, 404, 412))
        return self.etag_if_put(answer)

    def etag_if_put(self, answer: Answer) -> str | None:
        """Return the entity tag of what was made; None where its condition did not hold.

        Raises:
            ValueStoreError: there is no bucket.
        """
        if answer.status == 412 or self._is_absent(answer):  # 404: nothing is there to match
            return None
        return answer.headers.get("etag")

    def size(self, key: str) -> int | None:
        """Return how many bytes an object has; None where there is none.

        Raises:
            ValueStoreError: the server refuses, or is unavailable.
        """
        answer = self.ask("HEAD", key, good=(200, 404))
        return int(answer.headers.get("content-length")) if answer.status == 200 else None

    def delete(self, key: str) -> None:
        """Delete an object; one that is not there is passed over.

        Raises:
            ValueStoreError: the server refuses, or is unavailable.
        """
        self.ask("DELETE", key, good=(200, 204, 404))

    def ask(
        self,
        method: str,
        key: str,
        query: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        parts: Sequence[Buffer] = (),
        good: Sequence[int] = (200,),
        place: Place | None = None,
        attempts: int = ATTEMPTS,
    ) -> Answer:
        """Return the answer to a request, sent again while that may help; without a key it is to the bucket.

        Raises:
            ValueStoreError: its status is none of `good`, or there was no answer after all attempts.
        """
        target = self._target(key) + (f"?{query}" if query else "")
        digest = self._digest(parts)
        began_s, tried = time.monotonic(), 0
        while True:
            tried += 1
            try:
                return self._asked(method, target, headers or {}, digest, parts, good, place)
            except _PassingError as failure:
                seconds = time.monotonic() - began_s
                if tried >= attempts or seconds > GIVE_UP_S:
                    message = (
                        f"{method} {self._origin}{target}: {failure} (tried {tried} times in {seconds:.1f} s)"
                    )
                    raise ValueStoreError(message) from failure
            self._pause(_pause_s(tried))

    def _asked(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        digest: str,
        parts: Sequence[Buffer],
        good: Sequence[int],
        place: Place | None,
    ) -> Answer:
        """Ask once; raises `_PassingError` where asking again may help, `ValueStoreError` where it cannot."""
        skew_s = self._skew_s
        try:
            answer = self._exchanged(method, target, headers, digest, parts, place)
            if answer.status == 403 and self._skew_s != skew_s:  # a HEAD's answer does not say why
                answer = self._exchanged(method, target, headers, digest, parts, place)
        except OSError as error:
            told = f"{type(error).__name__}: {error}"
            if type(error).__name__ == "SSLCertVerificationError":  # importing it would cost 13 ms
                raise ValueStoreError(f"{method} {self._origin}{target}: {told}. {_UNTRUSTED}") from error
            raise _PassingError(told) from error
        code = _code(method, answer)
        if answer.status in good and not (answer.status < 300 and code):
            return answer
        if answer.status in _AGAIN or code in _AGAIN_CODES:
            raise _PassingError(_told(answer, code))
        raise ValueStoreError(f"{method} {self._origin}{target}: {_told(answer, code)}")

    def _exchanged(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        digest: str,
        parts: Sequence[Buffer],
        place: Place | None,
    ) -> Answer:
        """Send a request, dated by the server's clock as far as it is known; learn it from the answer."""
        self._count(method, target)
        signed = self._signed(method, target, headers, digest)
        answer = self._http.exchange(method, target, signed, parts, place=place)
        self._learn_time(answer)
        return answer

    def _count(self, method: str, target: str) -> None:
        if method in {"PUT", "POST"} or "list-type=" in target:
            self.writes += 1
        elif method != "DELETE":
            self.reads += 1

    def _target(self, key: str) -> str:
        if not key:
            return self._path or "/"
        return f"{self._path}/{quote(self.prefix + key, safe='/-_.~')}"

    def _signed(self, method: str, target: str, headers: Mapping[str, str], digest: str) -> Mapping[str, str]:
        keys = self._keys()
        return sign(
            method,
            self._origin + target,
            {**self._always, **headers},
            b"",
            payload=digest,
            access_key=keys.access_key,
            secret_key=keys.secret_key,
            token=keys.token,
            region=self._region,
            service="s3",
            now=self.now_s(),
        )

    def _digest(self, parts: Sequence[Buffer]) -> str:
        if not parts:
            return _OF_NOTHING
        if self._tls:
            return UNSIGNED
        digest = sha256()
        for part in parts:
            digest.update(part)
        return digest.hexdigest()

    def _is_absent(self, answer: Answer) -> bool:
        """Whether there is no object; raises where there is no bucket."""
        if answer.status == 404 and _code("GET", answer) == "NoSuchBucket":
            raise ValueStoreError(f"{self.url}: {_told(answer, 'NoSuchBucket')}")
        return answer.status == 404

    def _learn_time(self, answer: Answer) -> None:
        """Follow the server's clock where ours is off: what it stamps is compared with what we stamp."""
        date = answer.headers.get("date")
        if date == self._date:
            return
        self._date = date
        skew_s = seconds_of(date) - time.time()
        if abs(skew_s - self._skew_s) > _SKEW_S:
            self._skew_s = skew_s


def seconds_of(date: str) -> float:
    """Return an HTTP date as seconds since the epoch; now where it is none."""
    from datetime import UTC, datetime  # noqa: PLC0415  (1 ms)

    try:
        _, day, month, year, clock, _ = date.split()
        hour, minute, second = map(int, clock.split(":"))
        return datetime(
            int(year), _MONTHS.index(month) + 1, int(day), hour, minute, second, tzinfo=UTC
        ).timestamp()
    except ValueError:
        return time.time()


def text_of(xml: Buffer, tag: str) -> str:
    """Return the text of the first element of that name; empty where there is none."""
    from html import unescape  # noqa: PLC0415  (uploads in parts, and errors)

    return unescape(bytes(xml).partition(f"<{tag}>".encode())[2].partition(b"</")[0].decode(errors="replace"))


def _code(method: str, answer: Answer) -> str:
    """Return S3's word for what is wrong: with a bad status, or, as a copy or a completion does, with a good one."""
    if answer.status >= 400 or (method == "POST" and b"<Error>" in bytes(answer.body[:200])):
        return text_of(answer.body, "Code")
    return ""


def _told(answer: Answer, code: str) -> str:
    said = f"{code or 'no reason given'} ({answer.status})"
    if message := text_of(answer.body, "Message"):
        said += f", {message.rstrip('.')}"
    if region := answer.headers.get("x-amz-bucket-region"):
        said += f", the bucket is in {region}"
    return f"{said}. {_REMEDIES[code]}" if code in _REMEDIES else said


def _pause_s(tried: int) -> float:
    """Return how long to wait: anything up to a bound that doubles, so that those who failed together come apart."""
    share = int.from_bytes(os.urandom(2), "little") / 0xFFFF  # not `random`, which a fork would repeat
    return share * min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * (1 << tried))
