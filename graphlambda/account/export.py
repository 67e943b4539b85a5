"""A program's functions, layers and rights as infrastructure code: a CloudFormation template, or Terraform's JSON.

Pure. In: the calls that would make the functions in an empty account, where zips lie, who may run them. Out: a document. Must not
know how a function is put together: what a call asks for is what the document asks for, so that whoever applies it by
other means leaves a deploy nothing to do.

Sources: AWS, "CloudFormation template reference", AWS::Lambda::Function, Version, LayerVersion, AWS::IAM::ManagedPolicy; Terraform, "JSON
Configuration Syntax", and its AWS provider, aws_lambda_function, aws_lambda_layer_version, aws_s3_object, aws_iam_policy,
aws_lambda_provisioned_concurrency_config; all arguments, their types and what is required, held against the schema of its release 6.25.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.deployer.functions import Call, Ref, Shelved
from graphlambda.deployer.shelf import code_sha256_of
from graphlambda.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from graphlambda.account.policies import Policy

Document: TypeAlias = dict[str, Any]

CLOUDFORMATION, TERRAFORM = "cloudformation", "terraform-json"

ZIPS = "artifacts"
"""Folder beside the document in which the zips lie."""

MOST_RESOURCES = 500
"""In one template (AWS: CloudFormation quotas)."""

_PROVIDER = {"source": "hashicorp/aws", "version": ">= 5.76"}
"""The first release that knows of Python 3.13; `logging_config` came before."""

_CODE = {"create_function": "Code", "publish_layer_version": "Content"}
"""By call, the param that says where its zip is."""

_VERBATIM = frozenset({"Tags", "Variables"})
"""Params whose members are the user's names, not Lambda's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is exported."""

    deployment: str
    region: str
    calls: Sequence[Call]
    """What an empty account would be asked: layers first."""

    zips: Mapping[Path, str]
    """By path, `<sha256>.zip`: of the file beside the document, and of the object in the bucket."""

    bucket: str
    """From which CloudFormation reads all zips, and Terraform those that no request carries."""

    prefix: str
    """Of the zips' keys; ends in a slash."""

    reserved: Mapping[str, int]
    """By function, the concurrency that is its own, where it has some."""

    provisioned: Mapping[str, int]
    """By function, the environments of its one version that wait, where some do."""

    policy_name: str
    policy: Policy
    """Of whoever runs the program."""

    def zip_of(self, call: Call) -> tuple[str, bool]:
        """Return the key of a call's zip, and whether no request carries it."""
        code = call.params[_CODE[call.method]]
        return (
            (self.zips[code.zip_path], True)
            if isinstance(code, Shelved)
            else (self.zips[code["ZipFile"]], False)
        )


def exported(wanted: Wanted, kind: str) -> Document:
    """Return the document of a kind, `CLOUDFORMATION` or `TERRAFORM`.

    Raises:
        ConfigError: the program has more functions and layers than CloudFormation takes in one template.
    """
    return _KINDS[kind](wanted)


def _cloudformation(wanted: Wanted) -> Document:
    resources: dict[str, Document] = {}
    for call in wanted.calls:
        resources[_logical(call.subject)] = _resource(wanted, call)
        if "Publish" in call.params:
            resources[f"{_logical(call.subject)}Version"] = _version(wanted, call)
    managed = {
        "ManagedPolicyName": wanted.policy_name,
        "Description": "For whoever only runs this program",
        "PolicyDocument": wanted.policy,
    }
    resources["RunnerPolicy"] = {"Type": "AWS::IAM::ManagedPolicy", "Properties": managed}
    if len(resources) > MOST_RESOURCES:
        raise ConfigError(
            f"the program has {len(resources):,} functions, layers and policies, and CloudFormation takes {MOST_RESOURCES} in a "
            f"template: export it as {TERRAFORM}, or compile its parts on their own"
        )
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Functions of a program of the graphlambda deployment {wanted.deployment}",
        "Resources": resources,
    }


def _resource(wanted: Wanted, call: Call) -> Document:
    """Return one layer version or function; its properties are named as Lambda's params are."""
    key, _ = wanted.zip_of(call)
    is_function = call.method == "create_function"
    properties = {
        **{name: value for name, value in call.params.items() if name != "Publish"},
        _CODE[call.method]: {"S3Bucket": wanted.bucket, "S3Key": wanted.prefix + key},
    }
    if is_function:
        properties["Layers"] = [{"Ref": _logical(_layer_of(each))} for each in call.params["Layers"]]
        properties["Tags"] = [{"Key": key, "Value": value} for key, value in call.params["Tags"].items()]
    if call.subject in wanted.reserved:
        properties["ReservedConcurrentExecutions"] = wanted.reserved[call.subject]
    kind = "Function" if is_function else "LayerVersion"
    return {"Type": f"AWS::Lambda::{kind}", "Properties": properties}


