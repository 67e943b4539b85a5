"""The control plane: each REST call of Lambda that we answer, but Invoke.

In: a `Call`. Out: an `Answer`, with the catalogue changed. Must not touch the event loop: it runs in a thread.
Names, paths and members are those of https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from __future__ import annotations

import platform
import sys
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from graphlambda.local import limits
from graphlambda.local.answers import Answer, ServiceError, document, invalid, not_validated
from graphlambda.local.names import (
    FIRST,
    LATEST,
    function_name,
    layer_arn,
    layer_name,
    layer_version,
    qualified,
)
from graphlambda.local.packages import package
from graphlambda.local.records import Function, LayerVersion, Mount
from graphlambda.local.routes import Call, parse, route
from graphlambda.local.unpack import unzip

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from graphlambda.local.catalogue import Catalogue
    from graphlambda.local.http import Request

PAGE = 50
"""Items of a list that come in one answer, unless fewer are asked for."""

LIBC = "x-graphlambda-libc"
"""A header of GetAccountSettings: the C library that functions have here, which is not that of AWS's managed runtimes."""


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
            published=bool(wanted.get("Publish")),
            snap_start=wanted.get("SnapStart", {}).get("ApplyOn") == "PublishedVersions",
            vpc=wanted.get("VpcConfig", {}),
            revision=str(uuid.uuid4()),
            modified=_now(),
        )
        self._catalogue.add_function(function)
        self._wanted(function.name)
        return document(201, function.configuration("Pending", FIRST if function.published else LATEST))

    def get_function(self, call: Call) -> Answer:
        """GetFunction, without a Location: the zip is not kept."""
        function, version = self._function(call)
        self._wanted(function.name)
        concurrency = (
            None if function.reserved is None else {"ReservedConcurrentExecutions": function.reserved}
        )
        content = {
            "Configuration": function.configuration(version=version),
            "Code": {"RepositoryType": "S3"},
            "Tags": dict(function.tags) or None,
            "Concurrency": concurrency,
        }
        return document(200, content)

    def get_function_configuration(self, call: Call) -> Answer:
        """GetFunctionConfiguration."""
        function, version = self._function(call)
        return document(200, function.configuration(version=version))

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
        return document(200, {"ReservedConcurrentExecutions": self._function(call)[0].reserved})

    def delete_function_concurrency(self, call: Call) -> Answer:
        """DeleteFunctionConcurrency."""
        name = function_name(call.names["function"])
        self._catalogue.change_function(name, lambda function: replace(function, reserved=None))
        return Answer(204)

    def put_provisioned_concurrency_config(self, call: Call) -> Answer:
        """PutProvisionedConcurrencyConfig, of a version; no environment starts for it."""
        function, version = self._function(call)
        wanted = call.body.get("ProvisionedConcurrentExecutions")
        if version == LATEST or not isinstance(wanted, int) or wanted < 1:
            raise invalid("Provisioned concurrency is a whole number of at least 1, of a version.")
        changed = self._catalogue.change_function(
            function.name, lambda function: replace(function, provisioned=wanted)
        )
        return document(202, {**_provisioned(changed), "Status": "IN_PROGRESS"})

    def get_provisioned_concurrency_config(self, call: Call) -> Answer:
        """GetProvisionedConcurrencyConfig."""
        function, version = self._function(call)
        if version == LATEST or not function.provisioned:
            raise ServiceError(
                404,
                "ProvisionedConcurrencyConfigNotFoundException",
                "No Provisioned Concurrency Config found for this function",
            )
        return document(200, {**_provisioned(function), "Status": "READY"})

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
        """GetAccountSettings: the limits that are enforced here, and on what machine."""
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
            (LIBC, " ".join(platform.libc_ver())),
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

    def _function(self, call: Call) -> tuple[Function, str]:
        """Return the function that a call is about, and its version."""
        name, version = qualified(call.names["function"])
        version = call.asked("Qualifier", version)
        return self._catalogue.version(name, version), version

    def _tagged(self, call: Call) -> Function:
        resource = call.names["resource"]
        if ":function:" not in resource:
            raise invalid(f"Only functions have tags here: {resource}")
        return self._catalogue.function(function_name(resource))


def _provisioned(function: Function) -> dict[str, Any]:
    return {
        "RequestedProvisionedConcurrentExecutions": function.provisioned,
        "AvailableProvisionedConcurrentExecutions": function.provisioned,
        "AllocatedProvisionedConcurrentExecutions": function.provisioned,
        "LastModified": function.modified,
    }


def host_runtime() -> str:
    """Return Lambda's name of the Python that this machine runs functions with."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


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
