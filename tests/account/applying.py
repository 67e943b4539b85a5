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
    for name, each in template["Resources"].items():
        asked = dict(each["Properties"])
        if each["Type"] == "AWS::Lambda::LayerVersion":
            asked["Content"] = {"ZipFile": folder / Path(asked["Content"]["S3Key"]).name}
            arns[name] = cloud.call(Call("publish_layer_version", asked)).arn
        elif each["Type"] == "AWS::Lambda::Function":
            asked["Code"] = {"ZipFile": folder / Path(asked["Code"]["S3Key"]).name}
            asked["Layers"] = [arns[layer["Ref"]] for layer in asked["Layers"]]
            asked["Tags"] = {tag["Key"]: tag["Value"] for tag in asked["Tags"]}
            cloud.call(Call("create_function", asked))


def by_terraform(document: dict[str, Any], folder: Path, cloud: Cloud) -> None:
    """Make what a document asks for, as Terraform's provider does."""
    arns: dict[str, str] = {}
    for name, each in document["resource"]["aws_lambda_layer_version"].items():
        asked = {
            "LayerName": each["layer_name"],
            "Description": each["description"],
            "Content": {"ZipFile": folder / Path(each["filename"]).name},
        }
        arns[f"${{aws_lambda_layer_version.{name}.arn}}"] = cloud.call(
            Call("publish_layer_version", asked)
        ).arn
    for each in document["resource"]["aws_lambda_function"].values():
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
        cloud.call(Call("create_function", asked))
