"""The control plane: each REST call of Lambda that we answer, but Invoke.

In: a `Call`. Out: an `Answer`, with the catalogue changed. Must not touch the event loop: it runs in a thread.
Names, paths and members are those of https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from __future__ import annotations

import json
import sys
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from graphlambda.local import limits
from graphlambda.local.answers import Answer, ServiceError, document, invalid, not_found, not_validated
from graphlambda.local.names import function_arn, function_name, layer_arn, layer_name, layer_version
from graphlambda.local.packages import package
from graphlambda.local.records import Function, LayerVersion, Mount
from graphlambda.local.unpack import unzip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from graphlambda.local.catalogue import Catalogue
    from graphlambda.local.http import Head, Request

PAGE = 50
"""Items of a list that come in one answer, unless fewer are asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the control plane, taken apart."""

    names: Mapping[str, str]
    """What stands in the path."""

    query: tuple[tuple[str, str], ...]
    body: Mapping[str, Any]

    def asked(self, name: str, default: str = "") -> str:
        """Return the first value of a member of the query."""
        return next((value for key, value in self.query if key == name), default)


ROUTES = (
    ("POST", "/2015-03-31/functions", "create_function"),
    ("GET", "/2015-03-31/functions", "list_functions"),
    ("GET", "/2015-03-31/functions/{function}", "get_function"),
    ("GET", "/2015-03-31/functions/{function}/configuration", "get_function_configuration"),
    ("DELETE", "/2015-03-31/functions/{function}", "delete_function"),
    ("PUT", "/2017-10-31/functions/{function}/concurrency", "put_function_concurrency"),
    ("GET", "/2019-09-30/functions/{function}/concurrency", "get_function_concurrency"),
    ("DELETE", "/2017-10-31/functions/{function}/concurrency", "delete_function_concurrency"),
    ("POST", "/2018-10-31/layers/{layer}/versions", "publish_layer_version"),
    ("GET", "/2018-10-31/layers/{layer}/versions", "list_layer_versions"),
    ("GET", "/2018-10-31/layers/{layer}/versions/{version}", "get_layer_version"),
    ("DELETE", "/2018-10-31/layers/{layer}/versions/{version}", "delete_layer_version"),
    ("GET", "/2018-10-31/layers", "list_layers"),
    ("GET", "/2016-08-19/account-settings", "get_account_settings"),
    ("GET", "/2017-03-31/tags/{resource}", "list_tags"),
    ("POST", "/2017-03-31/tags/{resource}", "tag_resource"),
    ("DELETE", "/2017-03-31/tags/{resource}", "untag_resource"),
)
"""Method, path and the method of `ControlPlane` that answers. A trailing slash makes no difference."""


def route(head: Head) -> tuple[str, dict[str, str]]:
    """Return which operation a request asks for, and the names in its path.

    Raises:
        ServiceError: none that we know.
    """
    parts = head.path.rstrip("/").split("/")
    for method, pattern, operation in ROUTES:
        wanted = pattern.split("/")
        if method == head.method and len(wanted) == len(parts):
            names = _match(wanted, parts)
            if names is not None:
                return operation, names
    raise ServiceError(404, "UnknownOperationException", f"The local Lambda has no {head.method} {head.path}")


def parse(request: Request, names: Mapping[str, str]) -> Call:
    """Return the call that a request is.

    Raises:
        ServiceError: its body is no JSON object.
    """
    try:
        body = json.loads(request.body or b"{}")
    except ValueError as error:
        raise ServiceError(
            400, "SerializationException", "Could not parse the request body as JSON"
        ) from error
    if not isinstance(body, dict):
        raise ServiceError(400, "SerializationException", "The request body is no JSON object")
    return Call(names, tuple(parse_qsl(request.head.query, keep_blank_values=True)), body)


class ControlPlane:
    """Answers calls from a catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        *,
        concurrency: int,
        architecture: str,
        objects: Path | None = None,
        wanted: Callable[[str], None],
        deleted: Callable[[str], None],
    ) -> None:
        self._catalogue = catalogue
        self._concurrency = concurrency
        self._architecture = architecture
        self._objects = objects
        """A folder of what requests may name in S3."""
        self._wanted = wanted
        """Is told of functions that are made or looked at: they may be invoked soon."""
        self._deleted = deleted

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request, a refusal included."""
        try:
            operation, names = route(request.head)
            answer: Answer = getattr(self, operation)(parse(request, names))
        except ServiceError as error:
            return error.answer()
        except (TypeError, AttributeError, KeyError) as error:  # a member of another JSON type than the API's
            return ServiceError(
                400, "SerializationException", f"A member has another type than the API's: {error}"
            ).answer()
        return answer

    def create_function(self, call: Call) -> Answer:
        """CreateFunction: the answer is Pending, as Lambda's; everything after it finds it Active."""
        wanted = call.body
        limits.check_create(wanted, runtime=host_runtime(), architecture=self._architecture)
        layers = [self._catalogue.layer(*layer_version(arn)) for arn in wanted.get("Layers", ())]
        code = unzip(package(wanted.get("Code", {}), "CreateFunction", self._objects), self._catalogue.code)
        limits.check_size((code.unzipped_bytes, *(layer.code.unzipped_bytes for layer in layers)))
        function = Function(
            name=wanted["FunctionName"],
            runtime=wanted["Runtime"],
            role=wanted["Role"],
            handler=wanted["Handler"],
            code=code,
            description=wanted.get("Description", ""),
            memory_mb=wanted.get("MemorySize", 128),
            timeout_s=wanted.get("Timeout", 3),
            ephemeral_mb=wanted.get("EphemeralStorage", {}).get("Size", 512),
            architecture=self._architecture,
            layers=tuple(
                Mount(arn=layer.arn, digest=layer.code.digest, zip_bytes=layer.code.zip_bytes)
                for layer in layers
            ),
            variables=wanted.get("Environment", {}).get("Variables", {}),
            tags=wanted.get("Tags", {}),
            log_group=wanted.get("LoggingConfig", {}).get("LogGroup", ""),
            revision=str(uuid.uuid4()),
            modified=_now(),
        )
        self._catalogue.add_function(function)
        self._wanted(function.name)
        return document(201, function.configuration("Pending"))

    def get_function(self, call: Call) -> Answer:
        """GetFunction, without a Location: the zip is not kept."""
        function = self._function(call)
        self._wanted(function.name)
        concurrency = (
            None if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}
        )
        content = {
            "Configuration": function.configuration(),
            "Code": {"RepositoryType": "S3"},
            "Tags": dict(function.tags) or None,
            "Concurrency": concurrency,
        }
        return document(200, content)

    def get_function_configuration(self, call: Call) -> Answer:
        """GetFunctionConfiguration."""
        return document(200, self._function(call).configuration())

    def list_functions(self, call: Call) -> Answer:
        """ListFunctions, by name."""
        functions = [function.configuration() for function in self._catalogue.functions()]
        return _page(call, "Functions", functions)

    def delete_function(self, call: Call) -> Answer:
        """DeleteFunction; invocations that run end as they would."""
        name = function_name(call.names["function"])
        self._catalogue.remove_function(name)
        self._deleted(name)
        return Answer(204)

    def put_function_concurrency(self, call: Call) -> Answer:
        """PutFunctionConcurrency; all reserved concurrency together stays within the account's."""
        wanted = call.body.get("ReservedConcurrentExecutions")
        if not isinstance(wanted, int) or wanted < 0:
            raise not_validated(
                "reservedConcurrentExecutions", wanted, "Member must be a whole number of at least 0"
            )
        name = function_name(call.names["function"])
        others = sum(other.reserved or 0 for other in self._catalogue.functions() if other.name != name)
        if others + wanted > self._concurrency:
            raise invalid(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                "UnreservedConcurrentExecution below its minimum value of [0].",
            )
        self._catalogue.change_function(name, lambda function: replace(function, reserved=wanted))
        return document(200, {"ReservedConcurrentExecutions": wanted})

    def get_function_concurrency(self, call: Call) -> Answer:
        """GetFunctionConcurrency; an empty answer where nothing is reserved."""
        return document(200, {"ReservedConcurrentExecutions": self._function(call).reserved})

    def delete_function_concurrency(self, call: Call) -> Answer:
        """DeleteFunctionConcurrency."""
        name = function_name(call.names["function"])
        self._catalogue.change_function(name, lambda function: replace(function, reserved=None))
        return Answer(204)

    def publish_layer_version(self, call: Call) -> Answer:
        """PublishLayerVersion."""
        wanted, name = call.body, layer_name(call.names["layer"])
        code = unzip(
            package(wanted.get("Content", {}), "PublishLayerVersion", self._objects), self._catalogue.code
        )

        def make(number: int) -> LayerVersion:
            return LayerVersion(
                name=name,
                version=number,
                code=code,
                description=wanted.get("Description", ""),
                license=wanted.get("LicenseInfo", ""),
                runtimes=tuple(wanted.get("CompatibleRuntimes", ())),
                architectures=tuple(wanted.get("CompatibleArchitectures", ())),
                created=_now(),
            )

        return document(201, self._catalogue.add_layer(make, name).whole())

    def get_layer_version(self, call: Call) -> Answer:
        """GetLayerVersion."""
        return document(200, self._catalogue.layer(layer_name(call.names["layer"]), _number(call)).whole())

    def list_layer_versions(self, call: Call) -> Answer:
        """ListLayerVersions, the newest first."""
        versions = self._catalogue.versions(layer_name(call.names["layer"]))
        return _page(call, "LayerVersions", [version.summary() for version in versions])

    def delete_layer_version(self, call: Call) -> Answer:
        """DeleteLayerVersion; functions that stand on it keep working."""
        self._catalogue.remove_layer(layer_name(call.names["layer"]), _number(call))
        return Answer(204)

    def list_layers(self, call: Call) -> Answer:
        """ListLayers, by name; and GetLayerVersionByArn, which AWS put on the same path."""
        if call.asked("find") == "LayerVersion":
            return document(200, self._catalogue.layer(*layer_version(call.asked("Arn"))).whole())
        newest = self._catalogue.layers()
        layers = [
            {"LayerName": name, "LayerArn": layer_arn(name), "LatestMatchingVersion": version.summary()}
            for name, version in newest.items()
        ]
        return _page(call, "Layers", layers)

    def get_account_settings(self, call: Call) -> Answer:
        """GetAccountSettings: the limits that are enforced here."""
        del call
        functions = self._catalogue.functions()
        reserved = sum(function.reserved or 0 for function in functions)
        limit = {
            "TotalCodeSize": 75 * 2**30,
            "CodeSizeUnzipped": limits.UNZIPPED_BYTES,
            "CodeSizeZipped": limits.ZIP_BYTES,
            "ConcurrentExecutions": self._concurrency,
            "UnreservedConcurrentExecutions": self._concurrency - reserved,
        }
        size = sum(function.code.zip_bytes for function in functions)
        return document(
            200,
            {"AccountLimit": limit, "AccountUsage": {"TotalCodeSize": size, "FunctionCount": len(functions)}},
        )

    def list_tags(self, call: Call) -> Answer:
        """ListTags of a function."""
        return document(200, {"Tags": dict(self._tagged(call).tags)})

    def tag_resource(self, call: Call) -> Answer:
        """TagResource: adds to a function's tags."""

        def tag(function: Function) -> Function:
            tags = {**function.tags, **call.body.get("Tags", {})}
            limits.check_tags(tags)
            return replace(function, tags=tags)

        self._catalogue.change_function(self._tagged(call).name, tag)
        return Answer(204)

    def untag_resource(self, call: Call) -> Answer:
        """UntagResource: takes from a function's tags."""
        gone = {value for key, value in call.query if key == "tagKeys"}

        def untag(function: Function) -> Function:
            return replace(
                function, tags={key: value for key, value in function.tags.items() if key not in gone}
            )

        self._catalogue.change_function(self._tagged(call).name, untag)
        return Answer(204)

    def _function(self, call: Call) -> Function:
        qualifier = call.asked("Qualifier", "$LATEST")
        name = function_name(call.names["function"])
        if qualifier != "$LATEST":
            raise not_found(f"Function not found: {function_arn(name)}:{qualifier}")
        return self._catalogue.function(name)

    def _tagged(self, call: Call) -> Function:
        resource = call.names["resource"]
        if ":function:" not in resource:
            raise invalid(f"Only functions have tags here: {resource}")
        return self._catalogue.function(function_name(resource))


def host_runtime() -> str:
    """Return Lambda's name of the Python that this machine runs functions with."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _match(pattern: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            names[wanted[1:-1]] = unquote(part)
        elif wanted != part:
            return None
    return names


def _page(call: Call, member: str, items: Sequence[Mapping[str, Any]]) -> Answer:
    """Return the part of a list that a call asks for; a marker is the place of a page's first item."""
    asked, marker = call.asked("MaxItems", str(PAGE)), call.asked("Marker", "0")
    if not (asked + marker).isdecimal() or not 1 <= int(asked) <= 10_000:
        raise not_validated("maxItems", asked, "Member must have value between 1 and 10000")
    start = int(marker)
    end = start + min(int(asked), PAGE)
    return document(200, {member: items[start:end], "NextMarker": str(end) if end < len(items) else None})


def _number(call: Call) -> int:
    text = call.names["version"]
    if not text.isascii() or not text.isdigit():
        raise not_validated("versionNumber", text, "Member must be a whole number")
    return int(text)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"
