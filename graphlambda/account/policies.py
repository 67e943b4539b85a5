"""Who may do what: the policies of whoever deploys, of whoever only runs, and of the functions.

Pure. In: a deployment's names, choices. Out: policy documents. Must not grant a wildcard action, nor more than this
deployment's names, but for what `FORCED` lists, with its reason, and what the administrator names.

Sources: AWS, "Actions, resources, and condition keys" of each service; Lambda, "Giving Lambda functions access to
resources in an Amazon VPC"; ElastiCache, "Authenticating with IAM"; S3, HeadObject (404 needs s3:ListBucket, whose
`s3:prefix` is then the key: ceph/ceph#68577).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.account.stack import NONE, ROOT_KEY
from graphlambda.deployer.names import ARTIFACTS, KEYS, LEASES, MANIFESTS, RUNS, VALUES, Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphlambda.account.choices import Choices, Grant

Policy: TypeAlias = dict[str, Any]
"""A policy document, or one of its statements."""

EVERYTHING = "*"

POLICY_BYTES = 6_144
"""Most of a managed policy (AWS: IAM quotas)."""

_NO_RESOURCE = "AWS knows no resource for it: it is allowed for all or not at all"
_VPC = (
    "Lambda makes and deletes the network interfaces of functions in a VPC with their role's rights, under names of its "
    "own; functions themselves are denied all of it"
)

FORCED: Mapping[str, str] = {
    "lambda:GetAccountSettings": f"{_NO_RESOURCE}. Concurrency and code storage are read before a run",
    "lambda:ListFunctions": f"{_NO_RESOURCE}. Sweep and destroy find by name what nobody lists",
    "lambda:ListLayers": f"{_NO_RESOURCE}. Sweep and destroy find by name what nobody lists",
    "lambda:ListLayerVersions": f"{_NO_RESOURCE}. The newest version of a layer is looked for by its name",
    "ec2:DescribeSecurityGroups": f"{_NO_RESOURCE}. Lambda checks with it where a function in a VPC is put",
    "ec2:DescribeSubnets": f"{_NO_RESOURCE}. Lambda checks with it where a function in a VPC is put",
    "ec2:DescribeVpcs": f"{_NO_RESOURCE}. Lambda checks with it where a function in a VPC is put",
    "ec2:DescribeNetworkInterfaces": f"{_NO_RESOURCE}. {_VPC}",
    "ec2:CreateNetworkInterface": _VPC,
    "ec2:DeleteNetworkInterface": _VPC,
    "ec2:AssignPrivateIpAddresses": _VPC,
    "ec2:UnassignPrivateIpAddresses": _VPC,
}
"""Actions that are allowed on everything, each with its reason; there is no other."""

_INTERFACES = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
_LOOK = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
_KEEP = (
    "lambda:DeleteFunction",
    "lambda:ListTags",
    "lambda:PublishVersion",
    "lambda:PutFunctionConcurrency",
    "lambda:PutProvisionedConcurrencyConfig",
    "lambda:TagResource",
)
"""Nothing here changes the code or the settings of a function that is there."""

_RUN = ("lambda:GetFunction", "lambda:GetProvisionedConcurrencyConfig", "lambda:InvokeFunction")
"""A run looks first whether a function is what its name promises."""

_STACK = ("cloudformation:GetTemplate", "cloudformation:ListStackResources")
_READ, _WRITE = ("s3:GetObject",), ("s3:AbortMultipartUpload", "s3:DeleteObject", "s3:PutObject")
_SECRETS = {
    "kms": "kms:Decrypt",
    "secretsmanager": "secretsmanager:GetSecretValue",
    "ssm": "ssm:GetParameter",
}


def deployer(names: Names, choices: Choices) -> Policy:
    """Return what whoever deploys, sweeps and runs needs. It changes no function: what is made is made once."""
    with_our_layers = {"ForAllValues:StringLike": {"lambda:Layer": f"{names.layers_arn}:*"}}
    return _policy(
        _allow("MakeFunctions", ("lambda:CreateFunction",), names.functions_arn, with_our_layers),
        _allow("KeepFunctions", _KEEP, names.functions_arn),
        _allow("MakeLayers", ("lambda:PublishLayerVersion",), names.layers_arn),
        _allow("KeepLayers", ("lambda:DeleteLayerVersion",), f"{names.layers_arn}:*"),
        _allow("List", ("lambda:ListFunctions", "lambda:ListLayerVersions", "lambda:ListLayers"), EVERYTHING),
        _allow("ReadWhatTheStackIs", _STACK, names.stack_arn),
        _allow("Deploy", _READ + _WRITE, _below(names, choices, ARTIFACTS, MANIFESTS)),
        _pass_role(names, choices),
        *_runs(names, choices),
        *([_allow("LookAtTheVpc", _LOOK, EVERYTHING)] if choices.vpc or choices.allow_vpc else []),
    )


def runner(names: Names, choices: Choices, functions: Iterable[str] = ()) -> Policy:
    """Return what whoever runs what others have deployed needs: of all functions, or of some, where a policy can name them."""
    named = _runner(names, choices, [names.function_arn(name) for name in functions])
    return named if _size(named) <= POLICY_BYTES else _runner(names, choices, [])


def _runner(names: Names, choices: Choices, functions: list[str]) -> Policy:
    return _policy(
        _allow("ReadManifests", _READ, _below(names, choices, MANIFESTS)),
        *_runs(names, choices, functions),
    )


def _size(policy: Policy) -> int:
    """Return what IAM counts of a policy: all but white space."""
    return len(json.dumps(policy, separators=(",", ":")))


def function(names: Names, choices: Choices) -> Policy:
    """Return what functions may: values of this deployment, its log, and what the administrator names."""
    listed = f"{names.prefix}/{VALUES}/*"
    return _policy(
        _allow("WriteTheLog", ("logs:CreateLogStream", "logs:PutLogEvents"), f"{names.log_group_arn}:*"),
        _allow("Values", _READ + _WRITE, _below(names, choices, VALUES)),
        _list("TellWhichAreThere", names.bucket_arn(choices.bucket), [listed]),
        *_cache(names, choices),
        *_key(names, choices),
        *(each for number, grant in enumerate(choices.data) for each in _data(names, number, grant)),
        *_secrets(names, choices.secrets),
        *(_interfaces(names) if choices.vpc or choices.allow_vpc else []),
    )


def trust(names: Names) -> Policy:
    """Return who may take the functions' role: Lambda, for this account."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"aws:SourceAccount": names.account}},
    }
    return _policy(statement)


