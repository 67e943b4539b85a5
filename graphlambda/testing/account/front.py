"""The account in real time: an endpoint for `AWS_ENDPOINT_URL_LAMBDA`, before a local Lambda that it passes requests on to.

In: Lambda's own REST calls, signed with the account's credentials. Out: Lambda's own answers, when the account lets them
be. Must not be reached from another machine, nor answer whoever has not signed.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from base64 import b64decode
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from graphlambda.local import gate
from graphlambda.local.answers import Answer, ServiceError
from graphlambda.local.control import LIBC
from graphlambda.local.http import Connection, Reply, Request
from graphlambda.local.names import REGION, function_name
from graphlambda.runtime.sigv4 import sign
from graphlambda.scheduler.connections import Connections, head
from graphlambda.testing.account.conditions import Mishap

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from graphlambda.local import Credentials, LocalLambda
    from graphlambda.scheduler.answers import Answer as Received
    from graphlambda.testing.account.account import Account

START_S = 10.0
"""How long the endpoint may take to open, and to close."""

ANSWER_S = 960.0
"""How long the local Lambda may take: as long as a function may, and a little."""

CONNECTIONS = 1_024

_INVOKE = ("/2015-03-31/functions/", "/invocations")
_SENT = ("content-type", "x-amz-invocation-type", "x-amz-log-type", "x-amz-client-context")
_LOG = "x-amz-log-result"
_ANSWERED = (
    "x-amz-executed-version", "x-amz-function-error", _LOG, "x-amzn-errortype", "x-amzn-requestid", LIBC,
)  # fmt: skip
_RESET = Answer(0)
"""In place of an answer: the connection is reset."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What Lambda does with other services by itself."""

    fetch: Callable[[str, str, str], None]
    """Has an object of S3 ready where the local Lambda looks for it: bucket, key, version (or nothing)."""

    log: Callable[[str, str, str], None]
    """Takes what an invocation wrote: group, stream, text."""


@contextmanager
def front(account: Account, local: LocalLambda, credentials: Credentials, beside: Beside) -> Iterator[str]:
    """Serve while the context lasts; yield the endpoint's URL.

    Raises:
        TimeoutError: it did not open.
    """
    running = _Running(_Front(account, local, credentials, beside))
    thread = threading.Thread(target=asyncio.run, args=(running.serve(),), name="account", daemon=True)
    thread.start()
    try:
        if not running.opened.wait(START_S):
            raise TimeoutError(f"the account's endpoint did not open within {START_S:g} s")
        yield running.url
    finally:
        running.stop()
        thread.join(START_S)


@dataclass(slots=True)
class _Running:
    """An endpoint and the loop that serves it, in a thread of its own."""

    front: _Front
    url: str = ""
    opened: threading.Event = field(default_factory=threading.Event)
    _loop: asyncio.AbstractEventLoop | None = None
    _stopped: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.url = await self.front.open()
        self.opened.set()
        await self._stopped.wait()
        await self.front.close()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stopped.set)


class _Resettable(Connection):
    """A connection that may be reset, in place of an answer or at the end."""

    def __init__(self, front: _Front, everyone: set[_Resettable]) -> None:
        super().__init__(front)
        self._everyone = everyone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._everyone.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._everyone.discard(self)
        super().connection_lost(exc)

    def answer(self, answer: Answer) -> None:
        if answer is _RESET:
            self.reset()
        else:
            super().answer(answer)

    def reset(self) -> None:
        self._transport.abort()


