"""IAM before an account of moto's and the local Lambda: who asks for what the policies that we generate do not grant is refused.

In: a policy of whoever asks: of a client, and of functions, whom their access key tells apart. Out: AWS's refusals, and what they
were about. Must not judge what is not ours: a test's own clients. What `Invoke` asks is not seen here.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from io import BytesIO
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import fromstring

from botocore import handlers
from botocore.exceptions import ClientError
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from graphlambda.testing.requests import OURS, s3_operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphlambda.account.policies import Policy
    from graphlambda.deployer.names import Names

ADMINISTRATOR: Policy = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": "*"}]}

_EVENT = "before-parameter-build"
_OF_S3 = {
    "CompleteMultipartUpload": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
    "HeadObject": "GetObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectsV2": "ListBucket",
    "UploadPart": "PutObject",
}
"""Actions that are not named as their operation is (AWS: Actions, resources, and condition keys for Amazon S3)."""

_OPERATORS: Mapping[str, Callable[[list[str], list[str]], bool]] = {
    "StringEquals": lambda wanted, found: any(each in wanted for each in found),
    "StringLike": lambda wanted, found: any(fnmatchcase(each, like) for each in found for like in wanted),
    "ForAllValues:StringLike": lambda wanted, found: all(
        any(fnmatchcase(each, like) for like in wanted) for each in found
    ),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What IAM is asked about a request."""

    action: str
    resource: str
    context: Mapping[str, list[str]] = field(default_factory=dict, compare=False)
    """Values by condition key."""


def granted(policy: Policy, asked: Asked) -> bool:
    """Tell whether a policy allows it and denies it nowhere."""
    effects = {each["Effect"] for each in policy["Statement"] if _is_about(each, asked)}
    return effects == {"Allow"}


def _is_about(statement: Policy, asked: Asked) -> bool:
    return (
        any(fnmatchcase(asked.action, each) for each in statement["Action"])
        and any(fnmatchcase(asked.resource, each) for each in _several(statement["Resource"]))
        and all(
            _OPERATORS[operator](_several(wanted), asked.context.get(key, []))
            for operator, keys in statement.get("Condition", {}).items()
            for key, wanted in keys.items()
        )
    )


def _several(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


@dataclass(slots=True)
class Guard:
    """Stands before an account."""

    names: Names
    function_key: str
    """Access key of functions; whoever has another is the client."""

    function: Policy = field(default_factory=lambda: ADMINISTRATOR)
    client: Policy = field(default_factory=lambda: ADMINISTRATOR)
    asked: set[Asked] = field(default_factory=set)
    """By functions and client, since somebody emptied it."""

    refused: set[Asked] = field(default_factory=set)

    def lets(self, asked: Iterable[Asked], key: str = "") -> bool:
        """Tell whether a request may be answered."""
        policy = self.function if key == self.function_key else self.client
        about = set(asked)
        refused = {each for each in about if not granted(policy, each)}
        self.asked |= about
        self.refused |= refused
        return not refused

    def check(self, params: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_more: Any) -> None:
        """Look at a request that one of our boto3 clients is about to send; of S3's, the server is asked."""
        service = model.service_model.signing_name
        if service in {"s3", "sts"} or OURS not in (context["client_config"].user_agent_extra or ""):
            return
        if not self.lets([*_of_boto3(service, model.name, params, self.names)]):
            said = f"not authorized to perform {service}:{model.name}"
            raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": said}}, model.name)


def _of_boto3(service: str, operation: str, params: Mapping[str, Any], names: Names) -> Iterator[Asked]:
    """Yield what a request needs: what is about no resource is about all. The local Lambda's layers are of a region of its own."""
    of_lambda = names.function_arn("")
    of_layers = of_lambda.replace(":function:", ":layer:")
    layers = [of_layers + each.rpartition(":layer:")[2] for each in params.get("Layers", ())]
    context = {"lambda:Layer": layers}
    resource = "*"
    if function := params.get("FunctionName"):
        resource = of_lambda + ":".join(filter(None, (function, params.get("Qualifier"))))
    if (layer := params.get("LayerName")) and operation != "ListLayerVersions":
        version = f":{params['VersionNumber']}" if "VersionNumber" in params else ""
        resource = of_layers + layer.rpartition(":layer:")[2] + version
    if stack := params.get("StackName"):
        named = names.stack_arn.replace(names.stack, stack).replace("*", "1f0e")
        resource = stack if stack.startswith("arn:") else named
    if group := params.get("logGroupName"):
        resource = f"{names.log_group_arn.replace(names.log_group, group)}:*"
    yield Asked(f"{service}:{operation}", resource, context)
    if role := params.get("Role"):
        yield Asked("iam:PassRole", role, {"iam:PassedToService": ["lambda.amazonaws.com"]})
    if operation == "CreateFunction":
        yield from (Asked("lambda:GetLayerVersion", layer) for layer in layers)


def _of_s3(environ: Mapping[str, Any], body: bytes) -> Iterator[Asked]:
    bucket, _, key = environ["PATH_INFO"].lstrip("/").partition("/")
    query = dict(parse_qsl(environ["QUERY_STRING"], keep_blank_values=True))
    operation = s3_operation(environ["REQUEST_METHOD"], key, query)
    keys = [key]
    if operation == "DeleteObjects":
        keys = [each.text or "" for each in fromstring(body).iterfind("{*}Object/{*}Key")]
    context = {"s3:prefix": [query["prefix"]]} if "prefix" in query else {}
    action = f"s3:{_OF_S3.get(operation, operation)}"
    yield from (
        Asked(action, "/".join(filter(None, (f"arn:aws:s3:::{bucket}", each))), context) for each in keys
    )


@contextmanager
def guarded(guard: Guard) -> Iterator[str]:
    """Serve moto's services behind a guard; yield their endpoint."""
    behind = DomainDispatcherApplication(create_backend_app)

    def before(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        credential = re.search(r"Credential=([^/]+)/\d+/[^/]+/(\w+)/", environ.get("HTTP_AUTHORIZATION", ""))
        if credential and credential[2] == "s3":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = BytesIO(body)
            if not guard.lets(_of_s3(environ, body), credential[1]):
                start("403 Forbidden", [("Content-Type", "application/xml")])
                return [b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"]
        answer: Iterable[bytes] = behind(environ, start)
        return answer

    server = make_server("127.0.0.1", 0, before, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=server.serve_forever, name="guarded", daemon=True)
    thread.start()
    handlers.BUILTIN_HANDLERS.append((_EVENT, guard.check))
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        handlers.BUILTIN_HANDLERS.remove((_EVENT, guard.check))
        server.shutdown()
        thread.join()
