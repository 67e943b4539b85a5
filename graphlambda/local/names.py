"""Names and ARNs of functions and layers, as the local account has them.

In: names, ARNs or parts of them. Out: the same, taken apart or put together. Must not look anything up.
"""

from __future__ import annotations

import re

from graphlambda.local.answers import not_validated

ACCOUNT = "000000000000"
"""The local account; no account of AWS has this number."""

REGION = "us-east-1"

LATEST, FIRST = "$LATEST", "1"
"""Versions of a function: itself, and what is published with it. Nothing here changes, so there is no second one."""

_FUNCTION = re.compile(
    r"(?:arn:aws[a-z-]*:lambda:)?(?:[a-z]{2}-[a-z-]+-\d:)?(?:\d{12}:)?(?:function:)?([a-zA-Z0-9-_]{1,64})(?::(\$LATEST|\d+))?"
)
_LAYER = re.compile(r"(?:arn:aws[a-z-]*:lambda:[a-z]{2}-[a-z-]+-\d:\d{12}:layer:)?([a-zA-Z0-9-_]{1,140})")
_LAYER_VERSION = re.compile(
    r"arn:aws[a-z-]*:lambda:[a-z]{2}-[a-z-]+-\d:(\d{12}):layer:([a-zA-Z0-9-_]{1,140}):(\d+)"
)


def function_name(text: str) -> str:
    """Return the bare name of a function given by name, partial ARN or ARN; raises as `qualified` does."""
    return qualified(text)[0]


def qualified(text: str) -> tuple[str, str]:
    """Return the bare name, and the version, of a function given by name, partial ARN or ARN.

    Raises:
        ServiceError: it is none of these.
    """
    match = _FUNCTION.fullmatch(text)
    if match is None:
        raise not_validated(
            "functionName", text, f"Member must satisfy regular expression pattern: {_FUNCTION.pattern}"
        )
    return match[1], match[2] or LATEST


def function_arn(name: str) -> str:
    """Return the ARN of a function."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def layer_name(text: str) -> str:
    """Return the bare name of a layer given by name or ARN.

    Raises:
        ServiceError: it is neither.
    """
    match = _LAYER.fullmatch(text)
    if match is None:
        raise not_validated(
            "layerName", text, f"Member must satisfy regular expression pattern: {_LAYER.pattern}"
        )
    return match[1]


def layer_arn(name: str) -> str:
    """Return the ARN of a layer."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:{name}"


def layer_version(arn: str) -> tuple[str, int]:
    """Return name and number of a layer version given by ARN.

    Raises:
        ServiceError: it is no ARN of a layer version.
    """
    match = _LAYER_VERSION.fullmatch(arn)
    if match is None:
        raise not_validated(
            "arn", arn, f"Member must satisfy regular expression pattern: {_LAYER_VERSION.pattern}"
        )
    return match[2], int(match[3])
