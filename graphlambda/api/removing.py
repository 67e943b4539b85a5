"""The end of a deployment on AWS, composed: what proves that a function is its own is the deployer's to know.

In: a configuration, what stands. Out: a `Removal`. Must not remove anything.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from graphlambda.account.removal import NOTHING_PROVED, Proved, Removal
from graphlambda.api.account import forget, root_in
from graphlambda.api.records import manifests_in
from graphlambda.deployer import sweep
from graphlambda.deployer.threads import LOOKERS, at_once

if TYPE_CHECKING:
    from graphlambda.account.aws import Account
    from graphlambda.account.standing import Standing
    from graphlambda.config import Config
    from graphlambda.deployer.sweep import Sweep


def removal_of(config: Config, account: Account, standing: Standing) -> Removal:
    """Return what removes a deployment.

    Raises:
        ConfigError: the root key cannot be read.
    """
    forget()  # what stood when this process began need not stand any more
    proved = _proved(config, standing) if standing.has_root_key else NOTHING_PROVED
    return Removal(account=account, names=standing.names, proved=proved)


def _proved(config: Config, standing: Standing) -> Proved:
    """Return what proves that functions are ours, whatever CloudFormation says of the stack: the key and the manifests are there."""
    from graphlambda.deployer.aws import aws_cloud  # noqa: PLC0415  (boto3, for who asks AWS)

    stack, names = standing.of_the_bucket(), standing.names
    cloud, manifests = aws_cloud(config.region), manifests_in(stack, config, root_in(stack))

    def look(agreed: Sweep | None = None) -> Sweep:
        return sweep.surveyed(
            config.deployment_id,
            cloud=cloud,
            manifests=manifests,
            kept=dict,  # a failed run that somebody might go on with ends with its deployment
            agreed=agreed,
            place=f":{names.region}:{names.account}:",
            older_than_s=float("-inf"),
        )

    def delete(agreed: Sweep) -> None:
        fresh = look(agreed)
        deque(sweep.carry_out(fresh, cloud=cloud, manifests=manifests), maxlen=0)
        functions = (piece.name for piece in fresh.gone if piece.tag is not None)
        deque(at_once(cloud.wait_gone, functions, threads=LOOKERS), maxlen=0)

    return Proved(look=look, delete=delete)
