"""What a deployment's stack says that it made: all that a session needs to know of the account.

Pure. In: CloudFormation's answer to DescribeStacks. Out: a `Stack`. Must not guess: what an output does not say is not
there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.names import KEYS, Names
from graphlambda.errors import StackError

if TYPE_CHECKING:
    from collections.abc import Mapping

NONE, VALKEY_PUBLIC, VALKEY_VPC = "none", "valkey-public", "valkey-vpc"
"""Kinds of cache; a public one is reached from anywhere, the other from functions in its VPC alone."""

ROOT_KEY = "root.key"

READY = frozenset(
    {
        "CREATE_COMPLETE",
        "UPDATE_COMPLETE",
        "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS",
        "UPDATE_ROLLBACK_COMPLETE",
        "IMPORT_COMPLETE",
    }
)
"""States in which a stack is what its outputs say."""

ABSENT = "DELETE_COMPLETE"
"""CloudFormation's word for a stack that is gone, and ours for one that never was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cache:
    """A serverless Valkey cache. It speaks TLS, and asks for a token that IAM allows."""

    kind: str
    """`valkey-public` or `valkey-vpc`."""

    name: str
    """As the token names it: in lower case."""

    host: str
    port: int
    user: str
    """Both id and name of the user: IAM asks that they be one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """What there is for one deployment in one account and region."""

    names: Names
    bucket: str
    prefix: str
    """Below which everything of ours lies in the bucket; no slash at its ends."""

    role_arn: str
    """Of the role that functions run under."""

    log_group: str
    kms_key_arn: str = ""
    """Of the key that encrypts the bucket; empty: S3's own."""

    cache: Cache | None = None
    subnets: tuple[str, ...] = ()
    """Where functions are put; none outside a VPC."""

    security_groups: tuple[str, ...] = ()
    """Of the functions; none outside a VPC."""

    @property
    def store(self) -> str:
        """The bucket and prefix as the `store` setting has them."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def behind_cache(self) -> str:
        """The same with the cache before the bucket; of a stack that has one."""
        assert self.cache is not None, "who asks has looked"
        server = f"rediss://{self.cache.user}@{self.cache.host}:{self.cache.port}"
        return f"{server}?iam={self.cache.name}&region={self.names.region}+{self.store}"

    @property
    def root_key(self) -> str:
        """The object that holds the root key."""
        return f"{self.prefix}/{KEYS}/{ROOT_KEY}"


def read(answer: Mapping[str, Any]) -> Stack:
    """Return what the one stack of an answer to DescribeStacks says.

    Raises:
        StackError: it is not ready, or it is not a deployment's.
    """
    (found,) = answer["Stacks"]
    name, status = found["StackName"], found["StackStatus"]
    if status not in READY:
        why = found.get("StackStatusReason", "CloudFormation gives no reason")
        raise StackError(
            f"the stack {name} is {status} ({why}). `graphlambda aws status` shows what there is; "
            "`graphlambda aws init` goes on, once CloudFormation has ended what it does"
        )
    told = {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", ())}
    try:
        return _stack(found["StackId"], told)
    except KeyError as absent:
        raise StackError(
            f"the stack {name} has no output {absent.args[0]}: it is not of this version of graphlambda. "
            "`graphlambda aws init` shows what it would change"
        ) from absent


def _stack(arn: str, told: Mapping[str, str]) -> Stack:
    _, partition, _, region, account, _ = arn.split(":", 5)
    return Stack(
        names=Names(deployment=told["Deployment"], account=account, region=region, partition=partition),
        bucket=told["Bucket"],
        prefix=told["Prefix"],
        role_arn=told["RoleArn"],
        log_group=told["LogGroup"],
        kms_key_arn=told.get("KmsKeyArn", ""),
        cache=_cache(told) if "CacheKind" in told else None,
        subnets=_several(told.get("Subnets", "")),
        security_groups=_several(told.get("SecurityGroups", "")),
    )


def _cache(told: Mapping[str, str]) -> Cache:
    return Cache(
        kind=told["CacheKind"],
        name=told["CacheName"],
        host=told["CacheHost"],
        port=int(told["CachePort"]),
        user=told["CacheUser"],
    )


def _several(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
