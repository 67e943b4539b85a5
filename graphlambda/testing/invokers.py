"""What an implementer or a user of an `Invoker` needs in tests: its contract, one told what to say, one that runs.

In: an `Invoker` to check, operations to run, a script. Out: tests, and invokers for tests.

`InvokerTests` is inherited by a class that says how its invoker is made. `InProcessInvoker` answers as our
runtime does, without processes; `ScriptedInvoker` stands before another and breaks what its script says.
"""

# ruff: noqa: D102  (a test's name is its claim)

from __future__ import annotations

import asyncio
import json
from abc import ABC, abstractmethod
from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from graphlambda.runtime.answer import answer
from graphlambda.runtime.environment import Environment
from graphlambda.scheduler.invoke import Reply
from graphlambda.scheduler.outcomes import Answered, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphlambda.scheduler.invoke import Invoker

LATE_S = 0.2


def reply(payload: bytes = b"{}", **fields: Any) -> Reply:
    """Return a reply that says all went well, but for `fields`."""
    well = {
        "status": 200,
        "function_error": "",
        "error_code": "",
        "reason": "",
        "log_tail": "",
        "retry_after_s": 0.0,
    }
    return Reply(**{**well, **fields}, payload=payload)


def refusal(
    status: int, error_code: str, reason: str = "", retry_after_s: float = 0.0, message: str = "no"
) -> Reply:
    """Return how Lambda refuses an invocation."""
    body = json.dumps({"Message": message, "Reason": reason}).encode()
    return reply(body, status=status, error_code=error_code, reason=reason, retry_after_s=retry_after_s)


def function_error(error_type: str, message: str = "", **fields: Any) -> Reply:
    """Return how Lambda reports that a function failed, with HTTP status 200."""
    body = json.dumps({"errorType": error_type, "errorMessage": message}).encode()
    return reply(body, function_error="Unhandled", **fields)


@dataclass(slots=True)
class InProcessInvoker:
    """Runs operations in this process with our runtime's own code: one environment a function, kept warm."""

    operations: Mapping[str, Callable[..., Any]]
    """What each function calls, by function name."""

    requests: list[tuple[str, int]] = field(default_factory=list)
    """(function, bytes of the request) of every invocation, in order."""

    most_in_flight: int = 0
    closed: bool = False
    _in_flight: int = 0
    _environments: dict[str, Environment] = field(default_factory=dict)

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:  # noqa: ARG002
        """Answer a request; other coroutines go on before the reply is handed over."""
        self.requests.append((function, len(payload)))
        if function not in self.operations:
            return refusal(404, "ResourceNotFoundException")
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        try:
            await asyncio.sleep(0)
            request = json.loads(payload)
            body = answer(request, self._environment(function, request.get("operation", "")))
            return reply(json.dumps(body).encode())
        finally:
            self._in_flight -= 1

    async def close(self) -> None:
        """There is no connection to drop."""
        self.closed = True

    def restart(self) -> None:
        """End all environments: the next invocations are cold starts."""
        self._environments.clear()

    def _environment(self, function: str, operation: str) -> Environment:
        if function not in self._environments:
            environment = Environment(function, operation, lambda: self.operations[function])
            self._environments[function] = environment
        return self._environments[function]


Fault: TypeAlias = "Reply | BaseException | Callable[[Reply], Reply] | None"
"""Instead of invoking: a reply, or an exception. After it: a change of the reply. None: nothing is wrong."""


@dataclass(slots=True)
class ScriptedInvoker:
    """Does what its script says at each invocation, in order; what comes after the script goes well."""

    inner: Invoker
    script: Iterable[Fault]

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        """Invoke, or do what the script says."""
        self.script = iter(self.script)
        fault = next(self.script, None)
        if isinstance(fault, BaseException):
            await asyncio.sleep(0)
            raise fault
        if isinstance(fault, Reply):
            await asyncio.sleep(0)
            return fault
        told = await self.inner.invoke(function, payload, timeout_s=timeout_s)
        return fault(told) if fault else told

    async def close(self) -> None:
        """Close the invoker behind."""
        await self.inner.close()


