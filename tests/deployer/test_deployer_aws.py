"""AwsCloud against a client that answers by script: retries, pace, waits, translation."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, ReadTimeoutError

from graphlambda.account.aws import account
from graphlambda.api.caches import keys_at
from graphlambda.api.surroundings import AwsIdentity
from graphlambda.deployer.aws import (
    ACTIVE_TIMEOUT_S,
    GONE_TIMEOUT_S,
    PAGE,
    READ_TIMEOUT_S,
    AwsCloud,
    aws_cloud,
    endpoint_cloud,
)
from graphlambda.deployer.functions import AccountLimits, Call, Made
from graphlambda.deployer.retry import BROKEN, ROLE_IS_NEW, THROTTLED, Backoff, Paces, TokenBucket
from graphlambda.errors import CloudError, ConfigError, DeployTimeoutError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "gl-local-sum-0123456789abcdef0123"
ARN = f"arn:aws:lambda:us-east-1:123456789012:function:{NAME}"


@dataclass
class Time:
    """A clock that is moved by sleeping."""

    now_s: float = 0.0
    slept_s: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)
        self.now_s += seconds

    def clock(self) -> float:
        return self.now_s


@dataclass
class ScriptedClient:
    """Answers each request with the script's next item: an answer, or an error to raise."""

    script: list[Any]
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __getattr__(self, method: str) -> Callable[..., Mapping[str, Any]]:
        def send(**params: Any) -> Mapping[str, Any]:
            self.sent.append((method, params))
            answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Mapping)
            return answer

        return send


def refusal(code: str, message: str = "no") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Any")


TAKEN, ABSENT = refusal("ResourceConflictException"), refusal("ResourceNotFoundException")


def report(state: str, reason: str = "") -> dict[str, Any]:
    return {
        "Configuration": {
            "FunctionArn": ARN,
            "State": state,
            "StateReason": reason,
            "CodeSha256": "c2hh",
            "Role": "arn:aws:iam::123456789012:role/r",
            "Runtime": "python3.11",
            "Handler": "a.b",
            "Architectures": ["x86_64"],
            "MemorySize": 128,
            "Timeout": 3,
            "EphemeralStorage": {"Size": 512},
        }
    }


def cloud_of(*script: Any) -> tuple[AwsCloud, ScriptedClient, Time]:
    client, time = ScriptedClient(list(script)), Time()
    cloud = AwsCloud(client, endpoint="here", clock=time.clock, sleep=time.sleep)
    return cloud, client, time


def create(zip_path: Path) -> Call:
    return Call("create_function", {"FunctionName": NAME, "Code": {"ZipFile": zip_path}, "Layers": ["arn"]})


