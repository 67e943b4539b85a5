"""What a deployment on AWS stands on, read once in a process: its stack's role, bucket and cache, and its root key.

In: a configuration. Out: the same with what was left out, or what to do. Must not make anything, nor keep the root key
anywhere but in memory.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from graphlambda.account.remedies import DENIED, remedy
from graphlambda.account.stack import VALKEY_PUBLIC
from graphlambda.api.caches import keys_at
from graphlambda.config import AWS, tiers
from graphlambda.edge import warn
from graphlambda.errors import CacheWarning, CloudError, ConfigError, StackError, StoreError
from graphlambda.runtime.frame import KEY_BYTES
from graphlambda.store.keys import root_key
from graphlambda.store.valkey import spec_of

if TYPE_CHECKING:
    from graphlambda.account import Stack
    from graphlambda.config import Config
    from graphlambda.deployer.names import Names


def settled(config: Config) -> Config:
    """Return a configuration with the deployment's role and store in place of what was left out; off AWS, as it is.

    Raises:
        StackError: there is no stack, or it is not ready.
        ConfigError: AWS does not say; the message has the remedy.
    """
    if config.endpoint != AWS or (config.role and config.store):
        return config
    stack = stack_of(config)
    assert stack is not None, "who leaves something out has a stack"
    return replace(config, role=config.role or stack.role_arn, store=config.store or _store_of(stack))


def root_of(config: Config) -> bytes:
    """Return the root key: the deployment's where it has a stack, else this user's own. It never leaves the client side.

    What role and store are makes no difference: functions of one deployment are proved by one key, or destroy left some.

    Raises what `settled` raises.
    """
    stack = stack_of(config) if config.endpoint == AWS else None
    return root_key(config.state_dir / "root.key") if stack is None else root_in(stack)


def stack_of(config: Config) -> Stack | None:
    """Return the stack of a deployment on AWS; None where role and store are given, and there is none to be seen.

    Raises what `settled` raises.
    """
    is_needed = not (config.role and config.store)
    try:
        names = _names(config.region, config.deployment_id)
        stack = _looked_up(names)
    except CloudError as error:
        if error.code in DENIED and not is_needed:
            return None
        raise ConfigError(f"{error}. {remedy(error)}") from error
    if stack is None and is_needed:
        raise StackError(_absent(names))
    return stack


def names_of(config: Config) -> Names:
    """Return the names of a deployment on AWS, in the account whose credentials are used.

    Raises:
        ConfigError: AWS does not say whose they are; the message has the remedy.
    """
    try:
        return _names(config.region, config.deployment_id)
    except CloudError as error:
        raise ConfigError(f"{error}. {remedy(error)}") from error


def forget() -> None:
    """Look again at the next question: a stack was made or destroyed."""
    _names.cache_clear()
    _looked_up.cache_clear()
    _store_of.cache_clear()
    root_in.cache_clear()


@lru_cache(maxsize=16)
def _names(region: str, deployment: str) -> Names:
    from graphlambda.account.aws import account  # noqa: PLC0415  (boto3, for who runs on AWS)

    return account(region).names(deployment)


@lru_cache(maxsize=16)
def _looked_up(names: Names) -> Stack | None:
    from graphlambda.account.aws import account  # noqa: PLC0415  (boto3, for who runs on AWS)

    return account(names.region).stack(names)


@lru_cache(maxsize=16)
def _store_of(stack: Stack) -> str:
    """Return where values lie: in the deployment's bucket, and before it its cache, if both sides reach that.

    A cache in a VPC is reached from there alone, and a client that never sees it could not renew a run's lease in it: who
    is there names it.
    """
    if stack.cache is None or stack.cache.kind != VALKEY_PUBLIC:
        return stack.store
    hot, _ = tiers(stack.behind_cache)
    try:
        spec_of(hot, keys_at(hot))
    except StoreError as error:
        warn(
            f"the deployment's cache is out of reach from here, so that values go to its bucket alone: {error}",
            CacheWarning,
        )
        return stack.store
    return stack.behind_cache


@lru_cache(maxsize=16)
def root_in(stack: Stack) -> bytes:
    """Return the root key that lies in a stack's bucket; raises as `root_of` does."""
    from graphlambda.account.aws import account, told  # noqa: PLC0415  (boto3, for who runs on AWS)

    place = f"s3://{stack.bucket}/{stack.root_key}"
    wanted = {"Bucket": stack.bucket, "Key": stack.root_key, "ExpectedBucketOwner": stack.names.account}
    try:
        with told(f"get_object {place}"):
            key: bytes = account(stack.names.region).client("s3").get_object(**wanted)["Body"].read()
    except CloudError as error:
        raise ConfigError(f"the root key cannot be read: {error}. {remedy(error)}") from error
    if len(key) != KEY_BYTES:
        raise StackError(
            f"{place} holds {len(key)} bytes instead of a key of {KEY_BYTES}: whoever changed it must put the old one back"
        )
    return key


def _absent(names: Names) -> str:
    return (
        f"there is no stack {names.stack} in account {names.account}, region {names.region}. `graphlambda aws init` makes "
        "it; where it is in another account or region, or has another id, set AWS_PROFILE, `region=` or `deployment_id=`; "
        "without one, give `role=` and `store=s3://bucket/prefix`"
    )
