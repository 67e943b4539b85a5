"""The HTTP invoker against a real server on loopback, and its signatures against botocore's."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import Credentials, HttpInvoker
from graphlambda.scheduler.invoke import Reply
from graphlambda.testing.clock import FakeClock
from graphlambda.testing.invokers import LATE_S, InvokerTests

if TYPE_CHECKING:
    from collections.abc import Iterator


class Lambda(BaseHTTPRequestHandler):
    """Answers as Lambda does, to a few functions."""

    protocol_version = "HTTP/1.1"
    seen: ClassVar[list[tuple[str, dict[str, str], bytes]]] = []
    connections: ClassVar[set[Any]] = set()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        Lambda.seen.append((self.path, dict(self.headers), body))
        Lambda.connections.add(self.client_address)
        function = self.path.split("/")[-2]
        if function == "slow":
            threading.Event().wait(LATE_S)
        if function == "cut":
            self.close_connection = True
            self.connection.close()
            return
        self.answer(*ANSWERS.get(function, ABSENT), body)

    def answer(self, status: int, headers: dict[str, str], content: bytes | None, body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body if content is None else content)))
        self.end_headers()
        self.wfile.write(body if content is None else content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


ABSENT = (404, {"x-amzn-ErrorType": "ResourceNotFoundException:http://internal"}, b'{"Message": "none"}')
ANSWERS: dict[str, tuple[int, dict[str, str], bytes | None]] = {
    "echo": (200, {"X-Amz-Log-Result": "UkVQT1JU"}, None),
    "slow": (200, {}, None),
    "failing": (200, {"X-Amz-Function-Error": "Unhandled"}, b'{"errorType": "ValueError"}'),
    "expired": (403, {"x-amzn-ErrorType": "ExpiredTokenException"}, b'{"Message": "expired"}'),
    "skewed": (
        403,
        {"x-amzn-ErrorType": "InvalidSignatureException"},
        b'{"message": "Signature expired: 20261127T000000Z is now earlier than 20261127T001000Z"}',
    ),
    "busy": (
        429,
        {"x-amzn-ErrorType": "TooManyRequestsException", "Retry-After": "3"},
        b'{"Reason": "CallerRateLimitExceeded", "Type": "User"}',
    ),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Lambda) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def invoker_of(endpoint: str, **given: Any) -> HttpInvoker:
    keys = Credentials("AKID", "secret", given.pop("token", None))
    clock = given.pop("clock", SystemClock())
    return HttpInvoker(
        endpoint, region="eu-central-1", credentials=lambda: keys, connections=20, clock=clock, **given
    )


class TestHttpInvoker(InvokerTests):
    echo, missing, failing, slow = "echo", "absent", "failing", "slow"
    endpoint: str

    @pytest.fixture(autouse=True)
    def _at(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def make(self) -> HttpInvoker:
        return invoker_of(self.endpoint)

    def test_a_throttle_is_told_with_its_reason_and_how_long_to_wait(self) -> None:
        assert self.ask("busy") == Reply(
            status=429,
            function_error="",
            error_code="TooManyRequestsException",
            reason="CallerRateLimitExceeded",
            payload=b'{"Reason": "CallerRateLimitExceeded", "Type": "User"}',
            log_tail="",
            retry_after_s=3.0,
        )

    def test_the_log_comes_decoded_and_an_errors_name_without_its_address(self) -> None:
        assert self.ask("echo").log_tail == "REPORT"
        assert self.ask("absent").error_code == "ResourceNotFoundException"

    def test_a_dropped_connection_is_a_connection_error_and_nothing_is_sent_again(self) -> None:
        before = len(Lambda.seen)
        with pytest.raises(ConnectionError) as raised:
            self.ask("cut")
        assert not isinstance(raised.value, ConnectionRefusedError)
        assert len(Lambda.seen) == before + 1

    def test_an_endpoint_that_nobody_serves_refuses_and_nothing_was_sent(self) -> None:
        self.endpoint = "http://127.0.0.1:9"
        with pytest.raises(ConnectionRefusedError):
            self.ask("echo")

    def test_connections_are_kept(self) -> None:
        async def in_turn() -> None:
            invoker = self.make()
            for _ in range(10):
                await invoker.invoke("echo", b"1", timeout_s=10)
            await invoker.close()

        Lambda.connections.clear()
        asyncio.run(in_turn())
        assert len(Lambda.connections) == 1

    @pytest.mark.parametrize("token", [None, "session"])
    def test_a_request_is_signed_as_botocore_signs_it(self, token: str | None) -> None:
        async def once() -> None:
            invoker = invoker_of(self.endpoint, token=token, tail=True)
            await invoker.invoke("echo", b'{"x": 1}', timeout_s=10)
            await invoker.close()

        asyncio.run(once())
        path, headers, body = Lambda.seen[-1]
        told = headers["Authorization"]
        names = told.partition("SignedHeaders=")[2].partition(",")[0].split(";")
        signed = {
            name: value for name, value in headers.items() if name.lower() in names and name != "X-Amz-Date"
        }
        request = AWSRequest("POST", self.endpoint + path, headers=signed, data=body)
        signer = SigV4Auth(BotocoreCredentials("AKID", "secret", token), "lambda", "eu-central-1")
        request.context["timestamp"] = headers["X-Amz-Date"]
        request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
        canonical = signer.canonical_request(request)
        assert told.endswith(
            f"Signature={signer.signature(signer.string_to_sign(request, canonical), request)}"
        )
        assert headers["X-Amz-Invocation-Type"] == "RequestResponse"
        assert headers["X-Amz-Log-Type"] == "Tail"
        assert json.loads(body) == {"x": 1}


def test_expired_credentials_are_renewed_once_and_sign_what_comes_next(endpoint: str) -> None:
    keys, renewals = [Credentials("AKOLD", "secret")], list[int]()

    def renew() -> None:
        renewals.append(1)
        keys[0] = Credentials("AKNEW", "secret")

    async def some() -> list[str]:
        invoker = HttpInvoker(
            endpoint,
            region="eu-central-1",
            credentials=lambda: keys[0],
            renew=renew,
            connections=20,
            clock=SystemClock(),
        )
        told = await asyncio.gather(*[invoker.invoke("expired", b"{}", timeout_s=10) for _ in range(5)])
        await invoker.invoke("echo", b"{}", timeout_s=10)
        await invoker.close()
        return [reply.error_code for reply in told]

    assert asyncio.run(some()) == ["ExpiredTokenException"] * 5
    assert renewals == [1]
    assert "Credential=AKNEW/" in Lambda.seen[-1][1]["Authorization"]


@pytest.mark.parametrize("late_s", [-3600.0, 900.0])
def test_a_wrong_clock_is_learnt_from_the_services_own_once(endpoint: str, late_s: float) -> None:
    """The service's date is this machine's here: a clock that differs from it stands for a wrong one."""
    wrong = FakeClock(now_s=SystemClock().time() + late_s)

    async def some() -> list[str]:
        invoker = invoker_of(endpoint, clock=wrong)
        told = await asyncio.gather(*[invoker.invoke("skewed", b"{}", timeout_s=10) for _ in range(3)])
        await invoker.invoke("echo", b"{}", timeout_s=10)
        await invoker.close()
        return [reply.error_code for reply in told]

    assert asyncio.run(some()) == ["InvalidSignatureException"] * 3
    dated = datetime.strptime(Lambda.seen[-1][1]["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(dated.timestamp() - SystemClock().time()) < 30


def test_an_endpoint_may_lie_in_a_folder_of_a_server(endpoint: str) -> None:
    async def once() -> None:
        invoker = invoker_of(f"{endpoint}/lambda/")
        await invoker.invoke("echo", b"{}", timeout_s=10)
        await invoker.close()

    asyncio.run(once())
    assert Lambda.seen[-1][0] == "/lambda/2015-03-31/functions/echo/invocations"


def test_a_proxy_is_asked_for_the_endpoint(endpoint: str) -> None:
    async def once() -> None:
        invoker = invoker_of("http://functions.invalid", proxy=endpoint)
        await invoker.invoke("echo", b"{}", timeout_s=10)
        await invoker.close()

    asyncio.run(once())
    assert Lambda.seen[-1][0] == "http://functions.invalid/2015-03-31/functions/echo/invocations"


def test_secrets_are_not_shown() -> None:
    invoker = invoker_of("http://127.0.0.1:9/", clock=FakeClock())
    assert repr(invoker) == "HttpInvoker('http://127.0.0.1:9')"
    assert repr(Credentials("AKID", "secret", "token")) == "Credentials('AKID')"
