"""Secrets are read at initialisation by the function's own role, signed; where that fails no task runs, and no value is said."""

from __future__ import annotations

import json
import os
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import snapshot_restore_py  # type: ignore[import-untyped]
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import ThreadedMotoServer

from graphlambda.runtime.faults import SecretError
from graphlambda.runtime.secret_values import PATIENCE_S, WAITS_S, read_secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]

REGION = "eu-west-1"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:db-AbCdEf"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/team/key"
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": "t0ken"}
SEEN = "import os\nAT_IMPORT = os.environ['DB']\n\ndef operation(p0):\n    return AT_IMPORT, os.environ.get(p0)\n"


class Service:
    """Secrets Manager and SSM as a function meets them: what was asked, and what is answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], Any]] = []
        self.answers: list[tuple[int, Any]] = []
        self.url = ""


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as found:
        yield found


@contextmanager
def serving() -> Iterator[Service]:
    told = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.asked.append((dict(self.headers), json.loads(body)))
            status, answer = told.answers.pop(0)
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def variables(url: str, secrets: dict[str, str]) -> dict[str, str]:
    return {**KEYS, "AWS_ENDPOINT_URL": url, "GRAPHLAMBDA_SECRETS": json.dumps(secrets)}


def test_a_function_has_its_secrets_before_its_operation_is_imported(
    function: Start, requests: Requests, service: Service
) -> None:
    service.answers += [(200, {"SecretString": "one"}), (200, {"Parameter": {"Value": "two"}})]
    started = function(SEEN, variables=variables(service.url, {"DB": SECRET, "KEY": PARAMETER}))
    assert requests.values(started(requests.request([("l", "KEY")]))) == [("one", "two")]
    assert [(headers["X-Amz-Target"], body) for headers, body in service.asked] == [
        ("secretsmanager.GetSecretValue", {"SecretId": SECRET}),
        ("AmazonSSM.GetParameter", {"Name": PARAMETER, "WithDecryption": True}),
    ]


def test_it_asks_as_its_role_and_signs_as_botocore_does(
    function: Start, requests: Requests, service: Service
) -> None:
    service.answers.append((200, {"SecretString": "one"}))
    function(SEEN, variables=variables(service.url, {"DB": SECRET}))(requests.request([("l", "DB")]))
    ((headers, body),) = service.asked
    request = AWSRequest("POST", f"{service.url}/", data=json.dumps(body).encode())
    for name in ("Content-Type", "X-Amz-Target"):
        request.headers[name] = headers[name]
    request.context["timestamp"] = headers["X-Amz-Date"]
    request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
    signer = SigV4Auth(Credentials("AKID", "s3cr3t", "t0ken"), "secretsmanager", REGION)
    request.headers["X-Amz-Security-Token"] = "t0ken"
    canonical = signer.canonical_request(request)
    signature = signer.signature(signer.string_to_sign(request, canonical), request)
    assert headers["Authorization"].endswith(f"Signature={signature}")


def test_what_is_set_already_is_not_asked_for(function: Start, requests: Requests, service: Service) -> None:
    given = {**variables(service.url, {"DB": SECRET}), "DB": "the client's"}
    assert requests.values(function(SEEN, variables=given)(requests.request([("l", "DB")]))) == [
        ("the client's", "the client's")
    ]
    assert service.asked == []


def test_a_service_that_fails_or_throttles_is_asked_again(
    function: Start, requests: Requests, service: Service
) -> None:
    service.answers += [(503, {}), (400, {"__type": "ThrottlingException"}), (200, {"SecretString": "one"})]
    started = function(SEEN, variables=variables(service.url, {"DB": SECRET}))
    assert requests.values(started(requests.request([("l", "DB")]))) == [("one", "one")]


def test_a_secret_that_cannot_be_read_is_a_named_error_and_the_next_request_tries_again(
    function: Start, requests: Requests, service: Service
) -> None:
    denied = {"__type": "com.amazonaws#AccessDeniedException", "Message": "not authorized"}
    service.answers += [(400, denied), (400, denied), (200, {"SecretString": "one"})]
    started = function(SEEN, variables=variables(service.url, {"DB": SECRET}))
    (outcome,) = started(requests.request([("l", "DB")]))["outcomes"]
    assert outcome["error"]["kind"] == "secret"
    assert outcome["error"]["message"].startswith(
        f"the secret DB cannot be read from {SECRET}: AccessDeniedException: not authorized. "
    )
    assert requests.values(started(requests.request([("l", "DB")]))) == [("one", "one")]


THROTTLED = (400, {"__type": "ThrottlingException", "message": "Rate exceeded"})


def test_secrets_that_are_throttled_share_one_time_and_the_one_that_was_not_read_is_named(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = [0.0]

    def pause(seconds: float) -> None:
        now_s[0] += seconds

    for name, value in {**KEYS, "AWS_ENDPOINT_URL": service.url, "FIRST": "", "SECOND": ""}.items():
        monkeypatch.setenv(name, value)
        if not value:
            monkeypatch.delenv(name)
    service.answers += [*[THROTTLED] * 4, (200, {"SecretString": "one"}), *[THROTTLED] * 50]
    told = json.dumps({"FIRST": SECRET, "SECOND": PARAMETER})
    with pytest.raises(SecretError, match=rf"SECOND cannot be read from {PARAMETER}: .*: Rate exceeded"):
        read_secrets(told, clock=lambda: now_s[0], pause=pause)
    assert now_s[0] <= PATIENCE_S + 0.5 * max(WAITS_S)  # of jitter
    service.answers[:] = [(200, {"Parameter": {"Value": "two"}})]
    read_secrets(told, clock=lambda: now_s[0], pause=pause)  # as the next request does
    assert (os.environ["FIRST"], os.environ["SECOND"], service.answers) == ("one", "two", [])


RESTORED = """
import os, sys
import snapshot_restore_py

