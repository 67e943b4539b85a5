"""Whether the requests that we send are those that AWS takes: by botocore's model, all of it, and by ordinary functions' limits.

In: a shape and a value; or nothing, to look at every request of ours from now on. Out: breaches in words. Botocore itself
checks types and minima alone: a name of 300 characters, an unknown runtime or a timeout of an hour leave this machine. The
maxima of its model are those of Lambda Managed Instances; ordinary functions have lower ones (`local.limits`). Must not
look at what others send, such as a test that tries out a refusal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from botocore import handlers
from botocore.session import get_session

from graphlambda.local import limits
from graphlambda.local.answers import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "graphlambda"
"""In the user agent of every client of ours."""

_EVENT = "before-parameter-build"
_JAVAS = ((re.compile(r"\\p\{\w+\}"), r"\\w\\s!-/:-@\\[-`{-~"), (re.compile(r"\\w-(?!\])"), r"\\w\\-"))
"""Java's classes of letters, digits and signs, and its ranges that are none, as Python writes them."""

_COMMON = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "content-md5", "content-type", "date", "host"}
    | {"user-agent", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
)  # fmt: skip
"""Headers of HTTP and of the signature; the digest of a list of keys comes in one, which the model leaves to clients."""

_S3 = {
    "AbortMultipartUpload": ("DELETE", True, "uploadId"),
    "CompleteMultipartUpload": ("POST", True, "uploadId"),
    "CreateMultipartUpload": ("POST", True, "uploads"),
    "DeleteObject": ("DELETE", True, ""),
    "DeleteObjects": ("POST", False, "delete"),
    "GetObject": ("GET", True, ""),
    "HeadObject": ("HEAD", True, ""),
    "ListMultipartUploads": ("GET", False, "uploads"),
    "ListObjectsV2": ("GET", False, "list-type"),
    "PutObject": ("PUT", True, ""),
    "UploadPart": ("PUT", True, "partNumber"),
}
"""What our own client asks of S3: method, whether of an object, and what its query is told by."""

_S3_MARKS = frozenset(mark for _, _, mark in _S3.values() if mark)

_REST_BYTES = 16_384
"""Room for what a request carries beside a zip."""


class UnfitRequestError(AssertionError):
    """We were about to send what AWS would refuse."""


def watch() -> None:
    """Have every request of a client of ours checked, in all botocore sessions that are made from now on in this process."""
    if (_EVENT, _check) not in handlers.BUILTIN_HANDLERS:
        handlers.BUILTIN_HANDLERS.append((_EVENT, _check))


def breaches(shape: Any, value: Any, where: str) -> Iterator[str]:
    """Yield each way in which a value is not of a botocore shape: members, minima, maxima, patterns, enums."""
    yield from _own_breaches(shape, value, where)
    if shape.type_name == "structure":
        yield from (f"{where}.{name} is missing" for name in shape.required_members if name not in value)
        yield from (f"{where}.{name} is unknown" for name in value if name not in shape.members)
        inner = [(shape.members[name], value[name], name) for name in value if name in shape.members]
    elif shape.type_name == "map":
        inner = [(shape.key, key, key) for key in value] + [(shape.value, value[key], key) for key in value]
    else:
        inner = [(shape.member, item, "*") for item in value] if shape.type_name == "list" else []
    for member, item, name in inner:
        yield from breaches(member, item, f"{where}.{name}")


