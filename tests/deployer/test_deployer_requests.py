"""Every request of ours is held against botocore's model and ordinary functions' limits, before it leaves."""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
import pytest
from botocore.config import Config

from graphlambda.deployer.aws import endpoint_cloud
from graphlambda.deployer.functions import Call
from graphlambda.testing.requests import OURS, UnfitRequestError, breaches, ordinary_breaches

CREATE: dict[str, Any] = {
    "FunctionName": "gl-a-b",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Runtime": "python3.12",
    "Handler": "a.b",
    "Code": {"ZipFile": b"PK"},
}


def test_the_model_finds_what_botocore_itself_lets_pass() -> None:
    model = botocore.session.Session().get_service_model("lambda")
    shape = model.operation_model("CreateFunction").input_shape
    params = {"FunctionName": "a b", "Runtime": "python2.0", "Timeout": 0, "Colour": "red"}
    assert sorted(breaches(shape, params, "call")) == [
        "call.Code is missing",
        "call.Colour is unknown",
        "call.FunctionName 'a b' is not like its pattern",
        "call.Role is missing",
        "call.Runtime 'python2.0' is not of the enum",
        "call.Timeout 0 is under 1",
    ]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({}, []),
        ({"Timeout": 901}, ["less than or equal to 900"]),
        ({"MemorySize": 10_241}, ["less than or equal to 10240"]),
        ({"EphemeralStorage": {"Size": 10_241}}, ["less than or equal to 10240"]),
        ({"FunctionName": "g" * 65}, ["regular expression pattern"]),
        ({"Environment": {"Variables": {"A1": "v" * 4096}}}, ["exceeded the 4KB limit"]),
        ({"Environment": {"Variables": {"AWS_REGION": "r"}}}, ["reserved keys"]),
        ({"Layers": [f"arn:aws:lambda:eu-west-1:123456789012:layer:l{n}:1" for n in range(6)]}, ["more than 5 layers"]),
        ({"Code": {"ZipFile": bytes(53_000_000)}}, ["does not fit into a request"]),
    ],
    ids=str,
)  # fmt: skip
def test_ordinary_functions_have_less_than_the_model_allows(more: dict[str, Any], told: list[str]) -> None:
    found = list(ordinary_breaches("CreateFunction", {**CREATE, **more}))
    assert len(found) == len(told)
    assert all(words in breach for words, breach in zip(told, found, strict=True))


def test_a_request_of_ours_that_aws_would_refuse_never_leaves_in_any_test() -> None:
    cloud = endpoint_cloud("http://127.0.0.1:1", "us-east-1", access_key="a", secret_key="b")
    with pytest.raises(UnfitRequestError, match="'timeout' failed to satisfy constraint"):
        cloud.call(Call("create_function", {**CREATE, "Timeout": 1000}))
    with pytest.raises(UnfitRequestError, match=r"GetFunction.FunctionName 'a b' is not like its pattern"):
        cloud.describe(functions=["a b"])


def test_what_a_test_itself_sends_is_not_looked_at() -> None:
    ours, own = (
        boto3.client(
            "lambda", "us-east-1", endpoint_url="http://127.0.0.1:1", aws_access_key_id="a", aws_secret_access_key="b",
            config=Config(user_agent_extra=name, retries={"total_max_attempts": 1}, connect_timeout=1),
        )
        for name in (OURS, None)
    )  # fmt: skip
    for client, error in ((ours, UnfitRequestError), (own, botocore.exceptions.EndpointConnectionError)):
        with pytest.raises(error):
            client.get_function(FunctionName="a b")
