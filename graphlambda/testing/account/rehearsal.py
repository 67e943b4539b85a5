"""A whole account on this machine: `with rehearsal(folder) as account:` and a client knows of nothing else.

In: a folder, quotas, conditions, a seed. Out: a running account and the environment of its clients. Must not reach AWS.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphlambda.local import Credentials, LocalLambda, LocalSettings, start
from graphlambda.testing.account.account import Account, Ledger
from graphlambda.testing.account.conditions import Conditions, Dice
from graphlambda.testing.account.front import Beside, front
from graphlambda.testing.account.logs import Logs
from graphlambda.testing.account.objects import Objects
from graphlambda.testing.account.quotas import Limits
from graphlambda.testing.account.services import Services, services

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """An account that runs."""

    services: Services
    url: str
    """Lambda's endpoint."""

    local: LocalLambda
    """What runs the functions."""

    ledger: Ledger
    """What the account has seen of Lambda's requests."""

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of a client."""
        return self.services.variables(self.url)


@contextmanager
def rehearsal(
    folder: Path,
    *,
    limits: Limits | None = None,
    conditions: Conditions | None = None,
    seed: int = 0,
    local: LocalSettings | None = None,
) -> Iterator[Rehearsal]:
    """Run an account while the context lasts; its files lie in a folder that is empty, or is made.

    Functions have the account's identity, as if it were their role's: what a role may do is not enforced here.
    """
    objects = folder / "objects"
    objects.mkdir(parents=True)
    settings = replace(local or LocalSettings(state=folder / "lambda"), objects=objects)
    account_limits, dice = limits or Limits(), Dice(conditions or Conditions(), seed)
    with services(folder / "services") as found, start(settings) as behind:
        behind.set_identity(found.identity())
        account = Account(account_limits, dice, account=found.account, region=found.region)
        source = Objects(objects, found.endpoint, found.region, found.keys)
        keys = Credentials(found.keys.access_key, found.keys.secret_key)
        logs = Logs(found.endpoint, found.region, found.keys)
        with front(account, behind, keys, Beside(source.fetch, logs.put)) as url:
            yield Rehearsal(services=found, url=url, local=behind, ledger=account.ledger)
