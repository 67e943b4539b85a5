"""The whole way of a user on AWS, from an empty account to a clean one, by the commands that the user types.

Every Lambda call goes to an account to rehearse in, before the local Lambda; S3, IAM, STS, Logs and CloudFormation are
moto's. `UNTESTED` lists the types of resources that moto does not make.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from graphlambda.account.choices import Choices, Vpc
from graphlambda.account.template import template
from graphlambda.deployer.names import Names
from graphlambda.local import LocalSettings
from graphlambda.testing.account.conditions import Conditions, Spread
from graphlambda.testing.account.quotas import Limits
from graphlambda.testing.account.rehearsal import Rehearsal, rehearsal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT = Path(__file__).resolve().parents[2]
ID = "rehearse"
COMMAND_S = 600.0
"""How long one command may take on a loaded machine before it is taken for hung."""

UNTESTED = frozenset(
    {
        "AWS::S3::BucketPolicy",
        "AWS::EC2::SecurityGroupEgress",
        "AWS::ElastiCache::ServerlessCache",
        "AWS::ElastiCache::User",
        "AWS::ElastiCache::UserGroup",
    }
)
"""Types of our templates that moto drops: whether CloudFormation makes them as we mean is not tried here."""

KEPT = frozenset({"AWS::IAM::ManagedPolicy", "AWS::EC2::VPCEndpoint"})
"""Types that moto makes, and leaves when their stack is deleted: whether they go is not tried here."""

QUICK = Conditions(
    network=Spread(0.002, 0.01),
    control=Spread(0.02, 0.1),
    cold=Spread(0.02, 0.1),
    pending=Spread(0.3, 1.0),
    role_late=Spread(2.0, 4.0),
)
"""A good day in an account that is near."""


@dataclass(frozen=True)
class User:
    """Who has an account, this repository and a terminal."""

    account: Rehearsal
    home: Path

    @property
    def names(self) -> Names:
        return Names(
            deployment=ID, account=self.account.services.account, region=self.account.services.region
        )

    def types(self, *words: str) -> str:
        """Run a Python module as a command to its good end; return what it printed."""
        ours = {"ENDPOINT": "aws", "DEPLOYMENT_ID": ID, "STATE_DIR": str(self.home)}
        named = {f"GRAPHLAMBDA_{name}": value for name, value in ours.items()}
        variables = {**os.environ, **self.account.variables, **named}
        command = [sys.executable, "-W", "ignore", "-m", *words]
        ended = subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=COMMAND_S, check=False
        )
        assert ended.returncode == 0, f"{words}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def client(self, service: str, **more: str) -> Any:
        """Return a plain client of a service beside Lambda, or of Lambda at the account."""
        return client(self.account, service, **more)


def client(account: Rehearsal, service: str, **more: str) -> Any:
    services = account.services
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=more.get("url", account.url if service == "lambda" else services.endpoint),
        region_name=services.region,
        aws_access_key_id=services.keys.access_key,
        aws_secret_access_key=services.keys.secret_key,
    )


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    folder = tmp_path_factory.mktemp("whole-way")
    limits = Limits(concurrency=20, unreserved=2)
    local = LocalSettings(state=folder / "lambda", environments=12)
    with rehearsal(folder, limits=limits, conditions=QUICK, local=local) as running:
        yield running


# ---- what is there -------------------------------------------------------------------------------------------


def _found(look: Callable[..., Any], **asked: Any) -> bool:
    try:
        look(**asked)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in {400, 404}:
            return False
        raise
    return True


def _is_there(account: Rehearsal, kind: str, name: str) -> bool:
    """Ask the service itself, not CloudFormation."""
    match kind:
        case "AWS::S3::Bucket":
            return _found(client(account, "s3").head_bucket, Bucket=name)
        case "AWS::IAM::Role":
            return _found(client(account, "iam").get_role, RoleName=name)
        case "AWS::IAM::ManagedPolicy":
            return _found(client(account, "iam").get_policy, PolicyArn=name)
        case "AWS::Logs::LogGroup":
            groups = client(account, "logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
            return name in {group["logGroupName"] for group in groups}
        case "AWS::EC2::SecurityGroup":
            return _found(client(account, "ec2").describe_security_groups, GroupIds=[name])
        case "AWS::EC2::VPCEndpoint":
            return _found(client(account, "ec2").describe_vpc_endpoints, VpcEndpointIds=[name])
    raise AssertionError(f"how is {kind} looked for?")


def _made(account: Rehearsal, stack: str) -> dict[str, tuple[str, str]]:
    """Return type and name of each resource that a stack made, by its name in the template."""
    listed = client(account, "cloudformation").list_stack_resources(StackName=stack)["StackResourceSummaries"]
    return {
        each["LogicalResourceId"]: (each["ResourceType"], each["PhysicalResourceId"])
        for each in listed
        if each["ResourceType"]
    }


def _wanted(text: Mapping[str, Any]) -> dict[str, str]:
    return {name: each["Type"] for name, each in text["Resources"].items()}


def _looked_for(account: Rehearsal, stack: str, text: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return what a stack made, and is there, of all that its template wants; the rest is untested."""
    made, wanted = _made(account, stack), _wanted(text)
    assert {kind for name, kind in wanted.items() if name not in made} == set(wanted.values()) & UNTESTED
    assert {name: kind for name, (kind, _) in made.items()} == {
        name: kind for name, kind in wanted.items() if kind not in UNTESTED
    }
    named = {name: each for name, each in made.items() if each[1]}  # moto names no rule of a security group
    assert [each for each in named.values() if not _is_there(account, *each)] == []
    return named