AT_IMPORT = os.environ["DB"]

def operation(p0):
    from graphlambda_runtime import s3, valkey
    s3._clients["kept"] = valkey._kept["kept"] = None
    for after_restore, args, keywords in snapshot_restore_py._after_restore_registry:
        after_restore(*args, **keywords)
    return AT_IMPORT, os.environ["DB"], len(s3._clients) + len(valkey._kept)
"""


def test_after_a_restore_secrets_are_read_anew_connections_are_dropped_and_the_environment_is_another(
    tmp_path: Path, function: Start, requests: Requests, service: Service
) -> None:
    hooks = Path(snapshot_restore_py.__file__)  # AWS's own, which the managed runtime brings along
    layer = tmp_path / "managed"
    layer.mkdir()
    (layer / hooks.name).write_bytes(hooks.read_bytes())
    service.answers += [(200, {"SecretString": "old"}), (200, {"SecretString": "new"})]
    given = {
        **variables(service.url, {"DB": SECRET}),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "AWS_LAMBDA_LOG_STREAM_NAME": "stream",
    }
    reply = function(RESTORED, layers=[layer], variables=given)(requests.request([("l", 0)]))
    assert requests.values(reply) == [("old", "new", 0)]
    assert reply["environment"].startswith("restored-")


def test_an_implementation_that_does_not_know_us_gives_what_was_laid_into_it(
    function: Start, requests: Requests
) -> None:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        where: dict[str, Any] = {
            "endpoint_url": url, "region_name": REGION, "aws_access_key_id": "a", "aws_secret_access_key": "b",
        }  # fmt: skip
        arn = boto3.client("secretsmanager", **where).create_secret(Name="db", SecretString="one")["ARN"]
        ssm = boto3.client("ssm", **where)
        ssm.put_parameter(Name="/team/key", Value="two", Type="SecureString")
        key = ssm.get_parameter(Name="/team/key")["Parameter"]["ARN"]
        started = function(SEEN, variables=variables(url, {"DB": arn, "KEY": key}))
        assert requests.values(started(requests.request([("l", "KEY")]))) == [("one", "two")]
    finally:
        server.stop()