def _version(wanted: Wanted, call: Call) -> Document:
    """Return the one version of a function: CloudFormation takes it apart from the function."""
    count = wanted.provisioned.get(call.subject)
    waiting = {"ProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": count}} if count else {}
    return {
        "Type": "AWS::Lambda::Version",
        "Properties": {"FunctionName": {"Ref": _logical(call.subject)}, **waiting},
    }


def _terraform(wanted: Wanted) -> Document:
    by_kind: dict[str, dict[str, Document]] = {
        "aws_lambda_layer_version": {},
        "aws_lambda_function": {},
        "aws_s3_object": {},
    }
    for call in wanted.calls:
        kind = "aws_lambda_function" if call.method == "create_function" else "aws_lambda_layer_version"
        by_kind[kind][_local(call.subject)] = _block(wanted, call)
        key, is_shelved = wanted.zip_of(call)
        if is_shelved:
            by_kind["aws_s3_object"][_object(key)] = {
                "bucket": wanted.bucket,
                "key": wanted.prefix + key,
                "source": _beside(key),
            }
    by_kind["aws_lambda_provisioned_concurrency_config"] = {
        _local(function): _waiting(function, count) for function, count in wanted.provisioned.items()
    }
    policy = {"name": wanted.policy_name, "policy": _literal(json.dumps(wanted.policy))}
    by_kind["aws_iam_policy"] = {"runner": policy}
    return {
        "terraform": {"required_providers": {"aws": _PROVIDER}},
        "provider": {"aws": {"region": wanted.region}},
        "resource": {kind: found for kind, found in by_kind.items() if found},
    }


def _block(wanted: Wanted, call: Call) -> Document:
    """Return one layer version or function; its arguments are named as Lambda's params are, in snake case."""
    key, is_shelved = wanted.zip_of(call)
    shelf = f"aws_s3_object.{_object(key)}"
    code = (
        {"s3_bucket": f"${{{shelf}.bucket}}", "s3_key": f"${{{shelf}.key}}"}
        if is_shelved
        else {"filename": _beside(key)}
    )
    plain = {name: value for name, value in call.params.items() if name not in {"Layers", _CODE[call.method]}}
    arguments = {**_arguments(plain), **code, "source_code_hash": code_sha256_of(key)}
    if call.method == "create_function":
        layers = [_local(_layer_of(each)) for each in call.params["Layers"]]
        arguments["layers"] = [f"${{aws_lambda_layer_version.{layer}.arn}}" for layer in layers]
    if call.subject in wanted.reserved:
        arguments["reserved_concurrent_executions"] = wanted.reserved[call.subject]
    return arguments


def _waiting(function: str, count: int) -> Document:
    made = f"aws_lambda_function.{_local(function)}"
    return {
        "function_name": f"${{{made}.function_name}}",
        "qualifier": f"${{{made}.version}}",
        "provisioned_concurrent_executions": count,
    }


def _arguments(params: Mapping[str, Any]) -> Document:
    """Return params as Terraform's arguments: what has members is a block."""
    found: Document = {}
    for name, value in params.items():
        if name in _VERBATIM:
            found[_snake(name)] = {key: _literal(each) for key, each in value.items()}
        elif isinstance(value, Mapping):
            found[_snake(name)] = [_arguments(value)]
        else:
            found[_snake(name)] = _literal(value) if isinstance(value, str) else value
    return found


def _layer_of(reference: Any) -> str:
    """Return the name of a layer that the same document makes."""
    assert isinstance(reference, Ref), "in an empty account there is no layer yet"
    return reference.layer


def _beside(key: str) -> str:
    return f"${{path.module}}/{ZIPS}/{key}"


def _object(key: str) -> str:
    return f"zip_{key.removesuffix('.zip')}"


def _local(name: str) -> str:
    """Return Terraform's name of a function or layer."""
    return name.replace("-", "_")


def _logical(name: str) -> str:
    """Return CloudFormation's name of a function or layer: letters and digits. Names end in digests, so no two are alike."""
    return "".join(word.capitalize() for word in re.findall(r"[a-zA-Z0-9]+", name))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _literal(text: str) -> str:
    """Return a string in which Terraform finds no expression."""
    return text.replace("${", "$${").replace("%{", "%%{")


_KINDS: Mapping[str, Callable[[Wanted], Document]] = {CLOUDFORMATION: _cloudformation, TERRAFORM: _terraform}

FORMATS = tuple(_KINDS)
