"""Whether the requests that we send are those that AWS takes: by botocore's model, all of it, and by ordinary functions' limits.

In: a shape and a value; or nothing, to look at every request of ours from now on. Out: breaches in words. Botocore itself
checks types and minima alone: a name of 300 characters, an unknown runtime or a timeout of an hour leave this machine. The
maxima of its model are those of Lambda Managed Instances; ordinary functions have lower ones (`local.limits`). Must not
look at what others send, such as a test that tries out a refusal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from botocore import handlers

from graphlambda.local import limits
from graphlambda.local.answers import ServiceError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OURS = "graphlambda"
"""In the user agent of every client of ours."""

_EVENT = "before-parameter-build"
_JAVAS = ((re.compile(r"\\p\{\w+\}"), r"\\w\\s!-/:-@\\[-`{-~"), (re.compile(r"\\w-(?!\])"), r"\\w\\-"))
"""Java's classes of letters, digits and signs, and its ranges that are none, as Python writes them."""

_REST_BYTES = 16_384
"""Room for what a request carries beside a zip."""


class UnfitRequestError(AssertionError):
    """We were about to send what AWS would refuse."""


def watch() -> None:
    """Have every request of a client of ours checked, in all botocore sessions that are made from now on in this process."""
    if (_EVENT, _check) not in handlers.BUILTIN_HANDLERS:
        handlers.BUILTIN_HANDLERS.append((_EVENT, _check))


def unwatch() -> None:
    """Let sessions be made as before."""
    if (_EVENT, _check) in handlers.BUILTIN_HANDLERS:
        handlers.BUILTIN_HANDLERS.remove((_EVENT, _check))


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
    if OURS not in (context["client_config"].user_agent_extra or ""):
        return
    found = [] if model.input_shape is None else list(breaches(model.input_shape, params, model.name))
    if model.service_model.service_name == "lambda":
        found += ordinary_breaches(model.name, params)
    if found:
        raise UnfitRequestError("; ".join(found))
