"""Every Cloud that we have keeps the contract."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.awslambda.models import lambda_backends
from moto.server import ThreadedMotoServer

from graphlambda.deployer.aws import AwsCloud, endpoint_cloud
from graphlambda.local import LocalLambda, LocalSettings, start
from graphlambda.testing.cloud_contract import CapacityTests, ProvisioningTests
from graphlambda.testing.clouds import RecordingCloud

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.deployer import Cloud

REGION = "us-east-1"
NOBODY = "testing"


class TestRecordingCloud(ProvisioningTests):
    @pytest.fixture
    def cloud(self) -> RecordingCloud:
        return RecordingCloud(pending_looks=2)


@pytest.fixture(scope="module")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    iam = boto3.client(
        "iam",
        endpoint_url=endpoint,
        region_name=REGION,
        aws_access_key_id=NOBODY,
        aws_secret_access_key=NOBODY,
    )
    iam.create_role(RoleName="graphlambda", AssumeRolePolicyDocument="{}")
    yield endpoint
    iam.delete_role(RoleName="graphlambda")
    server.stop()


class TestAwsCloudOnMoto(CapacityTests):
    """An implementation of Lambda that does not know us."""

    @pytest.fixture
    def cloud(self, moto_endpoint: str) -> Cloud:
        for _, _, functions in lambda_backends.iter_backends():
            functions.reset()  # no more: all moto of this process has one memory, and other tests' buckets are there
        return endpoint_cloud(moto_endpoint, REGION, access_key=NOBODY, secret_key=NOBODY)


class TestAwsCloudOnTheLocalLambda(ProvisioningTests):
    """Lambda at another address: the functions here would run."""

    @pytest.fixture
    def local(self, tmp_path: Path) -> Iterator[LocalLambda]:
        with start(LocalSettings(state=tmp_path / "state", concurrency=3)) as service:
            yield service

    @pytest.fixture
    def cloud(self, local: LocalLambda) -> AwsCloud:
        keys = local.credentials
        return endpoint_cloud(local.endpoint, REGION, access_key=keys.access_key, secret_key=keys.secret_key)

    def test_the_accounts_concurrency_and_machine_are_the_services(self, cloud: AwsCloud) -> None:
        limits = cloud.limits()
        assert (limits.unreserved, limits.libc) == (3, " ".join(platform.libc_ver()))
