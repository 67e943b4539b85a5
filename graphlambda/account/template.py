"""One CloudFormation template for all that a deployment stands on.

Pure. In: names, choices. Out: a template, which says in its metadata what was chosen. Must not look anything up, nor hold
a secret: the root key is written by `aws init` once the bucket is there.

Sources: AWS, "CloudFormation template reference", of each type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.account import policies
from graphlambda.account.stack import NONE, VALKEY_PUBLIC
from graphlambda.deployer.names import LEASES, RUNS, TAG, VALUES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.account.choices import Choices, Vpc
    from graphlambda.deployer.names import Names

Template: TypeAlias = dict[str, Any]

METADATA = "graphlambda"
"""Under which a template says whose it is and what was chosen."""

KEEP_DAYS = 30
"""How long what runs left behind stays in the bucket: longer than a run, or a failed one that somebody goes on with."""

UPLOAD_DAYS = 1
"""How long parts stay of an upload that nobody ended."""

LOG_DAYS = 30
VALKEY = "9"
"""Major version; public caches need this one."""

PORT, READERS_PORT = 6379, 6380
"""Of a serverless cache, and of its read endpoint."""

CACHE_RIGHTS = "on ~gl:* -@all +@read +@write +@connection -@dangerous +cluster|slots +info"
"""Of the cache's user: our keys, and no command that looks at anyone else's."""

_GONE = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Delete"}
_KEPT_WHEN_REPLACED = {"DeletionPolicy": "Delete", "UpdateReplacePolicy": "Retain"}
"""CloudFormation deletes no bucket that holds something: `aws destroy` empties it first."""

_NOWHERE = {"IpProtocol": "icmp", "FromPort": 252, "ToPort": 86, "CidrIp": "255.255.255.255/32"}
"""A rule that lets nothing out: a group without one lets everything out."""

_UNTAGGED = frozenset({"AWS::S3::BucketPolicy", "AWS::IAM::ManagedPolicy"})
"""Types that take no tags."""


def template(names: Names, choices: Choices) -> Template:
    """Return the template."""
    resources = {
        **_bucket(names, choices),
        **_log(names),
        **({} if choices.role_arn else _identities(names, choices)),
        **(_cache(names, choices) if choices.cache != NONE else {}),
        **(_network(names, choices.vpc) if choices.vpc else {}),
    }
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"graphlambda deployment {names.deployment}: what its functions stand on",
        "Metadata": {METADATA: {"deployment": names.deployment, "choices": choices.told()}},
        "Resources": {name: _tagged(each, names, choices) for name, each in resources.items()},
        "Outputs": {key: {"Value": value} for key, value in _outputs(names, choices).items()},
    }


def _bucket(names: Names, choices: Choices) -> Template:
    """Return the bucket and its policy; nothing where the administrator gave one."""
    if choices.bucket:
        return {}
    return {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            **_KEPT_WHEN_REPLACED,
            "Properties": {
                "BucketName": names.bucket,
                "BucketEncryption": {"ServerSideEncryptionConfiguration": [_encryption(choices)]},
                "LifecycleConfiguration": {
                    "Rules": [_expiry(names, part) for part in (LEASES, RUNS, VALUES)]
                },
                "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
                "PublicAccessBlockConfiguration": {
                    "BlockPublicAcls": True,
                    "BlockPublicPolicy": True,
                    "IgnorePublicAcls": True,
                    "RestrictPublicBuckets": True,
                },
            },
        },
        "BucketPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": policies.bucket(names, choices)},
        },
    }


def _encryption(choices: Choices) -> Template:
    if not choices.kms_key_arn:
        return {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    ours = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": choices.kms_key_arn}
    return {"ServerSideEncryptionByDefault": ours, "BucketKeyEnabled": True}


def _expiry(names: Names, part: str) -> Template:
    return {
        "Id": f"graphlambda-{part}",
        "Status": "Enabled",
        "Prefix": f"{names.prefix}/{part}/",
        "ExpirationInDays": KEEP_DAYS,
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UPLOAD_DAYS},
    }


def _log(names: Names) -> Template:
    properties = {"LogGroupName": names.log_group, "RetentionInDays": LOG_DAYS}
    return {"Log": {"Type": "AWS::Logs::LogGroup", **_GONE, "Properties": properties}}


def _identities(names: Names, choices: Choices) -> Template:
    """Return the functions' role, and the policies that an administrator attaches to people and roles."""
    inline = {"PolicyName": names.role, "PolicyDocument": policies.function(names, choices)}
    bound = {"PermissionsBoundary": choices.permissions_boundary} if choices.permissions_boundary else {}
    return {
        "FunctionRole": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": names.role,
                "Description": f"What functions of the graphlambda deployment {names.deployment} may do",
                "AssumeRolePolicyDocument": policies.trust(names),
                "Policies": [inline],
                **bound,
            },
        },
        "DeployerPolicy": _managed(names.policy, "deploys and runs", policies.deployer(names, choices)),
        "RunnerPolicy": _managed(names.runner_policy, "only runs", policies.runner(names, choices)),
    }


def _managed(name: str, who: str, document: policies.Policy) -> Template:
    return {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "ManagedPolicyName": name,
            "Description": f"For whoever {who} with graphlambda",
            "PolicyDocument": document,
        },
    }