def bucket(names: Names, choices: Choices) -> Policy:
    """Return the policy of the bucket that we make: TLS or nothing, and functions see values alone, whatever else allows."""
    place = names.bucket_arn()
    hidden = _below(names, choices, ARTIFACTS, KEYS, LEASES, MANIFESTS, RUNS)
    functions = {"ArnEquals": {"aws:PrincipalArn": choices.role_arn or names.role_arn}}
    return _policy(
        _deny("OnlyWithTls", [place, f"{place}/*"], {"Bool": {"aws:SecureTransport": "false"}}),
        _deny("FunctionsSeeValuesAlone", hidden, functions),
    )


def _runs(names: Names, choices: Choices, functions: Iterable[str] = ()) -> Iterable[Policy]:
    """Return what a run needs, whoever deployed: of all of the deployment's functions, or of some."""
    place = names.bucket_arn(choices.bucket)
    root_key = f"{place}/{names.prefix}/{KEYS}/{ROOT_KEY}"
    return (
        _allow("Run", _RUN, [*functions] or names.functions_arn),
        _allow("LookAtLayers", ("lambda:GetLayerVersion",), f"{names.layers_arn}:*"),
        _allow("ReadLimits", ("lambda:GetAccountSettings",), EVERYTHING),
        _allow("ReadTheStack", ("cloudformation:DescribeStacks",), names.stack_arn),
        _allow("ReadTheRootKey", _READ, root_key),
        _allow("Runs", _READ + _WRITE, _below(names, choices, LEASES, RUNS, VALUES)),
        _list("ListObjects", place, [f"{names.prefix}/*"]),
        _allow("ListUploads", ("s3:ListBucketMultipartUploads",), place),
        _allow("ReadTheLog", ("logs:FilterLogEvents", "logs:GetLogEvents"), f"{names.log_group_arn}:*"),
        *_cache(names, choices),
        *_key(names, choices),
    )