def ordinary_breaches(operation: str, params: Mapping[str, Any]) -> Iterator[str]:
    """Yield each way in which a request to Lambda is more than an ordinary function, or a request, may have."""
    zipped = (params.get("Code") or params.get("Content") or {}).get("ZipFile", b"")
    if 4 * -(-len(zipped) // 3) + _REST_BYTES > limits.CONTROL_BYTES:
        yield f"{operation}: a zip of {len(zipped):,} bytes does not fit into a request in base64"
    if operation == "CreateFunction":
        target = {
            "runtime": params.get("Runtime", ""),
            "architecture": params.get("Architectures", ["x86_64"])[0],
        }
        try:
            limits.check_create(params, **target)
        except ServiceError as refused:
            yield f"{operation}: {refused.message}"
    if operation == "Invoke":
        most = (
            limits.EVENT_PAYLOAD_BYTES
            if params.get("InvocationType") == "Event"
            else limits.SYNC_PAYLOAD_BYTES
        )
        if len(params.get("Payload", b"")) > most:
            yield f"{operation}: a payload of {len(params['Payload']):,} bytes is over {most:,}"


def http_breaches(
    service: str, operation: str, headers: Mapping[str, str], query: Mapping[str, str]
) -> Iterator[str]:
    """Yield each way in which a request that botocore did not make is none of its operation: unknown, missing or unfit parts."""
    parts = _parts(service, operation)
    given = {
        ("header", name.lower()): value for name, value in headers.items() if name.lower() not in _COMMON
    }
    given |= {("querystring", name): value for name, value in query.items() if name not in parts.marks}
    for part, text in given.items():
        if part not in parts.members:
            yield f"{operation}: the {part[0]} {part[1]} is unknown"
            continue
        shape = parts.members[part]
        value = int(text) if shape.type_name in {"integer", "long"} and text.isdigit() else text
        yield from _own_breaches(shape, value, f"{operation}: {part[1]}")
    yield from (
        f"{operation}: the {kind} {name} is missing" for kind, name in sorted(parts.required - given.keys())
    )


def s3_operation(method: str, key: str, query: Mapping[str, str]) -> str:
    """Return S3's operation that a request is; empty where it is none that we know."""
    return next(
        (name for name, (verb, of_object, mark) in _S3.items()
         if (verb, of_object) == (method, bool(key)) and (mark in query if mark else not {*query} & _S3_MARKS)),
        "",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Parts:
    """What an operation's requests are made of, beside path and body."""

    members: Mapping[tuple[str, str], Any]
    """Shapes, by where (`header`, `querystring`) and name."""

    required: frozenset[tuple[str, str]]
    marks: frozenset[str]
    """Of its query, what only says which operation it is."""


@lru_cache(maxsize=64)
def _parts(service: str, operation: str) -> _Parts:
    model = _model(service).operation_model(operation)
    found = {
        (shape.serialization["location"], shape.serialization["name"]): (name, shape)
        for name, shape in model.input_shape.members.items()
        if shape.serialization.get("location") in {"header", "querystring"}
    }
    members = {
        (kind, name.lower() if kind == "header" else name): each for (kind, name), each in found.items()
    }
    required = {part for part, (name, _) in members.items() if name in model.input_shape.required_members}
    marks = frozenset(
        name for name, _ in parse_qsl(urlsplit(model.http["requestUri"]).query, keep_blank_values=True)
    )
    return _Parts({part: shape for part, (_, shape) in members.items()}, frozenset(required), marks)


@lru_cache(maxsize=8)
def _model(service: str) -> Any:
    return get_session().get_service_model(service)


def _own_breaches(shape: Any, value: Any, where: str) -> Iterator[str]:
    known = shape.metadata
    size = (
        value if shape.type_name in {"integer", "long"} else len(value) if hasattr(value, "__len__") else None
    )
    if size is not None and size < known.get("min", size):
        yield f"{where} {value!r} is under {known['min']}"
    if size is not None and size > known.get("max", size):
        yield f"{where} {value!r} is over {known['max']}"
    if isinstance(value, str) and not re.fullmatch(_pattern(known.get("pattern", ".*")), value, re.DOTALL):
        yield f"{where} {value!r} is not like its pattern"
    if "enum" in known and value not in known["enum"]:
        yield f"{where} {value!r} is not of the enum"


def _pattern(javas: str) -> str:
    for what, ours in _JAVAS:
        javas = what.sub(ours, javas)
    return javas


def _check(params: Mapping[str, Any], model: Any, context: Mapping[str, Any], **_more: Any) -> None:
    """Look at a request that a client is about to send."""
    if "is_presign_request" in context:  # it is signed here, and sent by nobody
        return
    if OURS not in (context["client_config"].user_agent_extra or ""):
        return
    found = [] if model.input_shape is None else list(breaches(model.input_shape, params, model.name))
    if model.service_model.service_name == "lambda":
        found += ordinary_breaches(model.name, params)
    if found:
        raise UnfitRequestError("; ".join(found))
