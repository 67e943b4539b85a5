"""Accounts to rehearse in, and clients of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from graphlambda.local import host
from graphlambda.local.catalogue import Catalogue
from graphlambda.local.control import ControlPlane
from graphlambda.testing.account.account import ACCOUNT, REGION, Account
from graphlambda.testing.account.conditions import Conditions, Dice
from graphlambda.testing.account.quotas import Limits
from graphlambda.testing.account.turns import Turns
from graphlambda.testing.account.virtual import AccountWire
from tests.scheduler.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROLE = f"arn:aws:iam::{ACCOUNT}:role/graphlambda-test-function"


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def connected(tmp_path: Path, turns: Turns) -> Callable[[Account], Any]:
    """Return what makes a boto3 client whose requests an account answers in virtual time."""

    def connect(account: Account) -> Any:
        plane = ControlPlane(
            Catalogue(tmp_path / "state"),
            concurrency=1,
            architecture=host.architecture(),
            wanted=lambda _: None,
            deleted=lambda _: None,
        )
        client = boto3.client(
            "lambda",
            region_name=REGION,
            aws_access_key_id="virtual",
            aws_secret_access_key="virtual",
            config=Config(retries={"total_max_attempts": 1, "mode": "standard"}),
        )
        client.meta.events.register("before-send.lambda", AccountWire(plane, account, turns))
        return client

    return connect


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def account_of(conditions: Conditions | None = None, limits: Limits | None = None, seed: int = 0) -> Account:
    """Return an account in which nothing takes time or breaks unless it is said."""
    return Account(limits or Limits(), Dice(conditions or Conditions(), seed))