def _cache(names: Names, choices: Choices) -> Template:
    """Return a cache that only bearers of a token get into: of whoever IAM lets connect as its one user."""
    user = {
        "UserId": names.cache,
        "UserName": names.cache,
        "Engine": "valkey",
        "AccessString": CACHE_RIGHTS,
        "AuthenticationMode": {"Type": "iam"},
    }
    group = {"UserGroupId": names.cache, "Engine": "valkey", "UserIds": [{"Ref": "CacheUser"}]}
    return {
        "CacheUser": {"Type": "AWS::ElastiCache::User", "Properties": user},
        "CacheUsers": {"Type": "AWS::ElastiCache::UserGroup", "Properties": group},
        "Cache": {
            "Type": "AWS::ElastiCache::ServerlessCache",
            **_GONE,
            "Properties": {
                "ServerlessCacheName": names.cache,
                "Description": f"Values of the graphlambda deployment {names.deployment}",
                "Engine": "valkey",
                "MajorEngineVersion": VALKEY,
                "UserGroupId": {"Ref": "CacheUsers"},
                **({"KmsKeyId": choices.kms_key_arn} if choices.kms_key_arn else {}),
                **_reached(choices.cache, choices.vpc),
            },
        },
    }


def _reached(cache: str, vpc: Vpc | None) -> Template:
    """Return from where a cache is reached."""
    if cache == VALKEY_PUBLIC or vpc is None:
        return {"ConnectionType": "public"}
    groups: list[Any] = list(vpc.security_groups) or [{"Fn::GetAtt": ["CacheGroup", "GroupId"]}]
    return {"ConnectionType": "vpc", "SubnetIds": list(vpc.subnets), "SecurityGroupIds": groups}


def _network(names: Names, vpc: Vpc) -> Template:
    """Return what functions in a VPC reach: the cache, and S3 by a way that costs nothing."""
    made = {} if vpc.security_groups else _groups(names, vpc)
    if not vpc.route_tables:
        return made
    endpoint = {
        "VpcId": vpc.id,
        "VpcEndpointType": "Gateway",
        "ServiceName": f"com.amazonaws.{names.region}.s3",
        "RouteTableIds": list(vpc.route_tables),
    }
    return {**made, "WayToS3": {"Type": "AWS::EC2::VPCEndpoint", "Properties": endpoint}}


def _groups(names: Names, vpc: Vpc) -> Template:
    ports = {"IpProtocol": "tcp", "FromPort": PORT, "ToPort": READERS_PORT}
    https = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443}
    to_s3 = {**https, "DestinationPrefixListId": vpc.s3_prefixes, "Description": "S3"}
    to_cache = {**ports, "DestinationSecurityGroupId": {"Fn::GetAtt": ["CacheGroup", "GroupId"]}}
    from_functions = {**ports, "SourceSecurityGroupId": {"Fn::GetAtt": ["FunctionGroup", "GroupId"]}}
    inside = {"GroupId": {"Fn::GetAtt": ["FunctionGroup", "GroupId"]}, **to_cache}
    return {
        "CacheGroup": _group(f"{names.cache}-cache", "the cache of", names, vpc),
        "FunctionGroup": _group(f"{names.cache}-function", "functions of", names, vpc, [to_s3]),
        "FunctionToCache": {"Type": "AWS::EC2::SecurityGroupEgress", "Properties": inside},
        "CacheFromFunctions": {
            "Type": "AWS::EC2::SecurityGroupIngress",
            "Properties": {"GroupId": {"Fn::GetAtt": ["CacheGroup", "GroupId"]}, **from_functions},
        },
    }


def _group(
    name: str, what: str, names: Names, vpc: Vpc, egress: Sequence[Template] = (_NOWHERE,)
) -> Template:
    return {
        "Type": "AWS::EC2::SecurityGroup",
        "Properties": {
            "GroupName": name,
            "GroupDescription": f"For {what} the graphlambda deployment {names.deployment}",
            "VpcId": vpc.id,
            "SecurityGroupEgress": list(egress),
        },
    }


def _tagged(resource: Template, names: Names, choices: Choices) -> Template:
    """Return a resource with the deployment's tag and the administrator's, where its type takes any."""
    if resource["Type"] in _UNTAGGED or resource["Type"].endswith(("Ingress", "Egress")):
        return resource
    tags = [{"Key": key, "Value": value} for key, value in {**choices.tags, TAG: names.deployment}.items()]
    return {**resource, "Properties": {**resource["Properties"], "Tags": tags}}


def _outputs(names: Names, choices: Choices) -> Mapping[str, Any]:
    """Return what `stack.read` reads."""
    return {
        "Deployment": names.deployment,
        "Bucket": choices.bucket or {"Ref": "Bucket"},
        "Prefix": names.prefix,
        "RoleArn": choices.role_arn or {"Fn::GetAtt": ["FunctionRole", "Arn"]},
        "LogGroup": {"Ref": "Log"},
        **({"KmsKeyArn": choices.kms_key_arn} if choices.kms_key_arn else {}),
        **(_cache_outputs(names, choices) if choices.cache != NONE else {}),
        **(_vpc_outputs(choices.vpc) if choices.vpc else {}),
    }


def _cache_outputs(names: Names, choices: Choices) -> Mapping[str, Any]:
    return {
        "CacheKind": choices.cache,
        "CacheName": names.cache,
        "CacheUser": names.cache,
        "CacheHost": {"Fn::GetAtt": ["Cache", "Endpoint.Address"]},
        "CachePort": {"Fn::GetAtt": ["Cache", "Endpoint.Port"]},
    }


def _vpc_outputs(vpc: Vpc) -> Mapping[str, Any]:
    groups = ",".join(vpc.security_groups) or {"Fn::GetAtt": ["FunctionGroup", "GroupId"]}
    return {"Subnets": ",".join(vpc.subnets), "SecurityGroups": groups}
