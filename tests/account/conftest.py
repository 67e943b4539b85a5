"""An account of moto's, in a process of its own, and a client of it that has nothing but its environment."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from graphlambda.account.aws import Account, account
from graphlambda.testing.account import services as beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.testing.account.services import Services


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Run moto's services: CloudFormation, IAM, S3, Logs, EC2 and its own Lambda, which invokes nothing here."""
    with beside.services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="session")
def one_account(services: Services) -> Account:
    """Return one client for all tests: each one's own would read the services' models anew."""
    with _environment(services):
        return account(services.region)


@pytest.fixture
def moto_account(services: Services, one_account: Account) -> Iterator[Account]:
    """Return the account, as the user's own chain of credentials finds it, in whose environment the test stands."""
    with _environment(services):
        yield one_account


@contextmanager
def _environment(services: Services) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in services.variables().items():
            patch.setenv(name, value)
        yield
