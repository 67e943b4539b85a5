"""What a session reads of a stack: its outputs, or why it cannot stand on it."""

from __future__ import annotations

from typing import Any

import pytest

from graphlambda.account import Cache, Stack, read
from graphlambda.deployer.names import Names
from graphlambda.errors import StackError

TOLD = {
    "Deployment": "team1",
    "Bucket": "ours",
    "Prefix": "graphlambda/team1",
    "RoleArn": "arn:aws:iam::123456789012:role/graphlambda-team1-function",
    "LogGroup": "/graphlambda/team1",
}
CACHE = {
    "CacheKind": "valkey-vpc",
    "CacheName": "graphlambda-team1",
    "CacheHost": "graphlambda-team1-abc.serverless.euc1.cache.amazonaws.com",
    "CachePort": "6379",
    "CacheUser": "graphlambda-team1",
    "Subnets": "subnet-1,subnet-2",
    "SecurityGroups": "sg-1",
}


def answer(told: dict[str, str], status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    return {
        "Stacks": [
            {
                "StackName": "graphlambda-team1",
                "StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/graphlambda-team1/0-1",
                "StackStatus": status,
                "Outputs": [{"OutputKey": key, "OutputValue": value} for key, value in told.items()],
            }
        ]
    }


BARE = Stack(
    names=Names(deployment="team1", account="123456789012", region="eu-central-1"),
    bucket="ours",
    prefix="graphlambda/team1",
    role_arn="arn:aws:iam::123456789012:role/graphlambda-team1-function",
    log_group="/graphlambda/team1",
)


def test_a_stack_without_a_cache_says_where_values_and_the_root_key_are() -> None:
    found = read(answer(TOLD))
    assert found == BARE
    assert (found.store, found.root_key) == ("s3://ours/graphlambda/team1", "graphlambda/team1/keys/root.key")


def test_a_cache_in_a_vpc_comes_with_subnets_and_security_groups() -> None:
    found = read(answer(TOLD | CACHE, "UPDATE_COMPLETE"))
    assert found.cache == Cache(
        kind="valkey-vpc",
        name="graphlambda-team1",
        host="graphlambda-team1-abc.serverless.euc1.cache.amazonaws.com",
        port=6379,
        user="graphlambda-team1",
    )
    assert (found.subnets, found.security_groups) == (("subnet-1", "subnet-2"), ("sg-1",))
    server = "rediss://graphlambda-team1@graphlambda-team1-abc.serverless.euc1.cache.amazonaws.com:6379"
    assert found.behind_cache == f"{server}?iam=graphlambda-team1&region=eu-central-1+{found.store}"


def test_a_stack_that_is_being_made_is_not_stood_on() -> None:
    with pytest.raises(StackError, match=r"graphlambda-team1 is CREATE_IN_PROGRESS .* aws init"):
        read(answer(TOLD, "CREATE_IN_PROGRESS"))


def test_a_stack_of_another_kind_is_named_as_such() -> None:
    with pytest.raises(StackError, match="has no output RoleArn"):
        read(answer({key: value for key, value in TOLD.items() if key != "RoleArn"}))
