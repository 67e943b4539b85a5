"""What a setting's text or value means: one parser for each kind.

In: what a user gave. Out: a checked value, or a ValueError that says what is wanted. Must not read anything else.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

AWS = "aws"
"""The endpoint that means AWS itself, in `region`."""

EXACT, SAFE = "exact", "safe"
"""Words for `deps`."""

FILE, VALKEY = "file", "valkey"
"""Words for `store`."""

_BUCKET = "s3://"
_S3_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\x00-\x1f?#]*)?")

Parser: TypeAlias = Callable[[Any], Any]
"""Returns a setting's value from a flag or a variable's text; raises ValueError with what is wanted."""

VARIABLE = re.compile(r"[a-zA-Z][a-zA-Z0-9_]+")
"""A name that Lambda takes for a variable of a function."""

RESERVED = re.compile(
    r"AWS_LAMBDA_.*|_HANDLER|_X_AMZN_TRACE_ID|AWS_(?:DEFAULT_)?REGION|AWS_EXECUTION_ENV|"
    r"AWS_ACCESS_KEY(?:_ID)?|AWS_SECRET_ACCESS_KEY|AWS_SESSION_TOKEN|LAMBDA_(?:TASK_ROOT|RUNTIME_DIR)"
)
"""Names that Lambda sets itself (AWS: Working with Lambda environment variables)."""

_OURS = re.compile(r"PYTHONHASHSEED|GRAPHLAMBDA_.*")

ARN_TO_READ = (
    r"arn:aws[a-z-]*:(secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@-]+"
    r"|ssm:[a-z0-9-]+:\d{12}:parameter/[\w/.-]+)"
)
"""Of a secret of Secrets Manager, or a parameter of SSM."""


class MistakeError(ValueError):
    """What is wrong inside of a setting; the setting itself is not shown: it may hold what nobody is to read."""


def a_text(value: Any) -> str:
    """Return text without blanks around it."""
    return str(value).strip()


def a_path(value: Any) -> Path:
    """Return a whole path."""
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        raise ValueError("a path")
    try:
        return Path(value).expanduser().absolute()
    except RuntimeError as error:  # `~name` of nobody
        raise ValueError(f"a path ({error})") from None


def several(value: Any, separator: str) -> list[Any]:
    """Return the items of a list, or of divided text."""
    if isinstance(value, str):
        return [item.strip() for item in value.split(separator) if item.strip()]
    if not isinstance(value, Iterable):
        raise ValueError(f"a list, or text divided by {separator!r}")  # noqa: TRY004  (one kind of error)
    return list(value)


def some_paths(value: Any) -> tuple[Path, ...]:
    """Read a list, or text as in PATH."""
    items = [value] if isinstance(value, Path) else several(value, os.pathsep)
    return tuple(a_path(item) for item in items)


def some_names(value: Any) -> tuple[str, ...]:
    """Read a list, or text with commas."""
    return tuple(a_text(item) for item in several(value, ","))


def a_switch(value: Any) -> bool:
    """Return yes or no."""
    words = {
        "1": True,
        "true": True,
        "yes": True,
        "on": True,
        "0": False,
        "false": False,
        "no": False,
        "off": False,
    }
    if isinstance(value, bool):
        return value
    try:
        return words[a_text(value).lower()]
    except KeyError:
        raise ValueError("yes or no") from None


def whole(low: int, high: int, unit: str) -> Parser:
    """Return a parser of whole numbers between bounds."""
    wanted = f"a whole number of {unit} from {low:,} to {high:,}"

    def parse(value: Any) -> int:
        if isinstance(value, bool | float):
            raise ValueError(wanted)  # noqa: TRY004  (one kind of error)
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise ValueError(wanted) from None
        if not low <= number <= high:
            raise ValueError(wanted)
        return number

    return parse


def an_amount(low: float, unit: str) -> Parser:
    """Return a parser of numbers above a bound."""
    wanted = f"a number of {unit} above {low:g}"

    def parse(value: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            raise ValueError(wanted) from None
        if isinstance(value, bool) or not low < number < float("inf"):
            raise ValueError(wanted)
        return number

    return parse


def like(pattern: str, wanted: str) -> Parser:
    """Return a parser of text that a pattern matches as a whole."""

    def parse(value: Any) -> str:
        if not re.fullmatch(pattern, a_text(value)):
            raise ValueError(wanted)
        return a_text(value)

    return parse


def one_of(*words: str) -> Parser:
    """Return a parser of some words."""
    return like("|".join(words), f"one of {', '.join(words)}")


def deps(value: Any) -> str:
    """Return how much a function holds."""
    if a_text(value) not in {EXACT, SAFE}:
        raise ValueError("one of exact, safe (distributions are named in requirements=)")
    return a_text(value)


def an_endpoint(value: Any) -> str:
    """Return where Lambda is."""
    text = a_text(value).rstrip("/")
    parts = _parts(text)
    if text not in {"", AWS} and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("empty for the local Lambda, 'aws', or a URL such as http://127.0.0.1:9001")
    return text


def _parts(url: str) -> SplitResult:
    """Return the parts of a URL; none where its host or its port is no such thing, as after a `/` in a password."""
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else urlsplit("")
    except ValueError:
        return urlsplit("")


def tiers(store: str) -> tuple[str, str]:
    """Return the two parts of a `store` setting: what is hot, and the bucket; either may be empty."""
    hot, found, cold = store.rpartition(_BUCKET)
    return (hot.removesuffix("+"), found + cold) if found else (store, "")


def a_store(value: Any) -> str:
    """Return where values lie; empty where that is left to a deployment."""
    text = a_text(value)
    hot, bucket = tiers(text)
    parts = _parts(hot)
    is_server = parts.scheme in {"redis", "rediss"} and parts.hostname
    is_socket = parts.scheme == "unix" and not parts.netloc and parts.path.startswith("/")
    is_hot = hot in {FILE, VALKEY} or is_server or is_socket
    if not text:
        return text
    is_joined = text == "+".join(part for part in (hot, bucket) if part)
    if not is_joined or not (is_hot or (bucket and not hot)) or (bucket and not _S3_URL.fullmatch(bucket)):
        raise ValueError(
            "file, valkey, or a URL such as redis://host:6379, rediss://host, unix:/path/of/socket or s3://bucket/prefix, "
            "or one of the others and a bucket for what is large: valkey+s3://bucket/prefix"
        )
    return text


MEMORY_MB = whole(128, 10_240, "MiB")
TIMEOUT_S = whole(1, 900, "seconds")
EPHEMERAL_MB = whole(512, 10_240, "MiB")
ARCHITECTURE = one_of("x86_64", "arm64")


def _ids(kind: str, most: int) -> Parser:
    """Return a parser of ids, in a list or divided by commas; sorted, each once."""

    def parse(value: Any) -> tuple[str, ...]:
        found = sorted({a_text(item) for item in several(value, ",")})
        if len(found) > most or not all(re.fullmatch(rf"{kind}-[0-9a-zA-Z]+", each) for each in found):
            raise ValueError(f"at most {most} ids such as {kind}-0123abcd")
        return tuple(found)

    return parse


OF_AN_OPERATION: Mapping[str, Parser] = {
    "memory_mb": MEMORY_MB,
    "timeout_s": TIMEOUT_S,
    "ephemeral_mb": EPHEMERAL_MB,
    "architecture": ARCHITECTURE,
    "subnets": _ids("subnet", 16),
    "security_groups": _ids("sg", 5),
    "reserved_concurrency": whole(1, 100_000, "invocations"),
    "provisioned_concurrency": whole(0, 100_000, "environments"),
    "snap_start": a_switch,
}
"""What can be said of single operations."""


def of_an_operation(said: Any) -> dict[str, Any]:
    """Return what is said of an operation.

    Raises:
        MistakeError: some of it is wrong or unknown; the message says all of that.
    """
    if not isinstance(said, Mapping):
        raise MistakeError(f"{said!r} is no dict of settings")
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, value in said.items():
        if name not in OF_AN_OPERATION:
            mistakes.append(f"there is no setting {name!r} of an operation{near(str(name), OF_AN_OPERATION)}")
            continue
        try:
            values[name] = OF_AN_OPERATION[name](value)
        except ValueError as error:
            mistakes.append(f"{name} must be {error}, not {value!r}")
    if mistakes:
        raise MistakeError("; ".join(mistakes))
    return values


def near(name: str, known: Iterable[str]) -> str:
    """Return which known name was meant; else which there are."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else f" (there are {', '.join(sorted(known))})"


