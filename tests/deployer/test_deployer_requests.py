"""Every request of ours is held against botocore's model and ordinary functions' limits, before it leaves."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qsl

import boto3
import botocore.session
import pytest
from botocore.config import Config

from graphlambda.deployer.aws import endpoint_cloud
from graphlambda.deployer.functions import Call
from graphlambda.runtime.bucket import FIRST_ONLY
from graphlambda.runtime.http1 import Answer, Headers, Http
from graphlambda.runtime.identity import Keys
from graphlambda.runtime.multipart import put_in_parts
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import Credentials, HttpInvoker
from graphlambda.store.listing import abort_uploads, delete_objects, folders, objects
from graphlambda.store.s3 import Location
from graphlambda.testing.requests import (
    OURS,
    UnfitRequestError,
    breaches,
    http_breaches,
    ordinary_breaches,
    s3_operation,
)

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
    ids=" ".join,
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


class Answering(Http):
    """An S3 server that takes whatever its model knows, and writes down which operations those were."""

    def __init__(self) -> None:
        super().__init__("http://s3.model")
        self.operations: list[str] = []

    def exchange(
        self, method: str, target: str, headers: Any, parts: Any = (), *, place: Any = None
    ) -> Answer:
        path, _, query = target.partition("?")
        asked = dict(parse_qsl(query, keep_blank_values=True))
        operation = s3_operation(method, path.removeprefix("/bucket").lstrip("/"), asked)
        assert list(http_breaches("s3", operation, headers, asked)) == []
        assert headers["x-amz-expected-bucket-owner"] == "123456789012"
        self.operations.append(operation)
        body = b"<R><UploadId>u</UploadId></R>" if operation == "CreateMultipartUpload" else b"<R></R>"
        return Answer(200, Headers("\r\netag: t\r\ncontent-length: 7\r\n"), memoryview(bytearray(body)))


def test_what_our_own_client_asks_of_s3_is_in_its_model_and_names_the_buckets_owner() -> None:
    server = Answering()
    location = Location(
        bucket="bucket", prefix="p", region="eu-west-1", endpoint="http://s3.model", owner="123456789012"
    )
    bucket = location.objects(lambda: Keys("a", "b"), http=server)
    bucket.put("a", [b"1"], FIRST_ONLY)
    bucket.put("a", [b"1"], {"If-Match": "t"})
    bucket.get("a")
    bucket.size("a")
    put_in_parts(bucket, "a", [b"1"], FIRST_ONLY)
    list(objects(bucket, ""))
    list(folders(bucket))
    abort_uploads(bucket, "")
    delete_objects(bucket, ["a"])
    bucket.delete("a")
    assert server.operations == [
        "PutObject", "PutObject", "GetObject", "HeadObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload",
        "ListObjectsV2", "ListObjectsV2", "ListMultipartUploads", "DeleteObjects", "DeleteObject",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("headers", "query", "told"),
    [
        ({"If-None-Match": "*"}, {}, []),
        ({"x-amz-expected-owner": "1"}, {}, ["PutObject: the header x-amz-expected-owner is unknown"]),
        ({"x-amz-storage-class": "COLD"}, {}, ["PutObject: x-amz-storage-class 'COLD' is not of the enum"]),
        ({}, {"versions": ""}, ["PutObject: the querystring versions is unknown"]),
    ],
)
def test_a_part_of_a_request_that_its_operation_does_not_know_is_found(
    headers: dict[str, str], query: dict[str, str], told: list[str]
) -> None:
    assert list(http_breaches("s3", "PutObject", headers, query)) == told
    assert list(http_breaches("s3", "UploadPart", {}, {"uploadId": "u"})) == [
        "UploadPart: the querystring partNumber is missing"
    ]


def test_what_our_own_client_asks_of_lambda_is_in_its_model() -> None:
    heads: list[list[str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append((await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await writer.drain()
        writer.close()

    async def ask() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            invoker = HttpInvoker(
                f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", region="eu-west-1",
                credentials=lambda: Credentials("a", "b"), connections=1, clock=SystemClock(),
            )  # fmt: skip
            await invoker.invoke("gl-a-b", b"{}", timeout_s=10)
            await invoker.close()

    asyncio.run(ask())
    ((line, *headers),) = heads
    method, target, _ = line.split()
    assert (method, target) == ("POST", "/2015-03-31/functions/gl-a-b/invocations")
    given = dict(header.split(": ", 1) for header in headers if header)
    assert list(http_breaches("lambda", "Invoke", given, {})) == []
