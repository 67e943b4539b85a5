"""The template: what cfn-lint takes, whole, and what an administrator's choices change of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cfnlint.api import ManualArgs, lint
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.account.choices import Choices, Grant, changed, choices_of
from graphlambda.account.template import template
from graphlambda.errors import ConfigError
from tests.account.cases import CASES, FULL, IN_A_VPC, KEY, NAMES, OF_OTHERS, PLAIN, REGION, VPC

if TYPE_CHECKING:
    from graphlambda.account.template import Template

every_choice = pytest.mark.parametrize("choices", CASES.values(), ids=CASES)
BODY_BYTES = 51_200
"""Most that a template may have which travels in a request (AWS: CloudFormation quotas)."""


def types_of(made: Template) -> dict[str, str]:
    return {name: each["Type"] for name, each in made["Resources"].items()}


@every_choice
def test_cfn_lint_finds_nothing(choices: Choices) -> None:
    found = lint(json.dumps(template(NAMES, choices)), config=ManualArgs(regions=[REGION]))
    assert [str(each) for each in found] == []


@every_choice
def test_a_template_fits_into_a_request_and_says_what_was_chosen(choices: Choices) -> None:
    body = json.dumps(template(NAMES, choices))
    assert len(body.encode()) < BODY_BYTES
    told = json.loads(body)["Metadata"]["graphlambda"]
    assert told["deployment"] == "zzzzzzzz"
    assert choices_of(told["choices"]) == choices


def test_by_default_nothing_stands_that_costs_while_nothing_runs() -> None:
    made = template(NAMES, PLAIN)
    assert types_of(made) == {
        "Bucket": "AWS::S3::Bucket",
        "BucketPolicy": "AWS::S3::BucketPolicy",
        "Log": "AWS::Logs::LogGroup",
        "FunctionRole": "AWS::IAM::Role",
        "DeployerPolicy": "AWS::IAM::ManagedPolicy",
        "RunnerPolicy": "AWS::IAM::ManagedPolicy",
    }
    assert made["Outputs"] == {
        "Deployment": {"Value": "zzzzzzzz"},
        "Bucket": {"Value": {"Ref": "Bucket"}},
        "Prefix": {"Value": "graphlambda/zzzzzzzz"},
        "RoleArn": {"Value": {"Fn::GetAtt": ["FunctionRole", "Arn"]}},
        "LogGroup": {"Value": {"Ref": "Log"}},
    }


def test_the_bucket_is_encrypted_and_closed_and_forgets_what_runs_left() -> None:
    bucket = template(NAMES, PLAIN)["Resources"]["Bucket"]["Properties"]
    assert bucket == {
        "BucketName": "graphlambda-zzzzzzzz-123456789012-eu-central-1",
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": f"graphlambda-{part}",
                    "Status": "Enabled",
                    "Prefix": f"graphlambda/zzzzzzzz/{part}/",
                    "ExpirationInDays": 30,
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
                for part in ("leases", "runs", "values")
            ]
        },
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
        "PublicAccessBlockConfiguration": {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        },
        "Tags": [{"Key": "graphlambda", "Value": "zzzzzzzz"}],
    }


def test_a_public_cache_speaks_valkey_9_to_bearers_of_tokens_alone() -> None:
    resources = template(NAMES, FULL)["Resources"]
    cache, user = resources["Cache"]["Properties"], resources["CacheUser"]["Properties"]
    assert (cache["ConnectionType"], cache["MajorEngineVersion"], cache["KmsKeyId"]) == ("public", "9", KEY)
    assert cache["UserGroupId"] == {"Ref": "CacheUsers"}
    assert user["UserId"] == user["UserName"] == "graphlambda-zzzzzzzz"
    assert user["AuthenticationMode"] == {"Type": "iam"}
    assert resources["CacheUsers"]["Properties"]["UserIds"] == [{"Ref": "CacheUser"}]


def test_functions_in_a_vpc_reach_the_cache_and_s3_and_nothing_else() -> None:
    resources = template(NAMES, IN_A_VPC)["Resources"]
    (way,) = resources["FunctionGroup"]["Properties"]["SecurityGroupEgress"]
    assert (way["DestinationPrefixListId"], way["FromPort"], way["ToPort"]) == (VPC.s3_prefixes, 443, 443)
    group = {"Fn::GetAtt": ["FunctionGroup", "GroupId"]}
    assert resources["CacheFromFunctions"]["Properties"]["SourceSecurityGroupId"] == group
    assert resources["WayToS3"]["Properties"] == {
        "VpcId": VPC.id,
        "VpcEndpointType": "Gateway",
        "ServiceName": "com.amazonaws.eu-central-1.s3",
        "RouteTableIds": list(VPC.route_tables),
        "Tags": [{"Key": "graphlambda", "Value": "zzzzzzzz"}],
    }
    assert resources["Cache"]["Properties"]["SubnetIds"] == list(VPC.subnets)


def test_what_others_gave_is_not_made() -> None:
    made = template(NAMES, OF_OTHERS)
    assert set(types_of(made).values()) == {
        "AWS::ElastiCache::ServerlessCache",
        "AWS::ElastiCache::User",
        "AWS::ElastiCache::UserGroup",
        "AWS::Logs::LogGroup",
    }
    told = {key: output["Value"] for key, output in made["Outputs"].items()}
    assert (told["Bucket"], told["RoleArn"]) == ("theirs", OF_OTHERS.role_arn)
    assert (told["Subnets"], told["SecurityGroups"]) == (",".join(VPC.subnets), "sg-0123456789abcdef0")


def test_the_role_is_lambdas_in_this_account_and_stays_within_its_boundary() -> None:
    role = template(NAMES, FULL)["Resources"]["FunctionRole"]["Properties"]
    assert role["PermissionsBoundary"] == FULL.permissions_boundary
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert role["Tags"] == [
        {"Key": "team", "Value": "climate"},
        {"Key": "graphlambda", "Value": "zzzzzzzz"},
    ]


def test_flags_change_what_they_name_and_keep_the_rest() -> None:
    flags: dict[str, Any] = {"cache": "none", "tags": None, "data": ["s3://other/p/:rw"], "secrets": ["none"]}
    after = changed(FULL, flags, NAMES)
    assert (after.cache, after.secrets, after.tags) == ("none", (), FULL.tags)
    assert after.data == (Grant(bucket="other", prefix="p", write=True),)
    assert after.kms_key_arn == KEY


def test_without_the_cache_in_a_vpc_functions_leave_the_vpc() -> None:
    assert changed(IN_A_VPC, {"cache": "none"}, NAMES) == PLAIN


def test_all_mistakes_are_told_at_once() -> None:
    flags = {
        "cache": "redis",
        "role_arn": "role",
        "kms_key_arn": "alias/ours",
        "tags": ["graphlambda=theirs", "team"],
        "data": ["s3://x", "s3://bucket/all*"],
        "secrets": ["arn:aws:secretsmanager:eu-central-1:123456789012:secret:*"],
    }
    with pytest.raises(ConfigError) as raised:
        changed(PLAIN, flags, NAMES)
    assert [line.partition(" must")[0].partition(" is ")[0] for line in str(raised.value).splitlines()] == [
        "--cache",
        "--data",
        "--data",
        "--kms-key",
        "--role-arn",
        "--secret",
        "--tag graphlambda",
        "--tag",
    ]


@pytest.mark.parametrize(
    "url", ["", "/graphlambda", "/graphlambda/zzzzzzzz/keys", "/graphlambda/zzzzzzzz:rw"]
)
def test_the_deployments_own_keys_are_granted_to_no_function(url: str) -> None:
    with pytest.raises(ConfigError, match="own data"):
        changed(PLAIN, {"data": [f"s3://{NAMES.bucket}{url}"]}, NAMES)


@given(st.text(alphabet="ab/*?$:rw", max_size=8), st.booleans())
def test_no_grant_holds_a_wildcard_or_a_variable(prefix: str, write: bool) -> None:
    text = f"s3://data/{prefix}" + ":rw" * write
    if not set("*?$") & set(prefix):
        (found,) = changed(PLAIN, {"data": [text]}, NAMES).data
        assert found.bucket == "data"
        assert found.write or not text.endswith(":rw")
    else:
        with pytest.raises(ConfigError, match="--data must be"):
            changed(PLAIN, {"data": [text]}, NAMES)
