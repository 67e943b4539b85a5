"""Invokes functions over HTTP, at AWS or at the local Lambda.

In: a function's name and a payload. Out: its reply. One request an invocation, no retries of its own (a
retry may run a task twice: that is the loop's decision), thousands in flight over kept connections.

What Lambda says of who asks is seen to before the reply is returned, so that the next request does better: credentials
that have expired are looked for anew, and where this machine's clock is wrong, requests are dated by the service's.

Sources: AWS, "Invoke" (API reference) for headers; "Lambda quotas" for how long an answer may take.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode
from contextlib import suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from graphlambda.runtime.sigv4 import Signer
from graphlambda.scheduler.bounds import Bounds
from graphlambda.scheduler.connections import Connections, head
from graphlambda.scheduler.invoke import Reply
from graphlambda.scheduler.kinds import Kind
from graphlambda.scheduler.refusals import UNKNOWN_KEYS, refused

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from graphlambda.scheduler.answers import Answer
    from graphlambda.scheduler.clock import Clock

_WHO_ASKS = frozenset({400, 401, 403})
"""Statuses of what is wrong with keys or clock."""

_HEADERS = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


@dataclass(frozen=True, slots=True)
class _Start:
    """What all requests for one function begin with that are signed in the same second."""

    second: int
    """Since the epoch."""

    keys: Credentials
    signer: Signer
    head: bytes = field(repr=False)
    """Of each request, as it is sent, but for what its body changes; a session's token is in it."""


class HttpInvoker:
    """An invoker for one endpoint; connections are opened as they are needed."""

    def __init__(  # noqa: PLR0913  (how a connection is made and signed, each by name)
        self,
        endpoint: str,
        *,
        region: str,
        credentials: Callable[[], Credentials],
        connections: int,
        clock: Clock,
        renew: Callable[[], None] | None = None,
        see: Callable[[], Awaitable[None]] | None = None,
        tail: bool = False,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`endpoint` is a URL; `credentials` is asked at each invocation, so they may change.

        `renew` is called where the service calls them expired, or does not know them, in a thread, before the reply that
        says so is returned. `see` is awaited where a connection failed: it raises where nobody will ever answer, and nothing
        goes on that was sent.
        `tail` asks for the last 4 KB of the function's log with every reply.
        """
        self._endpoint = endpoint.rstrip("/")
        self._region = region
        self._credentials = credentials
        self._renew = renew
        self._see = see
        self._renewing = asyncio.Lock()
        self._clock = clock
        self._late_s = 0.0
        self._bounds = Bounds()
        self._starts: dict[str, _Start] = {}
        self._headers = {**_HEADERS, "X-Amz-Log-Type": "Tail"} if tail else _HEADERS
        parts = urlsplit(self._endpoint)
        self._host, self._folder = parts.netloc.rpartition("@")[2], parts.path
        self._server = self._endpoint.removesuffix(self._folder) if self._folder else self._endpoint
        self._connections = Connections(self._server, most=connections, proxy=proxy, tls=tls)

    def __repr__(self) -> str:
        return f"HttpInvoker({self._endpoint!r})"

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Return the reply.

        Raises:
            TimeoutError: no answer came in `timeout_s`; whether the function ran is unknown.
            ConnectionRefusedError: the endpoint is unreachable; nothing was sent.
            ConnectionError: the connection was dropped; whether the function ran, or still runs, is unknown.
            GraphlambdaError: what `see` raises.
        """
        keys, late_s = self._credentials(), self._late_s
        try:
            with self._bounds.within(timeout_s):
                answer = await self._connections.exchange(self._request(function, payload, keys))
                reply = _reply(answer)
                if reply.status in _WHO_ASKS:
                    await self._see_to(reply, keys, late_s, answer.headers.get("date"))
                return reply
        except TimeoutError as error:
            raise TimeoutError(f"{function} did not answer within {timeout_s:g} s") from error
        except ConnectionError as error:
            if self._see is not None:
                await self._see()
            if isinstance(error, ConnectionRefusedError):
                raise
            raise ConnectionError(f"{self._endpoint}: {error}") from error

    async def _see_to(self, reply: Reply, keys: Credentials, late_s: float, date: str) -> None:
        """Have the next request do better where keys or clock are why this one was refused."""
        kind = refused(reply).kind
        if kind is Kind.CLOCK_WRONG and date and self._late_s == late_s:
            with suppress(ValueError):  # what is no date teaches nothing
                self._late_s = parsedate_to_datetime(date).timestamp() - self._clock.time()
        elif kind is Kind.EXPIRED or reply.error_code in UNKNOWN_KEYS:
            await self._renewed(keys)

    async def _renewed(self, keys: Credentials) -> None:
        """Have credentials renewed that have expired, once for all invocations that were signed with them."""
        async with self._renewing:
            if self._renew is not None and self._credentials() == keys:
                await asyncio.to_thread(self._renew)

    async def close(self) -> None:
        """Drop all connections; invocations in flight end with `ConnectionError`."""
        self._connections.close()

    def _request(self, function: str, payload: bytes, keys: Credentials) -> bytes:
        """Return a request as it is sent."""
        second = int(self._clock.time() + self._late_s)
        start = self._starts.get(function)
        if start is None or start.second != second or start.keys != keys:
            start = self._starts[function] = self._start(function, second, keys)
        authorization = start.signer.authorization(sha256(payload).hexdigest()).encode()
        changing = b"Authorization: %b\r\nContent-Length: %d\r\n\r\n" % (authorization, len(payload))
        return b"".join((start.head, changing, payload))

    def _start(self, function: str, second: int, keys: Credentials) -> _Start:
        path = f"{self._folder}/2015-03-31/functions/{quote(function, safe='')}/invocations"
        signer = Signer(
            "POST", self._server + path, self._headers, access_key=keys.access_key, secret_key=keys.secret_key,
            token=keys.token, region=self._region, service="lambda", now=second,
        )  # fmt: skip
        sent = {**signer.headers, **self._connections.headers}
        whole = head("POST", self._connections.prefix + path, self._host, sent)
        return _Start(second, keys, signer, whole.removesuffix(b"\r\n"))


def _reply(answer: Answer) -> Reply:
    headers, payload = answer.headers, answer.body
    failed = answer.status >= 400
    return Reply(
        status=answer.status,
        function_error=headers.get("x-amz-function-error", ""),
        error_code=headers.get("x-amzn-errortype", "").partition(":")[0] if failed else "",
        reason=_reason(payload) if failed else "",
        payload=payload,
        log_tail=b64decode(headers.get("x-amz-log-result", "")).decode(errors="replace"),
        retry_after_s=_seconds(headers.get("retry-after")) if failed else 0.0,
        request_id=headers.get("x-amzn-requestid"),
    )


def _reason(payload: bytes) -> str:
    try:
        body = json.loads(payload)
    except ValueError:
        return ""
    return str(body.get("Reason", "")) if isinstance(body, dict) else ""


def _seconds(text: str) -> float:
    """Return a `Retry-After` in seconds; the form with a date counts as none."""
    return float(text) if text.replace(".", "", 1).isdecimal() else 0.0
