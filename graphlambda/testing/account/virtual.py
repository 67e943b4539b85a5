"""The account in virtual time: for a scheduler, an invoker before another; for a deployer, a boto3 client's other end.

In: an `Account`; an event loop's time, or that of `Turns`. Out: replies and answers when they are due. Must not wait in
real time, nor open a connection.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ConnectionClosedError

from graphlambda.local.answers import Answer, ServiceError
from graphlambda.local.http import Head, Request
from graphlambda.testing.account.account import LaterError
from graphlambda.testing.account.conditions import Mishap
from graphlambda.testing.invokers import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphlambda.local.control import ControlPlane
    from graphlambda.scheduler.clock import Clock
    from graphlambda.scheduler.invoke import Invoker, Reply
    from graphlambda.testing.account.account import Account
    from graphlambda.testing.account.turns import Turns


class AccountInvoker:
    """An `Invoker` before another, which stands for environments that are always there."""

    def __init__(self, inner: Invoker, account: Account, clock: Clock) -> None:
        """`clock` is the loop's own time: `LoopClock` in a virtual loop."""
        self._inner = inner
        self._account = account
        self._clock = clock
        self._working: set[asyncio.Task[Reply]] = set()

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Return the reply, or what the account says in its place; an environment goes on without its client.

        Raises:
            TimeoutError: no answer came in `timeout_s`.
            ConnectionError: the connection was reset.
        """
        async with asyncio.timeout(timeout_s):
            mishap = self._account.befalls()
            await self._clock.sleep(self._account.dice.wait_s("network"))
            if mishap is Mishap.RESET_BEFORE:
                raise ConnectionResetError("the connection was reset before anything was sent")
            try:
                self._account.refuse(mishap)
                cold = self._account.begin(function, self._clock.monotonic()).cold
            except ServiceError as refused:
                return _reply(refused)
            told = await asyncio.shield(self._begun(function, payload, timeout_s, cold=cold))
        if mishap is Mishap.RESET_AFTER:
            raise ConnectionResetError("the connection was reset by the peer")
        return told

    async def close(self) -> None:
        """Close the invoker behind."""
        await self._inner.close()

    async def rest(self) -> None:
        """Return when no environment works any more."""
        await asyncio.gather(*self._working, return_exceptions=True)

    def _begun(self, function: str, payload: bytes, timeout_s: float, *, cold: bool) -> asyncio.Task[Reply]:
        work = self._work(function, payload, timeout_s, cold=cold)
        working = asyncio.get_running_loop().create_task(work)
        self._working.add(working)
        working.add_done_callback(self._working.discard)
        return working

    async def _work(self, function: str, payload: bytes, timeout_s: float, *, cold: bool) -> Reply:
        try:
            if cold:
                await self._clock.sleep(self._account.dice.wait_s("cold"))
            return await self._inner.invoke(function, payload, timeout_s=timeout_s)
        finally:
            self._account.end(function, self._clock.monotonic())


class AccountWire:
    """What a boto3 client's requests reach in place of a network: the account, and a control plane behind it.

    `client.meta.events.register("before-send.lambda", wire)` connects them.
    """

    def __init__(self, plane: ControlPlane, account: Account, turns: Turns) -> None:
        self._plane = plane
        self._account = account
        self._turns = turns

    def __call__(self, request: Any, **_: Any) -> AWSResponse:
        """Answer a request of botocore's.

        Raises:
            ConnectionClosedError: the connection was reset.
        """
        account, turns = self._account, self._turns
        mishap = account.befalls()
        turns.sleep(account.dice.wait_s("network"))
        if mishap is Mishap.RESET_BEFORE:
            raise ConnectionClosedError(endpoint_url=request.url)
        answer = _answered(account, self._plane.answer, _request(request), mishap, turns.clock)
        turns.sleep(account.dice.wait_s("look" if request.method == "GET" else "control"))
        if mishap is Mishap.RESET_AFTER:
            raise ConnectionClosedError(endpoint_url=request.url)
        headers = HTTPHeaders.from_dict({"content-type": "application/json", **dict(answer.headers)})
        return AWSResponse(request.url, answer.status, headers, _Body(answer.body))


def _answered(
    account: Account,
    plane: Callable[[Request], Answer],
    request: Request,
    mishap: Mishap,
    clock: Callable[[], float],
) -> Answer:
    """Return the answer of an account whose control plane answers on the spot."""
    try:
        account.refuse(mishap)
        passed = account.asked(request, clock())
        return account.told(passed, plane(passed.request), clock())
    except ServiceError as refused:
        return refused.answer()


def _reply(refused: ServiceError) -> Reply:
    retry_after_s = refused.retry_after_s if isinstance(refused, LaterError) else 0.0
    return refusal(refused.status, refused.code, refused.fields.get("Reason", ""), retry_after_s)


def _request(request: Any) -> Request:
    """Return a request of botocore's as our own servers read it."""
    parts = urlsplit(request.url)
    body = request.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    return Request(Head(request.method, parts.path, parts.query, {}, len(body)), body)


class _Body:
    """The body of an answer, as botocore reads it from urllib3."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self._content

    def read(self, *_: Any, **__: Any) -> bytes:
        content, self._content = self._content, b""
        return content
