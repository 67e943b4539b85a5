"""Lambda's limits, and the check of what a client asks for against them.

In: the JSON of CreateFunction and PublishLayerVersion. Out: nothing, or Lambda's own refusal. Must not touch disk.
Sources: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html, API_CreateFunction.html
(botocore's model allows more: its maxima are those of Lambda Managed Instances).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from graphlambda.local.answers import ServiceError, invalid, not_validated
from graphlambda.parsers import RESERVED, VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

UNZIPPED_BYTES = 262_144_000
"""A function and its layers, unzipped."""

ZIP_BYTES = 52_428_800
"""A zip inside of a request."""

CONTROL_BYTES = 70_167_211
"""A whole request to the control plane: a zip in base64 and the rest."""

SYNC_PAYLOAD_BYTES = 6_291_456
EVENT_PAYLOAD_BYTES = 1_048_576
RESPONSE_BYTES = 6_291_556
LOG_TAIL_BYTES = 4_096
LAYERS = 5
TAGS = 50
VARIABLES_BYTES = 4_096
INIT_S = 10.0
"""What initialisation may take beside the function's own timeout."""

_PATTERNS = {
    "functionName": re.compile(r"[a-zA-Z0-9-_]{1,64}"),
    "handler": re.compile(r"\S{1,128}"),
    "role": re.compile(r"arn:aws[a-zA-Z-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
}


def check_create(wanted: Mapping[str, Any], *, runtime: str, architecture: str) -> None:
    """Return if a function may be created like this on a machine of this runtime and architecture.

    Raises:
        ServiceError: a limit or a pattern is not kept; the message is Lambda's.
    """
    for member in ("functionName", "handler", "role"):
        _check_pattern(member, wanted.get(member[0].upper() + member[1:]))
    _check_range("memorySize", wanted.get("MemorySize", 128), 128, 10_240)
    _check_range("timeout", wanted.get("Timeout", 3), 1, 900)
    _check_range("ephemeralStorage.size", wanted.get("EphemeralStorage", {}).get("Size", 512), 512, 10_240)
    _check_target(wanted, runtime, architecture)
    check_variables(wanted.get("Environment", {}).get("Variables", {}))
    check_tags(wanted.get("Tags", {}))
    layers = wanted.get("Layers", ())
    if len(layers) > LAYERS:
        raise invalid(f"You cannot reference more than {LAYERS} layers.")
    if len(set(layers)) < len(layers):
        raise invalid(
            "Two different versions of the same layer are not allowed to be referenced in the same function."
        )


def check_size(unzipped: Iterable[int]) -> None:
    """Return if a function's own files and its layers fit together, given their unzipped sizes in bytes.

    Raises:
        ServiceError: they do not.
    """
    if sum(unzipped) > UNZIPPED_BYTES:
        raise invalid(
            f"Function code combined with layers exceeds the maximum allowed size of {UNZIPPED_BYTES} bytes."
        )


def check_variables(variables: Mapping[str, str]) -> None:
    """Return if a function may have these environment variables.

    Raises:
        ServiceError: a name is reserved or malformed, or all are larger than 4 KB together.
    """
    reserved = sorted(name for name in variables if RESERVED.fullmatch(name))
    if reserved:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided contains reserved keys that are currently not supported for modification. Reserved keys used "
            f"in this request: {', '.join(reserved)}",
        )
    for name in variables:
        if VARIABLE.fullmatch(name) is None:
            raise not_validated("environment.variables", name, f"Member must satisfy {VARIABLE.pattern}")
    used = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
    if used > VARIABLES_BYTES:
        raise invalid(
            "Lambda was unable to configure your environment variables because the environment variables you have "
            f"provided exceeded the {VARIABLES_BYTES // 1024}KB limit.",
        )


def check_tags(tags: Mapping[str, str]) -> None:
    """Return if a function may have all these tags.

    Raises:
        ServiceError: there are too many, or one is too long or `aws:`'s.
    """
    if len(tags) > TAGS:
        raise invalid(f"The number of tags exceeds the limit of {TAGS}.")
    for key, value in tags.items():
        if not 1 <= len(key) <= 128 or len(value) > 256 or key.startswith("aws:"):
            raise invalid(f"The tag {key!r} is not valid.")


def _check_pattern(member: str, value: object) -> None:
    if value is None:
        raise not_validated(member, "null", "Member must not be null")
    if not isinstance(value, str) or _PATTERNS[member].fullmatch(value) is None:
        raise not_validated(
            member, value, f"Member must satisfy regular expression pattern: {_PATTERNS[member].pattern}"
        )


def _check_range(member: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ServiceError(400, "SerializationException", f"'{member}' must be a whole number")
    if value < least:
        raise not_validated(member, value, f"Member must have value greater than or equal to {least}")
    if value > most:
        raise not_validated(member, value, f"Member must have value less than or equal to {most}")


def _check_target(wanted: Mapping[str, Any], runtime: str, architecture: str) -> None:
    if wanted.get("PackageType", "Zip") != "Zip":
        raise invalid("The local Lambda runs zip packages only.")
    if wanted.get("Runtime") != runtime:
        raise invalid(
            f"The runtime parameter of {wanted.get('Runtime')} is not supported here: the local Lambda runs {runtime}, "
            "the Python that started it.",
        )
    asked = wanted.get("Architectures", [architecture])
    if asked != [architecture]:
        raise invalid(f"The architecture {asked} is not supported here: this machine is {architecture}.")