def _pass_role(names: Names, choices: Choices) -> Policy:
    """Return the right to give functions their role: that one, to Lambda."""
    to_lambda = {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}
    return _allow("GiveFunctionsTheirRole", ("iam:PassRole",), choices.role_arn or names.role_arn, to_lambda)


def _cache(names: Names, choices: Choices) -> list[Policy]:
    if choices.cache == NONE:
        return []
    return [_allow("Cache", ("elasticache:Connect",), list(names.cache_arns))]


def _key(names: Names, choices: Choices) -> list[Policy]:
    """Return the right to the key of a bucket, as far as S3 uses it for that bucket's objects."""
    if not choices.kms_key_arn:
        return []
    place = names.bucket_arn(choices.bucket)
    for_ours = {
        **_via(names, [f"s3.{names.region}"]),
        "StringLike": {"kms:EncryptionContext:aws:s3:arn": [place, f"{place}/{names.prefix}/*"]},
    }
    return [_allow("Encryption", ("kms:Decrypt", "kms:GenerateDataKey"), choices.kms_key_arn, for_ours)]


def _via(names: Names, services: Iterable[str]) -> Policy:
    """Return the condition that a key is used by services alone, such as `s3.eu-central-1`, for whoever asks those."""
    domain = "amazonaws.com.cn" if names.partition == "aws-cn" else "amazonaws.com"
    return {"StringEquals": {"kms:ViaService": [f"{each}.{domain}" for each in services]}}


def _data(names: Names, number: int, grant: Grant) -> list[Policy]:
    """Return the right to data of the user's own: one object, or all below a prefix."""
    place = names.bucket_arn(grant.bucket)
    objects = [f"{place}/{grant.prefix}", f"{place}/{grant.prefix}/*"] if grant.prefix else f"{place}/*"
    listed = [grant.prefix, f"{grant.prefix}/*"] if grant.prefix else []
    return [
        _allow(f"Data{number}", _READ + _WRITE if grant.write else _READ, objects),
        _list(f"ListData{number}", place, listed),
    ]


def _secrets(names: Names, arns: Iterable[str]) -> list[Policy]:
    """Return the right to secrets, and to keys as far as those who keep secrets use them."""
    by_service: dict[str, list[str]] = {}
    for arn in arns:
        by_service.setdefault(arn.split(":")[2], []).append(arn)
    return [
        _allow(
            f"Secrets{service.capitalize()}",
            (_SECRETS[service],),
            named,
            _via(names, _keepers(named)) if service == "kms" else None,
        )
        for service, named in sorted(by_service.items())
    ]


def _keepers(keys: Iterable[str]) -> list[str]:
    """Return who keeps secrets, where keys are."""
    regions = sorted({arn.split(":")[3] for arn in keys})
    return [f"{service}.{region}" for region in regions for service in ("secretsmanager", "ssm")]


def _interfaces(names: Names) -> list[Policy]:
    """Return what Lambda needs of the role to put functions into a VPC, and keep that from the functions themselves."""
    by_functions = {"ArnLike": {"lambda:SourceFunctionArn": names.functions_arn}}
    return [
        _allow("PutIntoTheVpc", _INTERFACES, EVERYTHING),
        {**_allow("NotByFunctions", _INTERFACES, EVERYTHING, by_functions), "Effect": "Deny"},
    ]


def _below(names: Names, choices: Choices, *parts: str) -> list[str]:
    return [names.objects_arn(part, bucket=choices.bucket) for part in parts]


def _list(sid: str, place: str, prefixes: list[str]) -> Policy:
    """Return the right to list a bucket, below prefixes where there are some; S3 tells what is not there to those who have it."""
    return _allow(
        sid, ("s3:ListBucket",), place, {"StringLike": {"s3:prefix": prefixes}} if prefixes else None
    )


def _policy(*statements: Policy) -> Policy:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _allow(
    sid: str, actions: Iterable[str], resources: str | list[str], condition: Policy | None = None
) -> Policy:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resources}
    return {**statement, "Condition": condition} if condition else statement


def _deny(sid: str, resources: list[str], condition: Policy) -> Policy:
    """Return what nobody may, of a bucket."""
    everybody = {"Effect": "Deny", "Principal": "*", "Action": "s3:*"}
    return {"Sid": sid, **everybody, "Resource": resources, "Condition": condition}
