"""Who may talk to the local Lambda and to its environments' ports."""

from __future__ import annotations

import http.client
import re
import socket
import stat
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from graphlambda.runtime.sigv4 import sign

if TYPE_CHECKING:
    from graphlambda.local import LocalSettings
    from tests.local.conftest import Account

PATH = "/2016-08-19/account-settings"


def ask(account: Account, extra: dict[str, str] | None = None, **members: Any) -> tuple[int, str]:
    """Send a request signed as told; return the answer's status and error name."""
    credentials = account.service.credentials
    given = {
        "access_key": credentials.access_key,
        "secret_key": credentials.secret_key,
        "token": None,
        "region": "us-east-1",
        "service": "lambda",
        "now": time.time(),
        **members,
    }
    headers = sign("GET", account.service.endpoint + PATH, {}, b"", **given)
    return send(account, {**headers, **(extra or {})})


def send(account: Account, headers: dict[str, str], path: str = PATH) -> tuple[int, str]:
    """Send a GET with these headers; return the answer's status and error name."""
    connection = http.client.HTTPConnection(urlsplit(account.service.endpoint).netloc, timeout=5)
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    connection.close()
    return answer.status, answer.getheader("x-amzn-ErrorType", "")


def test_requests_that_come_together_are_answered_in_order(account: Account) -> None:
    endpoint, credentials = account.service.endpoint, account.service.credentials
    text = b""
    for path in (PATH, "/2015-03-31/functions/nothing-of-this-name"):
        headers = sign(
            "GET",
            endpoint + path,
            {},
            b"",
            access_key=credentials.access_key,
            secret_key=credentials.secret_key,
            token=None,
            region="us-east-1",
            service="lambda",
            now=time.time(),
        )
        host = {"Host": urlsplit(endpoint).netloc}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in (host | headers).items())]
        text += "\r\n".join([*lines, "", ""]).encode()
    address = urlsplit(endpoint)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), 5) as connection:
        connection.sendall(text + b"nonsense\r\n\r\n")
        with connection.makefile("rb") as stream:
            heard = stream.read()
    assert re.findall(rb"HTTP/1.1 (\d+)", heard) == [b"200", b"404", b"400"]


def test_our_own_signature_is_taken_for_any_region(account: Account) -> None:
    assert ask(account) == (200, "")
    assert ask(account, region="eu-west-1") == (200, "")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"secret_key": "wrong"}, "InvalidSignatureException"),
        ({"access_key": "AKIAIOSFODNN7EXAMPLE"}, "UnrecognizedClientException"),
        ({"service": "s3"}, "SignatureDoesNotMatch"),
        ({"now": time.time() - 3600}, "InvalidSignatureException"),
        ({"now": time.time() + 3600}, "InvalidSignatureException"),
    ],
)
def test_a_wrong_signature_is_refused(account: Account, members: dict[str, Any], code: str) -> None:
    assert ask(account, **members) == (403, code)


def test_a_request_without_signature_is_refused(account: Account) -> None:
    assert send(account, {}) == (403, "MissingAuthenticationTokenException")
    assert send(account, {}, "/_graphlambda/describe") == (403, "MissingAuthenticationTokenException")
    assert send(account, {"Authorization": "Bearer x"}) == (403, "IncompleteSignatureException")


def test_a_signature_does_not_fit_another_path(account: Account) -> None:
    credentials = account.service.credentials
    headers = sign(
        "GET", account.service.endpoint + PATH, {}, b"",
        access_key=credentials.access_key, secret_key=credentials.secret_key,
        token=None, region="us-east-1", service="lambda", now=time.time(),
    )  # fmt: skip
    assert send(account, headers, "/2015-03-31/functions") == (403, "InvalidSignatureException")


@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:80", "127.0.0.1", "localhost:1"])
def test_a_foreign_host_is_refused(account: Account, host: str) -> None:
    assert ask(account, {"Host": host}) == (403, "AccessDeniedException")


@pytest.mark.parametrize("origin", ["null", "http://localhost", "https://attacker.example"])
def test_every_origin_is_refused(account: Account, origin: str) -> None:
    assert ask(account, {"Origin": origin}) == (403, "AccessDeniedException")


def test_the_secret_is_the_owners_alone_and_shown_by_no_repr(
    account: Account, settings: LocalSettings
) -> None:
    secret = settings.state / "secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.state.stat().st_mode) == 0o700
    assert secret.read_text() == account.service.credentials.secret_key
    assert secret.read_text() not in repr(account.service.credentials)


def test_the_runtime_api_serves_nobody_but_its_own_process(account: Account) -> None:
    name = account.make("import os\ndef handle(event, context): return os.environ['AWS_LAMBDA_RUNTIME_API']")
    address = account.value(name)
    connection = http.client.HTTPConnection(address, timeout=5)
    connection.connect()
    assert connection.sock.recv(1) == b""
    connection.close()
    assert account.value(name) == address


def test_a_function_does_not_reach_the_runtime_api_of_another(account: Account) -> None:
    source = (
        "import os, http.client\n"
        "def handle(event, context):\n"
        "    if event is None: return os.environ['AWS_LAMBDA_RUNTIME_API']\n"
        "    connection = http.client.HTTPConnection(event, timeout=2)\n"
        "    try:\n"
        "        connection.request('GET', '/2018-06-01/runtime/invocation/next')\n"
        "        return connection.getresponse().status\n"
        "    except Exception as error:\n"
        "        return type(error).__name__\n"
    )
    victim, attacker = account.make(source), account.make(source)
    address = account.value(victim)
    assert account.value(attacker, address) in {
        "ConnectionResetError",
        "RemoteDisconnected",
        "BrokenPipeError",
    }
    assert account.value(victim) == address