def _look_gone(account: Rehearsal, made: Mapping[str, tuple[str, str]]) -> None:
    """See that nothing is there any more of what a stack made."""
    left = {kind for kind, name in made.values() if _is_there(account, kind, name)}
    assert left == KEPT & {kind for kind, _ in made.values()}


# ---- the way -------------------------------------------------------------------------------------------------


@pytest.mark.timeout(900)
def test_from_an_empty_account_to_a_clean_one(account: Rehearsal, tmp_path: Path) -> None:
    user = User(account, tmp_path)
    functions = client(account, "lambda")

    user.types("graphlambda", "aws", "init", "--yes")
    made = _looked_for(account, user.names.stack, template(user.names, Choices()))

    told = user.types("demo")
    assert told.count("Dask's own scheduler says the same.") == 4, told
    listed = functions.list_functions()["Functions"]
    assert len(listed) >= 20
    assert all(each["FunctionName"].startswith(f"gl-{ID}-") for each in listed)
    assert {each["Role"] for each in listed} == {user.names.role_arn}
    assert account.ledger.refusals["InvalidParameterValueException"] > 0, "the role was never late"
    assert account.ledger.invocations >= 100
    assert account.ledger.throttles == {}
    behind = client(account, "lambda", url=account.services.endpoint)
    assert behind.list_functions()["Functions"] == [], "moto's own Lambda was asked"

    assert f"gl-{ID}-" in user.types("graphlambda", "aws", "status")

    least_usd, usd, most_usd = json.loads(user.types("tests.fake.estimating"))
    assert least_usd / 2 <= usd <= 2 * most_usd, "an estimate is right to a factor of two beyond what it says"

    user.types("graphlambda", "aws", "sweep", "--older-than", "0", "--yes")
    assert functions.list_functions()["Functions"] == []
    assert functions.list_layers()["Layers"] == []

    assert "Nothing is left" in user.types("graphlambda", "aws", "destroy", "--yes")
    _look_gone(account, made)
    stacks = client(account, "cloudformation").list_stacks()["StackSummaries"]
    assert {each["StackStatus"] for each in stacks} == {"DELETE_COMPLETE"}


@pytest.mark.parametrize("cache", ["valkey-public", "valkey-vpc"])
def test_moto_makes_what_a_cache_stands_on_and_drops_what_is_listed(account: Rehearsal, cache: str) -> None:
    names = Names(deployment=cache[-3:], account=account.services.account, region=account.services.region)
    text = template(names, Choices(cache=cache, vpc=_default_vpc(account) if cache == "valkey-vpc" else None))
    made_without_outputs = {
        key: value for key, value in text.items() if key != "Outputs"
    }  # they ask what is dropped
    client(account, "cloudformation").create_stack(
        StackName=names.stack,
        TemplateBody=json.dumps(made_without_outputs),
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    made = _looked_for(account, names.stack, text)
    client(account, "cloudformation").delete_stack(StackName=names.stack)
    _look_gone(account, made)


def _default_vpc(account: Rehearsal) -> Vpc:
    ec2 = client(account, "ec2")
    lists = ec2.describe_managed_prefix_lists()["PrefixLists"]
    return Vpc(
        id=ec2.describe_vpcs()["Vpcs"][0]["VpcId"],
        subnets=tuple(each["SubnetId"] for each in ec2.describe_subnets()["Subnets"][:2]),
        route_tables=tuple(each["RouteTableId"] for each in ec2.describe_route_tables()["RouteTables"]),
        s3_prefixes=next(each["PrefixListId"] for each in lists if each["PrefixListName"].endswith(".s3")),
    )