class _Front(gate.Guarded):
    """What serves the requests of the port."""

    def __init__(
        self,
        account: Account,
        local: LocalLambda,
        credentials: Credentials,
        beside: Beside,
    ) -> None:
        self._account = account
        self._local = local
        self._credentials = credentials
        self._beside = beside
        self._connections: set[_Resettable] = set()
        self._working: set[asyncio.Task[None]] = set()
        self._logging: set[asyncio.Task[None]] = set()

    async def open(self) -> str:
        """Listen on loopback, and return the URL."""
        loop = asyncio.get_running_loop()
        self._clock = loop.time
        self._behind = Connections(self._local.endpoint, most=CONNECTIONS)
        self._places = asyncio.Semaphore(self._local.describe().concurrency)
        self._server = await loop.create_server(
            lambda: _Resettable(self, self._connections), "127.0.0.1", 0, backlog=CONNECTIONS
        )
        port = self._server.sockets[0].getsockname()[1]
        self._gate = gate.Gate(self._credentials, port)
        return f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """Answer nothing more."""
        self._server.close()
        self._behind.close()
        going = [*self._working, *self._logging]
        for each in going:
            each.cancel()
        await asyncio.gather(*going, return_exceptions=True)
        for connection in tuple(self._connections):
            connection.reset()

    # --- the App of the port ------------------------------------------------------------------------------

    def serve(self, request: Request, reply: Reply) -> None:
        """Answer a request, some time."""
        self._gate.check(request)
        _kept(self._working, self._serve(request, reply))

    def lost(self, reply: Reply) -> None:
        """Let the function go on, as Lambda does."""
        del reply

    # --- inside -------------------------------------------------------------------------------------------

    async def _serve(self, request: Request, reply: Reply) -> None:
        mishap = self._account.befalls()
        await asyncio.sleep(self._account.dice.wait_s("network"))
        if mishap is Mishap.RESET_BEFORE:
            reply(_RESET)
            return
        try:
            self._account.refuse(mishap)
            answer = await self._answered(request)
        except ServiceError as refused:
            answer = refused.answer()
        except (OSError, TimeoutError) as error:
            answer = ServiceError(500, "ServiceException", f"The local Lambda is not there: {error}").answer()
        reply(_RESET if mishap is Mishap.RESET_AFTER else answer)

    async def _answered(self, request: Request) -> Answer:
        path = request.head.path
        if path.startswith(_INVOKE[0]) and path.endswith(_INVOKE[1]) and request.head.method == "POST":
            name = function_name(unquote(path[len(_INVOKE[0]) : -len(_INVOKE[1])]))
            return await self._invoked(name, request)
        return await self._controlled(request)

    async def _invoked(self, name: str, request: Request) -> Answer:
        if request.head.headers.get("x-amz-invocation-type", "RequestResponse") != "RequestResponse":
            return await self._passed_on(request)
        begun = self._account.begin(name, self._clock())
        try:
            if begun.cold:
                await asyncio.sleep(self._account.dice.wait_s("cold"))
            async with self._places:  # what is beyond the machine, and within the account, takes longer
                answer = await self._passed_on(_tailed(request))
        finally:
            self._account.end(name, self._clock())
        log = b64decode(dict(answer.headers).get(_LOG, "")).decode(errors="replace")
        _kept(self._logging, self._logged(name, log, begun.log_late_s))
        if request.head.headers.get("x-amz-log-type") == "Tail":
            return answer
        return replace(answer, headers=tuple(header for header in answer.headers if header[0] != _LOG))

    async def _logged(self, name: str, text: str, late_s: float) -> None:
        """Bring what an invocation wrote to its function's log."""
        await asyncio.sleep(late_s)
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        await asyncio.to_thread(self._beside.log, self._account.log_group(name), stream, text)

    async def _controlled(self, request: Request) -> Answer:
        account = self._account
        passed = account.asked(request, self._clock())
        code = passed.call.body.get("Code") or passed.call.body.get("Content") or {}
        if code.get("S3Bucket"):
            where = (str(code.get(member, "")) for member in ("S3Bucket", "S3Key", "S3ObjectVersion"))
            await asyncio.to_thread(self._beside.fetch, *where)
        answer = await self._passed_on(passed.request)
        await asyncio.sleep(account.dice.wait_s("look" if request.head.method == "GET" else "control"))
        return account.told(passed, answer, self._clock())

    async def _passed_on(self, request: Request) -> Answer:
        """Return the local Lambda's own answer.

        Raises:
            ConnectionError: it has died.
            TimeoutError: it does not answer.
        """
        async with asyncio.timeout(ANSWER_S):
            received = await self._behind.exchange(self._signed(request))
        return _answer(received)

    def _signed(self, request: Request) -> bytes:
        keys, url = self._local.credentials, self._local.endpoint
        target = request.head.path + (f"?{request.head.query}" if request.head.query else "")
        told = {name: request.head.headers[name] for name in _SENT if name in request.head.headers}
        signed = sign(
            request.head.method, url + target, told, request.body, access_key=keys.access_key,
            secret_key=keys.secret_key, token=None, region=REGION, service="lambda", now=time.time(),
        )  # fmt: skip
        sent = {**signed, "Content-Length": str(len(request.body))}
        return head(request.head.method, target, urlsplit(url).netloc, sent) + request.body


def _kept(tasks: set[asyncio.Task[None]], work: Coroutine[Any, Any, None]) -> None:
    """Begin some work, and hold it while it lasts."""
    task = asyncio.get_running_loop().create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


def _tailed(request: Request) -> Request:
    """Return an invocation that asks for the end of its log."""
    headers = {**request.head.headers, "x-amz-log-type": "Tail"}
    return Request(replace(request.head, headers=headers), request.body)


def _answer(received: Received) -> Answer:
    told = ((name, received.headers.get(name)) for name in _ANSWERED)
    return Answer(received.status, received.body, tuple((name, value) for name, value in told if value))
