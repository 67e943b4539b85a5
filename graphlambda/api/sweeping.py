"""What a deployment's account holds and nobody needs, as a user sweeps it: shown first, deleted when that is agreed to.

In: a configuration. Out: a `Sweep`, then what is gone. Must not decide anything: `deployer.sweep` does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graphlambda.api.account import names_of
from graphlambda.api.durability import folders_of, functions_of
from graphlambda.api.session import session_of
from graphlambda.config import AWS
from graphlambda.deployer import sweep
from graphlambda.deployer.functions import version_of
from graphlambda.errors import AuthenticationError, NoSuchRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.config import Config
    from graphlambda.deployer.shelf import Zip
    from graphlambda.deployer.sweep import Piece, Sweep


def would_sweep(config: Config, older_than_s: float, agreed: Sweep | None = None) -> Sweep:
    """Return what nobody has used for so long, and what stays, each with its reason. Nothing is changed.

    Of what goes, `agreed` has that to which somebody has agreed; None: nobody was asked.

    Raises:
        ConfigError, StackError: the deployment is not there.
        CloudError: the control plane refused to say.
        DeployError, StoreError: manifests, or the runs' folders, are out of reach.
    """
    session = session_of(config)
    return sweep.surveyed(
        config.deployment_id,
        cloud=session.cloud,
        manifests=session.manifests,
        kept=lambda: _kept(session.config),
        shelf=session.shelf,
        agreed=agreed,
        place=place_of(config),
        older_than_s=older_than_s,
    )


def sweep_agreed(config: Config, agreed: Sweep, older_than_s: float) -> Iterator[Piece | Zip]:
    """Delete what was agreed to, as far as nobody needs it by now; yield what is gone. Raises as `would_sweep` does."""
    session = session_of(config)
    fresh = would_sweep(config, older_than_s, agreed)
    yield from sweep.carry_out(fresh, cloud=session.cloud, manifests=session.manifests, shelf=session.shelf)
    sweep.forget_leases(session.manifests, older_than_s=older_than_s, now_s=time.time())


def place_of(config: Config) -> str:
    """Return what ARNs of the account and region hold, `:region:account:`; empty off AWS. Raises as `names_of` does."""
    if config.endpoint != AWS:
        return ""
    names = names_of(config)
    return f":{names.region}:{names.account}:"


def _kept(config: Config) -> dict[str, str]:
    """Return the functions of runs that go on, or that somebody may go on with."""
    folders = folders_of(config)
    kept: dict[str, str] = {}
    for run in folders.runs():
        try:
            functions = functions_of(run, config)
        except (
            NoSuchRunError,
            AuthenticationError,
        ):  # it ended meanwhile, or is about to begin: its lease says so
            continue
        names = {version_of(function)["FunctionName"] for function in functions}
        kept |= dict.fromkeys(names, f"run {run} goes on, or may: `graphlambda runs`")
    return kept