def lost(_told: Reply) -> Reply:
    """Lose an environment after its work was done: the reply never comes, values may lie in the store."""
    return function_error("Runtime.ExitError", "RequestId: 1 Error: Runtime exited with error: exit status 1")


def halved(told: Reply) -> Reply:
    """Leave out the later half of a reply's outcomes, as where an environment ended under its batch."""
    body = json.loads(told.payload)
    return _with_rows(body, range(len(body["tasks"]) // 2))


def ended(told: Reply) -> Reply:
    """Leave out the later half of a reply's outcomes, as where a function took the run's client for lost."""
    body = json.loads(told.payload)
    return _with_rows({**body, "ended": "its client is lost"}, range(len(body["tasks"]) // 2))


def doubled(told: Reply) -> Reply:
    """Tell every outcome twice, as at-least-once delivery may."""
    body = json.loads(told.payload)
    return _with_rows(body, [row for row in range(len(body["tasks"])) for _ in range(2)])


def _with_rows(body: dict[str, Any], rows: Iterable[int]) -> Reply:
    """Return a reply that tells of these rows of another one."""
    told = outcome_of(reply(json.dumps(body).encode()))
    assert isinstance(told, Answered)
    for name in ("tasks", "started_s", "seconds", "bytes"):
        body[name] = [body[name][row] for row in rows]
    body["inline"] = b64encode(b"".join(told.frames[row] or b"" for row in rows)).decode()
    return reply(json.dumps(body).encode())


class InvokerTests(ABC):
    """The contract of an `Invoker`. Inherit, and say how one is made and what its functions are called."""

    echo: str
    """A function that answers with the request's own bytes."""

    missing: str
    """A name that no function has."""

    failing: str
    """A function that raises."""

    slow: str
    """A function that takes longer than `LATE_S`."""

    @abstractmethod
    def make(self) -> Invoker:
        """Return a new invoker; the test closes it. Called inside a running loop."""

    def ask(self, function: str, payload: bytes = b"{}", timeout_s: float = 10.0) -> Reply:
        """Return what one invocation of a new invoker brings."""

        async def once() -> Reply:
            invoker = self.make()
            try:
                return await invoker.invoke(function, payload, timeout_s=timeout_s)
            finally:
                await invoker.close()

        return asyncio.run(once())

    def test_a_reply_is_what_the_function_returned(self) -> None:
        told = self.ask(self.echo, b'{"a": [1, 2]}')
        assert (told.status, told.function_error, json.loads(told.payload)) == (200, "", {"a": [1, 2]})

    def test_a_missing_function_is_a_reply_that_names_the_error(self) -> None:
        told = self.ask(self.missing)
        assert (told.status, told.error_code) == (404, "ResourceNotFoundException")

    def test_a_function_that_raises_is_a_reply_that_says_so(self) -> None:
        told = self.ask(self.failing)
        assert (told.status, told.function_error) == (200, "Unhandled")

    def test_no_answer_in_time_is_a_timeout(self) -> None:
        with pytest.raises(TimeoutError):
            self.ask(self.slow, timeout_s=LATE_S / 4)

    def test_many_invocations_at_once_each_get_their_own_reply(self) -> None:
        async def many() -> list[bytes]:
            invoker = self.make()
            try:
                asked = [invoker.invoke(self.echo, b"%d" % i, timeout_s=10) for i in range(50)]
                return [told.payload for told in await asyncio.gather(*asked)]
            finally:
                await invoker.close()

        assert [json.loads(told) for told in asyncio.run(many())] == list(range(50))

    def test_closing_twice_is_the_same_as_once(self) -> None:
        async def twice() -> None:
            invoker = self.make()
            await invoker.close()
            await invoker.close()

        asyncio.run(twice())