def some_operations(value: Any) -> dict[str, dict[str, Any]]:
    """Read what is said of operations, by patterns of their names."""
    values, mistakes = {}, []
    for pattern, said in _pairs(value).items():
        try:
            values[str(pattern)] = of_an_operation(said)
        except MistakeError as error:
            mistakes.append(f"of {pattern!r}, {error}")
    if mistakes:
        raise MistakeError("; ".join(mistakes))
    return values


def some_variables(value: Any) -> dict[str, str]:
    """Read variables of functions, which Lambda must take."""
    found = _pairs(value)
    mistakes = [mistake for name, text in found.items() if (mistake := _variable_mistake(name, text))]
    if mistakes:
        raise MistakeError("; ".join(mistakes))
    return found


def some_secrets(value: Any) -> dict[str, str]:
    """Read ARNs of secrets, by the variables that they become."""
    found = some_variables(value)
    if mistakes := [name for name, arn in found.items() if not re.fullmatch(ARN_TO_READ, arn)]:
        raise MistakeError(
            f"{', '.join(mistakes)}: its value must be the ARN of a secret of Secrets Manager or of a parameter of SSM, "
            "never the secret itself"
        )
    return found


def _variable_mistake(name: Any, text: Any) -> str:
    if not isinstance(name, str) or not VARIABLE.fullmatch(name):
        return f"{name!r} is no name of a variable: two or more letters, digits or '_', a letter first"
    if RESERVED.fullmatch(name):
        return f"{name} is set by Lambda itself"
    if _OURS.fullmatch(name):
        return f"{name} is ours"
    return "" if isinstance(text, str) else f"the value of {name} is no text"


def _pairs(value: Any) -> dict[Any, Any]:
    """Read a dict, or JSON of one."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise MistakeError(f"it is no dict, nor JSON of one: {error}") from None
    if not isinstance(found, Mapping):
        raise MistakeError("it is no dict, nor JSON of one")
    return dict(found)
