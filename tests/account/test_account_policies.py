"""Policies: no wildcard action, nothing beyond this deployment's names, and `*` only where AWS forces it."""

from __future__ import annotations

import json
from functools import cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cfnlint
import pytest
from botocore import xform_name

from graphlambda.account import policies
from tests.account.cases import (
    ACCOUNT,
    CASES,
    FULL,
    IN_A_VPC,
    KEY,
    NAMES,
    PARAMETER,
    PLAIN,
    REGION,
    SECRET,
    SECRETS_KEY,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphlambda.account.choices import Choices

KINDS: dict[str, Callable[[Any, Any], policies.Policy]] = {
    "deployer": policies.deployer,
    "runner": policies.runner,
    "function": policies.function,
}
OURS = (
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:gl-zzzzzzzz-*",
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:gl-zzzzzzzz-*",
    f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/graphlambda-zzzzzzzz/*",
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/graphlambda/zzzzzzzz:*",
    f"arn:aws:elasticache:{REGION}:{ACCOUNT}:serverlesscache:graphlambda-zzzzzzzz",
    f"arn:aws:elasticache:{REGION}:{ACCOUNT}:user:graphlambda-zzzzzzzz",
    f"arn:aws:iam::{ACCOUNT}:role/graphlambda-zzzzzzzz-function",
)
"""All that resources outside S3 may begin with, beside what the administrator names."""

IMPLIED = {
    "ec2:DescribeSecurityGroups": "Lambda asks for it, by whoever puts a function into a VPC",
    "iam:PassRole": "CreateFunction, with a role",
    "kms:Decrypt": "S3 asks for it, by whoever reads",
    "kms:GenerateDataKey": "S3 asks for it, by whoever writes",
    "lambda:InvokeFunction": "our own client sends it",
    "lambda:ListTags": "GetFunction tells tags to those alone who have it",
    "lambda:PublishVersion": "CreateFunction, with Publish: AWS's aws-lambda-deploy sends that alone, and lists this right as needed",
    "lambda:TagResource": "CreateFunction, with tags",
    "s3:ListBucket": "ListObjectsV2, and any 404",
    "s3:ListBucketMultipartUploads": "ListMultipartUploads",
}
"""Actions that are granted to people and called nowhere by their name."""

CHANGES_CODE = {
    "lambda:UpdateFunctionCode",
    "lambda:UpdateFunctionConfiguration",
    "lambda:UpdateAlias",
    "lambda:AddPermission",
    "lambda:AddLayerVersionPermission",
}


@cache
def actions_of_aws() -> dict[str, Any]:
    """Return AWS's own table of actions, as cfn-lint has it."""
    path = Path(cfnlint.__file__).with_name("data") / "AdditionalSpecs/Policies.json"
    table: dict[str, Any] = json.loads(path.read_text())
    return table


def statements(kind: str, choices: Choices) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = KINDS[kind](NAMES, choices)["Statement"]
    return found


def allowed(kind: str, choices: Choices) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (action, resource, condition) of all that is allowed."""
    for each in statements(kind, choices):
        if each["Effect"] == "Allow":
            for resource in _several(each["Resource"]):
                for action in each["Action"]:
                    yield action, resource, each.get("Condition", {})


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


every_policy = pytest.mark.parametrize("kind", KINDS)
every_choice = pytest.mark.parametrize("choices", CASES.values(), ids=CASES)


@every_policy
@every_choice
def test_no_action_is_a_wildcard_and_each_is_one_that_aws_has(kind: str, choices: Choices) -> None:
    for action, _, _ in allowed(kind, choices):
        service, _, name = action.partition(":")
        assert "*" not in action
        assert name.lower() in actions_of_aws()[service]["Actions"], action


@every_policy
@every_choice
def test_everything_is_the_resource_only_of_what_is_on_the_list(kind: str, choices: Choices) -> None:
    wide = {action for action, resource, _ in allowed(kind, choices) if resource == "*"}
    assert wide <= set(policies.FORCED)


@every_policy
@every_choice
def test_all_other_resources_end_at_this_deployment_or_are_named_by_the_administrator(
    kind: str, choices: Choices
) -> None:
    bucket = f"arn:aws:s3:::{choices.bucket or NAMES.bucket}"
    prefix = f"{bucket}/graphlambda/zzzzzzzz/"
    named = {choices.kms_key_arn, choices.role_arn, *choices.secrets}
    granted = tuple(f"arn:aws:s3:::{each.bucket}" for each in choices.data)
    for action, resource, condition in allowed(kind, choices):
        if resource == "*" or resource in named:
            continue
        if resource == bucket:
            listed = condition.get("StringLike", {}).get("s3:prefix", ())
            assert action == "s3:ListBucketMultipartUploads" or listed
            assert all(each.startswith("graphlambda/zzzzzzzz/") for each in listed)
        else:
            ours = (*OURS, prefix, *(granted if kind == "function" else ()))
            assert resource.startswith(ours), (action, resource)


def test_what_is_on_the_list_is_forced_by_aws_or_done_by_lambda_in_a_vpc() -> None:
    for action, reason in policies.FORCED.items():
        service, _, name = action.partition(":")
        has_resources = actions_of_aws()[service]["Actions"][name.lower()]
        assert not has_resources or "NetworkInterface" in action or "IpAddresses" in action, action
        assert len(reason) > 40


def test_everything_that_is_on_the_list_is_used() -> None:
    used = {
        action
        for kind in KINDS
        for choices in CASES.values()
        for action, resource, _ in allowed(kind, choices)
        if resource == "*"
    }
    assert used == set(policies.FORCED)


def test_each_action_that_is_granted_to_people_is_called_somewhere() -> None:
    rooms = (Path(policies.__file__).parents[1] / room for room in ("account", "api", "deployer"))
    code = "".join(
        path.read_text() for room in rooms for path in room.glob("*.py") if path.name != "policies.py"
    )
    to_people = chain.from_iterable(
        allowed(kind, choices) for kind in ("deployer", "runner") for choices in CASES.values()
    )
    assert {action for action, _, _ in to_people if xform_name(action.partition(":")[2]) not in code} == set(
        IMPLIED
    )


@every_policy
@every_choice
def test_no_policy_changes_what_a_function_runs_or_who_may_call_it(kind: str, choices: Choices) -> None:
    assert not CHANGES_CODE & {action for action, _, _ in allowed(kind, choices)}


@every_choice
def test_the_role_is_one_and_is_given_to_lambda_alone(choices: Choices) -> None:
    passed = [each for each in statements("deployer", choices) if "iam:PassRole" in each["Action"]]
    assert passed == [
        {
            "Sid": "GiveFunctionsTheirRole",
            "Effect": "Allow",
            "Action": ["iam:PassRole"],
            "Resource": choices.role_arn or NAMES.role_arn,
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        }
    ]
    others = chain(allowed("runner", choices), allowed("function", choices))
    assert not [action for action, _, _ in others if action.startswith("iam:")]


def test_functions_write_values_and_their_log_and_nothing_else() -> None:
    bucket = "arn:aws:s3:::graphlambda-zzzzzzzz-123456789012-eu-central-1"
    values = f"{bucket}/graphlambda/zzzzzzzz/values/*"
    log = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/graphlambda/zzzzzzzz:*"
    assert {(action, resource) for action, resource, _ in allowed("function", PLAIN)} == {
        ("logs:CreateLogStream", log),
        ("logs:PutLogEvents", log),
        ("s3:AbortMultipartUpload", values),
        ("s3:DeleteObject", values),
        ("s3:GetObject", values),
        ("s3:ListBucket", bucket),
        ("s3:PutObject", values),
    }


def test_data_is_granted_by_name_and_written_only_where_that_was_asked_for() -> None:
    granted = {
        resource: {action for action, of, _ in allowed("function", FULL) if of == resource}
        for _, resource, _ in allowed("function", FULL)
        if not resource.startswith(NAMES.bucket_arn())
    }
    write = {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"}
    assert {resource: actions for resource, actions in granted.items() if ":s3:" in resource} == {
        "arn:aws:s3:::observations/era5": {"s3:GetObject"},
        "arn:aws:s3:::observations/era5/*": {"s3:GetObject"},
        "arn:aws:s3:::observations": {"s3:ListBucket"},
        "arn:aws:s3:::results/2026": write,
        "arn:aws:s3:::results/2026/*": write,
        "arn:aws:s3:::results": {"s3:ListBucket"},
        "arn:aws:s3:::everything/*": {"s3:GetObject"},
        "arn:aws:s3:::everything": {"s3:ListBucket"},
    }
    assert granted[SECRET] == {"secretsmanager:GetSecretValue"}
    assert granted[PARAMETER] == {"ssm:GetParameter"}
    assert granted[SECRETS_KEY] == {"kms:Decrypt"}
    assert granted[KEY] == {"kms:Decrypt", "kms:GenerateDataKey"}


def test_only_s3_uses_the_key_and_only_for_this_deployments_objects() -> None:
    for kind in KINDS:
        (condition,) = {json.dumps(of) for _, resource, of in allowed(kind, FULL) if resource == KEY}
        bucket = NAMES.bucket_arn()
        assert json.loads(condition) == {
            "StringEquals": {"kms:ViaService": ["s3.eu-central-1.amazonaws.com"]},
            "StringLike": {"kms:EncryptionContext:aws:s3:arn": [bucket, f"{bucket}/graphlambda/zzzzzzzz/*"]},
        }


def test_the_key_of_secrets_is_used_by_those_alone_who_keep_secrets() -> None:
    ((who, condition),) = (
        (kind, of) for kind in KINDS for _, key, of in allowed(kind, FULL) if key == SECRETS_KEY
    )
    keepers = [f"{each}.eu-central-1.amazonaws.com" for each in ("secretsmanager", "ssm")]
    assert (who, condition) == ("function", {"StringEquals": {"kms:ViaService": keepers}})


def test_functions_in_a_vpc_are_denied_what_lambda_does_in_their_role() -> None:
    by_sid = {each["Sid"]: each for each in statements("function", IN_A_VPC)}
    assert by_sid["NotByFunctions"] == {
        **by_sid["PutIntoTheVpc"],
        "Sid": "NotByFunctions",
        "Effect": "Deny",
        "Condition": {"ArnLike": {"lambda:SourceFunctionArn": NAMES.functions_arn}},
    }


def test_a_runner_reads_what_is_deployed_and_makes_nothing() -> None:
    made = {action for action, _, _ in allowed("runner", FULL) if not action.startswith("s3:")}
    assert made == {
        "cloudformation:DescribeStacks",
        "elasticache:Connect",
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "lambda:GetAccountSettings",
        "lambda:GetFunction",
        "lambda:GetLayerVersion",
        "lambda:GetProvisionedConcurrencyConfig",
        "lambda:InvokeFunction",
        "logs:FilterLogEvents",
        "logs:GetLogEvents",
    }
    written = {resource for action, resource, _ in allowed("runner", FULL) if action == "s3:PutObject"}
    assert written == {NAMES.objects_arn(part) for part in ("leases", "runs", "values")}


@pytest.mark.parametrize("kind", ["deployer", "runner"])
def test_who_deploys_or_runs_reads_the_root_key_and_does_not_change_it(kind: str) -> None:
    root_key = f"{NAMES.bucket_arn()}/graphlambda/zzzzzzzz/keys/root.key"
    keys = {(action, resource) for action, resource, _ in allowed(kind, PLAIN) if "/keys/" in resource}
    assert keys == {("s3:GetObject", root_key)}


def test_the_bucket_hides_from_functions_all_but_values_and_refuses_whoever_comes_without_tls() -> None:
    bucket = NAMES.bucket_arn()
    inside = f"{bucket}/graphlambda/zzzzzzzz"
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}
    assert policies.bucket(NAMES, PLAIN)["Statement"] == [
        {
            "Sid": "OnlyWithTls",
            **everybody,
            "Resource": [bucket, f"{bucket}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        },
        {
            "Sid": "FunctionsSeeValuesAlone",
            **everybody,
            "Resource": [
                f"{inside}/{part}/*" for part in ("artifacts", "keys", "leases", "manifests", "runs")
            ],
            "Condition": {"ArnEquals": {"aws:PrincipalArn": NAMES.role_arn}},
        },
    ]


@every_choice
def test_policies_are_as_short_as_iam_asks(choices: Choices) -> None:
    sizes = {kind: len(json.dumps(KINDS[kind](NAMES, choices), separators=(",", ":"))) for kind in KINDS}
    assert sizes["deployer"] <= 6_144
    assert sizes["runner"] <= 6_144
    assert sizes["function"] <= 10_240