def test_a_zip_travels_as_bytes_that_are_read_when_the_call_goes_out(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    cloud, client, _ = cloud_of({"FunctionArn": ARN})
    assert cloud.call(create(tmp_path / "a.zip")) == Made(ARN, new=True)
    assert client.sent == [
        ("create_function", {"FunctionName": NAME, "Code": {"ZipFile": b"PK"}, "Layers": ["arn"]})
    ]


def test_throttled_calls_are_repeated_with_doubling_waits(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    throttle = refusal("TooManyRequestsException")
    cloud, client, time = cloud_of(throttle, throttle, throttle, {"FunctionArn": ARN})
    assert cloud.call(create(tmp_path / "a.zip")).new
    assert time.slept_s == [0.5, 1.0, 2.0]
    assert len(client.sent) == 4


@pytest.mark.parametrize(
    ("error", "code", "tries"),
    [
        (refusal("TooManyRequestsException"), "TooManyRequestsException", 1 + THROTTLED.attempts),
        (refusal("ServiceException"), "ServiceException", 1 + BROKEN.attempts),
        (EndpointConnectionError(endpoint_url="http://x"), "Unreachable", 1 + BROKEN.attempts),
        (ReadTimeoutError(endpoint_url="http://x"), "Unreachable", 1 + BROKEN.attempts),
        (
            refusal(
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
            ),
            "InvalidParameterValueException",
            1 + ROLE_IS_NEW.attempts,
        ),
        (refusal("InvalidParameterValueException", "memory"), "InvalidParameterValueException", 1),
        (refusal("CodeStorageExceededException"), "CodeStorageExceededException", 1),
        (refusal("AccessDeniedException"), "AccessDeniedException", 1),
        (NoCredentialsError(), "NoCredentialsError", 1),
    ],
    ids=str,
)
def test_every_error_is_tried_as_often_as_the_table_says_and_then_named(
    error: Exception, code: str, tries: int
) -> None:
    cloud, client, time = cloud_of(error)
    with pytest.raises(CloudError) as caught:
        cloud.call(Call("delete_function", {"FunctionName": NAME}))
    assert (caught.value.call, caught.value.code) == (f"delete_function {NAME}", code)
    assert caught.value.__cause__ is error
    assert len(client.sent) == tries
    assert time.now_s < 130


class Forgetful(BaseHTTPRequestHandler):
    """Lambda behind a gateway that forgets a connection after its first call, as one does after 350 s of silence."""

    protocol_version = "HTTP/1.1"
    body = json.dumps({"Functions": [], "Layers": []}).encode()
    calls = 0

    def do_GET(self) -> None:
        self.calls += 1
        if self.calls == 2:  # reset, as AWS's gateways do
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.close_connection = True
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_kept_connection_that_a_gateway_has_forgotten_costs_one_repetition() -> None:
    """botocore lets nobody say when TCP looks for the other end; no call is silent for as long as gateways bear."""
    time = Time()
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        made = endpoint_cloud(
            f"http://127.0.0.1:{server.server_port}", "us-east-1", access_key="a", secret_key="b"
        )
        cloud = replace(made, sleep=time.sleep)
        assert cloud.names("gl-") == ([], [])
        cloud.client.close()
        server.shutdown()
        thread.join()
    assert time.slept_s == [BROKEN.first_s]
    assert READ_TIMEOUT_S < 350


def test_waits_double_up_to_their_cap_and_end() -> None:
    waits = [Backoff(1.0, 5.0, 5).wait_s(attempt) for attempt in range(6)]
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0, None]


def test_a_name_that_is_taken_is_no_error_when_creating(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    cloud, _, _ = cloud_of(TAKEN, report("Pending"))
    assert cloud.call(create(tmp_path / "a.zip")) == Made("", new=False)


def test_any_other_call_that_meets_another_is_made_again_for_a_while() -> None:
    reserve = Call("put_function_concurrency", {"FunctionName": NAME, "ReservedConcurrentExecutions": 1})
    cloud, _, _ = cloud_of(TAKEN, TAKEN, {})
    assert cloud.call(reserve).new
    cloud, _, time = cloud_of(TAKEN)
    with pytest.raises(
        CloudError, match=r"put_function_concurrency .* failed with ResourceConflictException"
    ):
        cloud.call(reserve)
    assert ACTIVE_TIMEOUT_S < time.now_s < ACTIVE_TIMEOUT_S + 2


def test_a_function_is_looked_at_less_and_less_often_until_it_is_active() -> None:
    cloud, _, time = cloud_of(*[report("Pending")] * 14, report("Active"))
    assert cloud.wait_active(NAME).state == "Active"
    assert time.slept_s[:3] == pytest.approx([0.01, 0.015, 0.0225])
    assert time.slept_s[-1] == 1.0


def test_a_wait_for_a_function_ends_and_says_what_to_do() -> None:
    cloud, _, time = cloud_of(report("Pending", "The function is being created."))
    with pytest.raises(DeployTimeoutError, match=f"{NAME}.*still Pending after 300 s.*Deploy again"):
        cloud.wait_active(NAME)
    assert ACTIVE_TIMEOUT_S < time.now_s < ACTIVE_TIMEOUT_S + 2


def test_a_creation_that_failed_ends_the_wait_with_lambdas_reason() -> None:
    cloud, _, _ = cloud_of(report("Failed", "EniLimitExceeded"))
    with pytest.raises(CloudError, match=f"creation of {NAME} failed with Failed: EniLimitExceeded"):
        cloud.wait_active(NAME)


def test_only_an_absent_function_counts_as_absent() -> None:
    cloud, _, _ = cloud_of(refusal("AccessDeniedException"))
    with pytest.raises(CloudError, match="AccessDeniedException"):
        cloud.describe(functions=[NAME])


def test_who_may_not_list_functions_looks_at_each() -> None:
    names = [f"gl-local-f{number}" for number in range(PAGE)]
    cloud, client, _ = cloud_of(refusal("AccessDeniedException"), report("Active"))
    assert list(cloud.describe(functions=names).functions) == names
    assert [method for method, _ in client.sent] == ["list_functions"] + ["get_function"] * PAGE


def test_an_account_allows_what_it_says_and_aws_says_nothing_of_its_machines() -> None:
    limit = {"ConcurrentExecutions": 50, "UnreservedConcurrentExecutions": 10, "TotalCodeSize": 300}
    answer = {"AccountLimit": limit, "AccountUsage": {"TotalCodeSize": 7}}
    cloud, _, _ = cloud_of({**answer, "ResponseMetadata": {"HTTPHeaders": {}}})
    assert cloud.limits() == AccountLimits(concurrency=50, unreserved=10, code_bytes=7, most_code_bytes=300)


@pytest.fixture(params=["profile", "keys", "file"])
def unusable(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set something wrong up for botocore; return its own words."""
    (tmp_path / "config").write_text("[profile\n")
    variable, value, told = {
        "profile": ("AWS_PROFILE", "nobodys", r"profile \(nobodys\) could not be found"),
        "keys": ("AWS_ACCESS_KEY_ID", "half", "missing: AWS_SECRET_ACCESS_KEY"),
        "file": ("AWS_CONFIG_FILE", str(tmp_path / "config"), "Unable to parse config file"),
    }[request.param]
    monkeypatch.setenv(variable, value)
    return told


@pytest.mark.parametrize(
    "use",
    [
        aws_cloud,
        lambda region: account(region).client("sts"),
        lambda region: AwsIdentity(region)(),
        lambda region: keys_at(f"rediss://localhost?iam=cache&region={region}"),
    ],
    ids=["lambda", "account", "identity", "cache"],
)
def test_settings_of_aws_that_cannot_be_used_are_an_error_that_says_where_to_look(
    unusable: str, use: Callable[[str], Any]
) -> None:
    with pytest.raises(ConfigError, match=rf"{unusable}.*Look at AWS_PROFILE"):
        use("eu-central-1")


def test_an_address_that_is_none_is_an_error_that_says_where_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nowhere")
    with pytest.raises(ConfigError, match=r"Invalid endpoint: nowhere.*AWS_ENDPOINT_URL"):
        aws_cloud("eu-central-1")


def test_what_is_wrong_with_the_users_own_settings_keeps_nothing_from_this_machine(unusable: str) -> None:
    del unusable
    cloud = endpoint_cloud("http://127.0.0.1:9", "eu-central-1", access_key="a", secret_key="b")
    assert cloud.session().get_credentials().access_key == "a"


def test_the_bucket_gives_each_call_its_own_moment() -> None:
    time = Time()
    bucket = TokenBucket(4.0, clock=time.clock, sleep=time.sleep)
    moments = []
    for _call in range(4):
        bucket.take()
        moments.append(time.now_s)
    assert moments == [0.0, 0.25, 0.5, 0.75]


def test_an_idle_bucket_saves_nothing_up() -> None:
    time = Time()
    bucket = TokenBucket(4.0, clock=time.clock, sleep=time.sleep)
    bucket.take()
    time.now_s += 60
    bucket.take()
    bucket.take()
    assert time.slept_s == [0.25]


def test_a_bucket_with_a_burst_saves_that_many_up() -> None:
    time = Time()
    bucket = TokenBucket(4.0, burst=3, clock=time.clock, sleep=time.sleep)
    moments = []
    for _call in range(5):
        bucket.take()
        moments.append(time.now_s)
    assert moments == [0.0, 0.0, 0.0, 0.25, 0.5]


def test_get_function_has_a_pace_of_its_own() -> None:
    time = Time()
    paces = Paces(*(TokenBucket(per_s, clock=time.clock, sleep=time.sleep) for per_s in (15.0, 100.0)))
    client = ScriptedClient([report("Active")])
    cloud = AwsCloud(client, endpoint="here", paces=paces)
    for _look in range(3):
        cloud.describe(functions=[NAME])
    assert time.slept_s == pytest.approx([0.01, 0.01])
    for _call in range(2):
        cloud.call(Call("delete_function", {"FunctionName": NAME}))
    assert time.now_s == pytest.approx(0.02 + 1 / 15)


def test_all_clouds_of_a_region_share_one_pace_in_a_process_and_local_ones_have_none() -> None:
    here, again, elsewhere = aws_cloud("us-east-1"), aws_cloud("us-east-1"), aws_cloud("eu-central-1")
    assert here.paces is again.paces is not elsewhere.paces
    assert endpoint_cloud("http://127.0.0.1:1", "us-east-1", access_key="a", secret_key="b").paces == Paces()


@pytest.mark.parametrize(
    ("message", "tries"),
    [
        (
            "The provided execution role does not have permissions to call CreateNetworkInterface on EC2",
            1 + ROLE_IS_NEW.attempts,
        ),
        ("Lambda was unable to create the network interface: RequestLimitExceeded", 1 + THROTTLED.attempts),
        ("EC2 says: ThrottlingException", 1 + THROTTLED.attempts),
        ("The subnet ID does not exist", 1),
    ],
)
def test_what_is_wrapped_as_an_invalid_parameter_is_retried_as_what_it_is(message: str, tries: int) -> None:
    cloud, client, _ = cloud_of(refusal("InvalidParameterValueException", message))
    with pytest.raises(CloudError, match="InvalidParameterValueException"):
        cloud.call(Call("delete_function", {"FunctionName": NAME}))
    assert len(client.sent) == tries


def test_an_account_without_room_for_code_is_told_what_makes_some() -> None:
    cloud, _, _ = cloud_of(refusal("CodeStorageExceededException", "Code storage limit exceeded."))
    with pytest.raises(CloudError, match="graphlambda aws sweep"):
        cloud.call(Call("delete_function", {"FunctionName": NAME}))


def test_no_client_retries_by_itself_nor_asks_a_proxy_on_the_way_to_loopback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "7")
    loopback = endpoint_cloud("http://127.0.0.1:1", "us-east-1", access_key="a", secret_key="b")
    for cloud in (aws_cloud("us-east-1"), loopback):
        assert cloud.client.meta.config.retries["total_max_attempts"] == 1
    assert loopback.client.meta.config.proxies == {}
    assert loopback.endpoint == "http://127.0.0.1:1"


def test_a_name_that_is_not_free_yet_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    cloud, client, time = cloud_of(TAKEN, report("Deleting"), TAKEN, ABSENT, {"FunctionArn": ARN})
    assert cloud.call(create(tmp_path / "a.zip")) == Made(ARN, new=True)
    assert [method for method, _ in client.sent] == [
        "create_function", "get_function", "create_function", "get_function", "create_function",
    ]  # fmt: skip
    assert len(time.slept_s) == 2


@pytest.mark.parametrize(
    ("script", "new"),
    [([TAKEN, report("Deleting")], False), ([TAKEN, ABSENT], False), ([TAKEN, report("Pending"), {}], True)],
    ids=["it is being deleted", "it is gone", "it is being made"],
)
def test_a_deletion_that_meets_another_call_is_somebody_elses_or_made_again(
    script: list[Any], *, new: bool
) -> None:
    cloud, _, _ = cloud_of(*script)
    assert cloud.call(Call("delete_function", {"FunctionName": NAME})) == Made("", new=new)


def test_a_function_is_gone_when_nobody_knows_it_or_another_has_its_name() -> None:
    cloud, client, _ = cloud_of(report("Deleting"), report("Failed"), ABSENT)
    cloud.wait_gone(NAME)
    assert len(client.sent) == 3
    cloud, client, time = cloud_of(report("Active"))
    replace(cloud, unknown_s=10.0).wait_gone(NAME)
    assert 10.0 <= time.now_s < 12.0


def test_waits_for_what_never_ends_are_bounded_and_say_for_what(tmp_path: Path) -> None:
    cloud, _, time = cloud_of(report("Deleting", "it has an interface"))
    with pytest.raises(DeployTimeoutError, match=rf"{NAME}.*still Deleting .*45 minutes .*an interface"):
        cloud.wait_gone(NAME)
    assert GONE_TIMEOUT_S < time.now_s < GONE_TIMEOUT_S + 2
    (tmp_path / "a.zip").write_bytes(b"PK")
    cloud, client, time = cloud_of(TAKEN)
    client.script = [TAKEN, report("Deleting")] * 1000
    with pytest.raises(CloudError, match=r"create_function .* failed with ResourceConflictException"):
        cloud.call(create(tmp_path / "a.zip"))
    assert ACTIVE_TIMEOUT_S < time.now_s < ACTIVE_TIMEOUT_S + 2
