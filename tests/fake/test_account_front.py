"""The account in real time, before the local Lambda: boto3 and our own Invoke speak with it as with AWS."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import zipfile
from collections import Counter
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError

from graphlambda.deployer import Settings, deploy
from graphlambda.deployer.aws import AwsCloud
from graphlambda.deployer.retry import CALLS_PER_S, Paces, TokenBucket
from graphlambda.local import LocalSettings
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import Credentials, HttpInvoker
from graphlambda.testing.account.conditions import Conditions, Mishap, Spread
from graphlambda.testing.account.quotas import Limits, Reason
from graphlambda.testing.account.rehearsal import Rehearsal, rehearsal
from graphlambda.testing.artifacts import TARGET, make_artifact, make_layer
from graphlambda.testing.cloud_contract import CapacityTests
from graphlambda.testing.clouds import manifests_in
from tests.fake.conftest import ROLE
from tests.whole.conftest import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOURCE = """
import json, os, time

def handler(event, context):
    time.sleep(event.get("seconds", 0))
    return {"endpoint": os.environ["AWS_ENDPOINT_URL"], "arn": context.invoked_function_arn}
"""


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """Run an account that a test can fill."""
    folder = tmp_path_factory.mktemp("account")
    limits = Limits(control_per_s=50, concurrency=4, unreserved=1)
    local = LocalSettings(state=folder / "lambda", concurrency=2, environments=4)
    conditions = Conditions(network=Spread(0.002, 0.01), pending=Spread(0.05, 0.2))
    with rehearsal(folder, limits=limits, conditions=conditions, local=local) as running:
        yield running


def client_of(account: Rehearsal, service: str = "lambda", **more: Any) -> Any:
    """Return a plain boto3 client, as the account's variables make it."""
    keys = account.services.keys
    given = {"aws_access_key_id": keys.access_key, "aws_secret_access_key": keys.secret_key, **more}
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=account.url if service == "lambda" else account.services.endpoint,
        region_name=account.services.region,
        config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        **given,
    )


def zipped(source: str = SOURCE) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("app.py", source)
    return content.getvalue()


def create(client: Any, name: str, **members: Any) -> Any:
    defaults = {
        "Role": ROLE, "Runtime": f"python{TARGET.python}", "Handler": "app.handler", "Code": {"ZipFile": zipped()},
        "Timeout": 20, "MemorySize": 256,
    }  # fmt: skip
    made = client.create_function(FunctionName=name, **{**defaults, **members})
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05})
    return made


class TestAwsCloudBeforeTheLocalLambda(CapacityTests):
    """The contract holds over real connections."""

    role = ROLE

    @pytest.fixture
    def cloud(self, account: Rehearsal) -> Iterator[AwsCloud]:
        client = client_of(account)
        yield AwsCloud(client, endpoint=account.url, paces=Paces(TokenBucket(CALLS_PER_S * 3)))
        for function in client.list_functions()["Functions"]:
            client.delete_function(FunctionName=function["FunctionName"])
        for layer in client.list_layers()["Layers"]:
            for version in client.list_layer_versions(LayerName=layer["LayerName"])["LayerVersions"]:
                client.delete_layer_version(LayerName=layer["LayerName"], VersionNumber=version["Version"])


def test_everything_carries_the_accounts_own_number(account: Rehearsal) -> None:
    client = client_of(account)
    arn = create(client, "numbered", Tags={"graphlambda": "test"})["FunctionArn"]
    assert arn == f"arn:aws:lambda:us-east-1:{account.services.account}:function:numbered"
    assert client.list_tags(Resource=arn)["Tags"] == {"graphlambda": "test"}
    client.tag_resource(Resource=arn, Tags={"more": "1"})
    assert client.get_function(FunctionName=arn)["Tags"] == {"graphlambda": "test", "more": "1"}
    client.delete_function(FunctionName=arn)
    assert client.list_functions()["Functions"] == []


def test_a_function_has_the_services_of_its_account(account: Rehearsal) -> None:
    client = client_of(account)
    create(client, "asks")
    told = json.loads(client.invoke(FunctionName="asks")["Payload"].read())
    assert told["endpoint"] == account.services.endpoint


def test_what_a_function_writes_comes_to_its_log_group_and_only_who_asks_gets_its_end(
    account: Rehearsal,
) -> None:
    client, logs = client_of(account), client_of(account, "logs")
    logs.create_log_group(logGroupName="/graphlambda/said")
    create(
        client, "says", Code={"ZipFile": zipped("def handler(event, context):\n    print('said', event)\n")},
        LoggingConfig={"LogFormat": "Text", "LogGroup": "/graphlambda/said"},
    )  # fmt: skip
    assert "LogResult" not in client.invoke(FunctionName="says", Payload=b"1")
    tail = client.invoke(FunctionName="says", Payload=b"2", LogType="Tail")["LogResult"]
    assert b"said 2\n" in base64.b64decode(tail)

    def said() -> set[str]:
        events = logs.filter_log_events(logGroupName="/graphlambda/said")["events"]
        return {event["message"] for event in events if event["message"].startswith("said")}

    wait_for(lambda: said() == {"said 1", "said 2"}, "both lines are in the log group")


