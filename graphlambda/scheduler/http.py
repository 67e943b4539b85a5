"""Invokes functions over HTTP, at AWS or at the local Lambda.

In: a function's name and a payload. Out: its reply. One request an invocation, no retries of its own (a
retry may run a task twice: that is the loop's decision), thousands in flight over kept connections.

Sources: AWS, "Invoke" (API reference) for headers; "Lambda quotas" for how long an answer may take.
"""

from __future__ import annotations

import asyncio
import json
import socket
from base64 import b64decode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from graphlambda.runtime.sigv4 import sign
from graphlambda.scheduler.invoke import Reply
from graphlambda.scheduler.outcomes import EXPIRED

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from graphlambda.scheduler.clock import Clock

IDLE_BEFORE_PROBE_S = 60
"""NAT gateways and load balancers drop connections that are silent for 350 s; a function may take 900."""

CONNECT_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 60.0

_HEADERS = {"Content-Type": "application/json", "X-Amz-Invocation-Type": "RequestResponse"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with."""

    access_key: str
    secret_key: str
    token: str | None = None

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r})"


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
        tail: bool = False,
        proxy: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`endpoint` is a URL without a path; `credentials` is asked at each invocation, so they may change.

        `renew` is called where the service calls them expired, in a thread, before the reply that says so is returned.
        `tail` asks for the last 4 KB of the function's log with every reply.
        """
        self._endpoint = endpoint.rstrip("/")
        self._region = region
        self._credentials = credentials
        self._renew = renew
        self._renewing = asyncio.Lock()
        self._connections = connections
        self._clock = clock
        self._headers = {**_HEADERS, "X-Amz-Log-Type": "Tail"} if tail else _HEADERS
        self._proxy = proxy
        self._tls: ssl.SSLContext | bool = True if tls is None else tls
        self._session: aiohttp.ClientSession | None = None
        self._urls: dict[str, URL] = {}

    def __repr__(self) -> str:
        return f"HttpInvoker({self._endpoint!r})"

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Return the reply.

        Raises:
            TimeoutError: no answer came in `timeout_s`; whether the function ran is unknown.
            ConnectionRefusedError: the endpoint is unreachable; nothing was sent.
            ConnectionError: the connection was dropped; whether the function ran, or still runs, is unknown.
        """
        session = self._opened()
        url, keys = self._urls.get(function) or self._url(function), self._credentials()
        try:
            async with asyncio.timeout(timeout_s):
                signed = self._signed(str(url), payload, keys)
                async with session.post(url, data=payload, headers=signed, proxy=self._proxy) as answer:
                    reply = _reply(answer, await answer.read())
                if reply.error_code in EXPIRED:
                    await self._renewed(keys)
                return reply
        except TimeoutError as error:
            raise TimeoutError(f"{function} did not answer within {timeout_s:g} s") from error
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise ConnectionRefusedError(f"{self._endpoint}: {error or type(error).__name__}") from error
        except aiohttp.ClientError as error:
            raise ConnectionError(f"{self._endpoint}: {error or type(error).__name__}") from error

    async def _renewed(self, keys: Credentials) -> None:
        """Have credentials renewed that have expired, once for all invocations that were signed with them."""
        async with self._renewing:
            if self._renew is not None and self._credentials() == keys:
                await asyncio.to_thread(self._renew)

    async def close(self) -> None:
        """Drop all connections; invocations in flight end with `ConnectionError`."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=self._connections, ssl=self._tls, keepalive_timeout=KEEP_ALIVE_S, socket_factory=_socket
            )
            # Each invocation has a bound of its own; proxies and credentials come as arguments only.
            timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S)
            self._session = aiohttp.ClientSession(
                connector=connector, timeout=timeout, trust_env=False, auto_decompress=False,
                skip_auto_headers=("User-Agent", "Accept-Encoding"), cookie_jar=aiohttp.DummyCookieJar(),
            )  # fmt: skip
        return self._session

    def _url(self, function: str) -> URL:
        """Return a function's URL, made once: to parse it costs as much as to sign a request."""
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        self._urls[function] = url = URL(self._endpoint + path, encoded=True)
        return url

    def _signed(self, url: str, payload: bytes, keys: Credentials) -> dict[str, str]:
        return sign(
            "POST", url, self._headers, payload, access_key=keys.access_key, secret_key=keys.secret_key,
            token=keys.token, region=self._region, service="lambda", now=self._clock.time(),
        )  # fmt: skip


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """Return a socket that probes an idle connection, so that a dead one is found out."""
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_BEFORE_PROBE_S)
    return made


def _reply(answer: aiohttp.ClientResponse, payload: bytes) -> Reply:
    headers = answer.headers
    failed = answer.status >= 400
    return Reply(
        status=answer.status,
        function_error=headers.get("X-Amz-Function-Error", ""),
        error_code=headers.get("x-amzn-ErrorType", "").partition(":")[0] if failed else "",
        reason=_reason(payload) if failed else "",
        payload=payload,
        log_tail=b64decode(headers.get("X-Amz-Log-Result", "")).decode(errors="replace"),
        retry_after_s=_seconds(headers.get("Retry-After", "0")),
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
