"""A deployment of the tests' own on a real account: made at first use, destroyed at the end, whatever happened between.

In: credentials and a region, as boto3 finds them. Out: its id, region and role. It costs cents; with a cache, what that costs for an hour.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from graphlambda.api import account
from graphlambda.api.account import settled
from graphlambda.cli import main
from graphlambda.config import Config, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True)
class Deployed:
    """One deployment."""

    id: str
    region: str
    cache: str

    @property
    def flags(self) -> dict[str, Any]:
        """Settings with which calls run there."""
        return {"endpoint": "aws", "deployment_id": self.id, "region": self.region, "progress": False}

    @property
    def config(self) -> Config:
        """What a session there is opened with: the stack's role and store in it."""
        return settled(load(self.flags))

    def aws(self, command: str, *more: str) -> int:
        """Run a command of `graphlambda aws`; return its exit code."""
        return main(["aws", command, "--deployment", self.id, "--region", self.region, *more])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what needs a deployment once for each kind of cache that was asked for."""
    if "deployed" in metafunc.fixturenames:
        caches = ["none", "valkey-public"] if metafunc.config.getoption("--aws-cache") else ["none"]
        metafunc.parametrize("deployed", caches, indirect=True, scope="session")


@pytest.fixture(scope="session")
def region() -> str:
    found = boto3.session.Session().region_name
    assert found, "set AWS_REGION, or a region in your profile"
    return found


@pytest.fixture(scope="session")
def deployed(request: pytest.FixtureRequest, region: str) -> Iterator[Deployed]:
    """Return a deployment with a cache, or none; the end proves that nothing is left of it."""
    made = Deployed(f"t{secrets.token_hex(3)}", region, request.param)
    try:
        assert made.aws("init", "--cache", made.cache, "--yes") == 0
        account.forget()
        yield made
    finally:
        gone = made.aws("destroy", "--yes")
        account.forget()
    assert gone == 0, f"something is left: graphlambda aws status --deployment {made.id}"


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Return what says a figure: what an account shows is the point, whether or not a test fails."""

    def told(line: str) -> None:
        with capsys.disabled():
            print(f"\n  measured: {line}")

    return told