def test_code_and_layers_may_lie_in_s3(account: Rehearsal) -> None:
    s3, client = client_of(account, "s3"), client_of(account)
    s3.create_bucket(Bucket="packages")
    s3.put_object(Bucket="packages", Key="a/../code.zip", Body=zipped())
    where = {"S3Bucket": "packages", "S3Key": "a/../code.zip"}
    create(client, "from-s3", Code=where)
    assert client.invoke(FunctionName="from-s3")["StatusCode"] == 200
    assert client.publish_layer_version(LayerName="from-s3", Content=where)["Version"] == 1
    with pytest.raises(ClientError, match=r"InvalidParameterValueException.*GetObject.*NoSuchKey"):
        create(client, "from-nowhere", Code={**where, "S3Key": "none"})


def test_a_stranger_is_refused_and_so_is_whoever_has_the_local_lambdas_secret(account: Rehearsal) -> None:
    for key in ("AKIASTRANGER", account.local.credentials.access_key):
        stranger = client_of(account, aws_access_key_id=key)
        with pytest.raises(ClientError, match="UnrecognizedClientException"):
            stranger.list_functions()
    forger = client_of(account, aws_secret_access_key="guessed")
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        forger.list_functions()


def test_the_accounts_concurrency_is_enforced_and_what_the_machine_lacks_of_it_only_takes_longer(
    account: Rehearsal,
) -> None:
    create(client_of(account), "sleeps")
    keys = account.services.keys

    async def ask() -> list[Any]:
        invoker = HttpInvoker(
            account.url,
            region=account.services.region,
            credentials=lambda: Credentials(keys.access_key, keys.secret_key),
            connections=10,
            clock=SystemClock(),
        )
        payload = json.dumps({"seconds": 0.3}).encode()
        try:
            return await asyncio.gather(*(invoker.invoke("sleeps", payload, timeout_s=60) for _ in range(6)))
        finally:
            await invoker.close()

    told = asyncio.run(ask())
    assert Counter((each.status, each.reason) for each in told) == {
        (200, ""): 4,
        (429, Reason.CONCURRENCY): 2,
    }
    assert {each.retry_after_s for each in told} == {0.0, 1.0}


def test_what_is_reserved_is_the_functions_own(account: Rehearsal) -> None:
    client = client_of(account)
    create(client, "reserves")
    client.put_function_concurrency(FunctionName="reserves", ReservedConcurrentExecutions=0)
    with pytest.raises(ClientError, match="TooManyRequestsException") as refused:
        client.invoke(FunctionName="reserves")
    assert refused.value.response["Reason"] == Reason.RESERVED_CONCURRENCY  # type: ignore[typeddict-item]
    client.delete_function_concurrency(FunctionName="reserves")
    assert client.invoke(FunctionName="reserves")["StatusCode"] == 200


def test_forty_operations_deploy_through_real_connections_without_one_throttle(
    tmp_path: Path, account: Rehearsal
) -> None:
    layer = make_layer(tmp_path, "shared")
    artifacts = [make_artifact(tmp_path, f"operation{number}", (layer,)) for number in range(40)]
    cloud = AwsCloud(client_of(account), endpoint=account.url, paces=Paces(TokenBucket(45)))
    throttles = account.ledger.throttles.copy()
    settings = Settings(memory_mb=256, timeout_s=10, ephemeral_mb=512, role=ROLE)
    manifests = manifests_in(tmp_path / "manifests", deployment="forty")
    made = deploy(artifacts, settings, cloud=cloud, deployment_id="forty", manifests=manifests)
    assert (len(made.created), account.ledger.throttles) == (40, throttles)


def test_a_connection_is_reset_before_or_after_the_work(tmp_path: Path) -> None:
    for mishap, found in ((Mishap.RESET_BEFORE, []), (Mishap.RESET_AFTER, ["f"])):
        folder = tmp_path / mishap.replace(" ", "-")
        with rehearsal(folder, conditions=Conditions(mishaps=((mishap, 1.0),))) as account:
            with pytest.raises(ConnectionClosedError):
                create(client_of(account), "f")
            keys = account.local.credentials
            behind = client_of(
                Rehearsal(services=account.services, url=account.local.endpoint, local=account.local, ledger=account.ledger),
                aws_access_key_id=keys.access_key, aws_secret_access_key=keys.secret_key,
            )  # fmt: skip
            assert [each["FunctionName"] for each in behind.list_functions()["Functions"]] == found
