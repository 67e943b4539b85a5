"""What holds for every test: no account in sight, folders of the session's own, quiet networks."""

from __future__ import annotations

import ipaddress
import os
import platform
import socket
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

pytest.register_assert_rewrite("graphlambda.testing")

from graphlambda.testing import requests, s3_servers  # noqa: E402  (after their asserts were registered)

requests.watch()

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.testing.s3_servers import S3Server

hypothesis.settings.register_profile("dev", max_examples=25, deadline=None)
hypothesis.settings.register_profile("ci", max_examples=200, deadline=None, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "dev")

HERE = Path(__file__).resolve().parent
AWS_TESTS = HERE / "aws"

HEADER = ("dask", "boto3", "numpy", "pandas", "pyarrow", "cloudpickle", "awslambdaric", "moto")
"""Distributions whose versions decide what the tests mean."""


def pytest_report_header() -> str:
    """Return the versions that matter, for the first lines of a log."""
    versions = {dist.name.lower(): dist.version for dist in metadata.distributions() if dist.name}
    return " · ".join(
        [platform.platform(terse=True), *(f"{name} {versions.get(name, 'absent')}" for name in HEADER)]
    )


class OutsideError(OSError):
    """A test in this process tried to leave the machine."""


def _refuse_the_outside(event: str, arguments: tuple[Any, ...]) -> None:
    """Let TCP reach this machine only: an audit hook, so no client library can get around it."""
    if event != "socket.connect":
        return
    connection, address = arguments
    if connection.family not in {socket.AF_INET, socket.AF_INET6} or connection.type != socket.SOCK_STREAM:
        return
    host = str(address[0])
    if host != "localhost" and not ipaddress.ip_address(host.partition("%")[0]).is_loopback:
        raise OutsideError(f"tests open no connection to {address}: use a service on loopback")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let nobody come to an account but who says so."""
    parser.addoption("--aws", action="store_true", help="tests/aws: on a real account, with your credentials")
    parser.addoption("--aws-cache", action="store_true", help="tests/aws: with a public cache, too")


def pytest_configure(config: pytest.Config) -> None:
    """Keep tests on this machine."""
    if not config.getoption("--aws"):
        sys.addaudithook(_refuse_the_outside)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what needs an account, or refuse to run what must not see one."""
    of_aws = [item for item in items if AWS_TESTS in item.path.parents]
    if not config.getoption("--aws"):
        for item in of_aws:
            item.add_marker(pytest.mark.skip(reason="needs a real account: pytest tests/aws --aws"))
    elif len(of_aws) < len(items):
        raise pytest.UsageError("--aws is for tests/aws alone: no other test may see an account")


@pytest.fixture(scope="session", autouse=True)
def _no_account_and_own_folders(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Hide the user's account and settings; share one cache, so that artifacts are built once a session."""
    is_aws = pytestconfig.getoption("--aws")
    hidden = "GRAPHLAMBDA_" if is_aws else ("AWS_", "GRAPHLAMBDA_")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(hidden) and name != "AWS_CA_BUNDLE":
                patch.delenv(name)
        if not is_aws:
            patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
            patch.setenv("AWS_CONFIG_FILE", os.devnull)
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            patch.setenv("AWS_REGION", "eu-nowhere-1")
        patch.setenv("GRAPHLAMBDA_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("GRAPHLAMBDA_STATE_DIR", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """Run SeaweedFS, an S3 server that refuses bad signatures."""
    with s3_servers.seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        yield server


@pytest.fixture(scope="session")
def moto() -> Iterator[S3Server]:
    """Run moto's server, a second opinion."""
    with s3_servers.moto() as server:
        yield server
