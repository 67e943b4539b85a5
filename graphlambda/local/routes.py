"""Which call of Lambda's control plane a request is.

In: a request. Out: the operation's name and a `Call`. Must not answer it.
Paths and members are those of https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from graphlambda.local.answers import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.local.http import Head, Request


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


_PROVISIONED = "/2019-09-30/functions/{function}/provisioned-concurrency"

ROUTES = (
    ("POST", "/2015-03-31/functions", "create_function"),
    ("GET", "/2015-03-31/functions", "list_functions"),
    ("GET", "/2015-03-31/functions/{function}", "get_function"),
    ("GET", "/2015-03-31/functions/{function}/configuration", "get_function_configuration"),
    ("DELETE", "/2015-03-31/functions/{function}", "delete_function"),
    ("PUT", "/2017-10-31/functions/{function}/concurrency", "put_function_concurrency"),
    ("GET", "/2019-09-30/functions/{function}/concurrency", "get_function_concurrency"),
    ("DELETE", "/2017-10-31/functions/{function}/concurrency", "delete_function_concurrency"),
    ("PUT", _PROVISIONED, "put_provisioned_concurrency_config"),
    ("GET", _PROVISIONED, "get_provisioned_concurrency_config"),
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


def _match(pattern: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    names: dict[str, str] = {}
    for wanted, part in zip(pattern, parts, strict=True):
        if wanted.startswith("{"):
            names[wanted[1:-1]] = unquote(part)
        elif wanted != part:
            return None
    return names
