"""Applies what was exported, as CloudFormation and Terraform do: resource after resource, by the properties alone.

In: a document, the folder of its zips, a cloud. Out: functions and layers there.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.functions import Call

if TYPE_CHECKING:
    from graphlambda.deployer.cloud import Cloud


def by_cloudformation(template: dict[str, Any], folder: Path, cloud: Cloud) -> None:
    """Make what a template asks for, as CloudFormation does."""
    arns: dict[str, str] = {}
    resources = template["Resources"].items()
    versions = {
        each["Properties"]["FunctionName"]["Ref"]: each["Properties"]
        for _, each in resources
        if each["Type"] == "AWS::Lambda::Version"
    }
    for name, each in resources:
        asked = dict(each["Properties"])
        if each["Type"] == "AWS::Lambda::LayerVersion":
            asked["Content"] = {"ZipFile": folder / Path(asked["Content"]["S3Key"]).name}
            arns[name] = cloud.call(Call("publish_layer_version", asked)).arn
        elif each["Type"] == "AWS::Lambda::Function":
            asked["Code"] = {"ZipFile": folder / Path(asked["Code"]["S3Key"]).name}
            asked["Layers"] = [arns[layer["Ref"]] for layer in asked["Layers"]]
            asked["Tags"] = {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
            waiting = versions.get(name, {}).get("ProvisionedConcurrencyConfig", {})
            _make(
                {**asked, **({"Publish": True} if name in versions else {})},
                waiting.get("ProvisionedConcurrentExecutions"),
                cloud,
            )


def by_terraform(document: dict[str, Any], folder: Path, cloud: Cloud) -> None:
    """Make what a document asks for, as Terraform's provider does."""
    found, arns = document["resource"], {}
    for name, each in found["aws_lambda_layer_version"].items():
        asked = {
            "LayerName": each["layer_name"],
            "Description": each["description"],
            "Content": {"ZipFile": folder / Path(each["filename"]).name},
        }
        made = cloud.call(Call("publish_layer_version", asked))
        arns[f"${{aws_lambda_layer_version.{name}.arn}}"] = made.arn
    waiting = found.get("aws_lambda_provisioned_concurrency_config", {})
    for name, each in found["aws_lambda_function"].items():
        asked = {
            "FunctionName": each["function_name"],
            "Role": each["role"],
            "Runtime": each["runtime"],
            "Handler": each["handler"],
            "Architectures": each["architectures"],
            "Code": {"ZipFile": folder / Path(each["filename"]).name},
            "Layers": [arns[layer] for layer in each["layers"]],
            "MemorySize": each["memory_size"],
            "Timeout": each["timeout"],
            "EphemeralStorage": {"Size": each["ephemeral_storage"][0]["size"]},
            "Environment": {"Variables": each["environment"][0]["variables"]},
            "Tags": each["tags"],
        }
        if "vpc_config" in each:
            (there,) = each["vpc_config"]
            asked["VpcConfig"] = {
                "SubnetIds": there["subnet_ids"],
                "SecurityGroupIds": there["security_group_ids"],
            }
        if "snap_start" in each:
            asked["SnapStart"] = {"ApplyOn": each["snap_start"][0]["apply_on"]}
        if each.get("publish"):
            asked["Publish"] = True
        if "reserved_concurrent_executions" in each:
            asked["ReservedConcurrentExecutions"] = each["reserved_concurrent_executions"]
        _make(asked, waiting.get(name, {}).get("provisioned_concurrent_executions"), cloud)


def _make(asked: dict[str, Any], waiting: int | None, cloud: Cloud) -> None:
    """Make a function, then what Lambda takes apart from it."""
    reserved = asked.pop("ReservedConcurrentExecutions", None)
    cloud.call(Call("create_function", asked))
    function = {"FunctionName": asked["FunctionName"]}
    if reserved is not None:
        cloud.call(Call("put_function_concurrency", {**function, "ReservedConcurrentExecutions": reserved}))
    if waiting:
        params = {**function, "Qualifier": "1", "ProvisionedConcurrentExecutions": waiting}
        cloud.call(Call("put_provisioned_concurrency_config", params))
