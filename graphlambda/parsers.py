"""What a setting's text or value means: one parser for each kind.

In: what a user gave. Out: a checked value, or a ValueError that says what is wanted. Must not read anything else.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

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
    parts = urlsplit(text)
    if text not in {"", AWS} and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ValueError("empty for the local Lambda, 'aws', or a URL such as http://127.0.0.1:9001")
    return text


def tiers(store: str) -> tuple[str, str]:
    """Return the two parts of a `store` setting: what is hot, and the bucket; either may be empty."""
    hot, found, cold = store.rpartition(_BUCKET)
    return (hot.removesuffix("+"), found + cold) if found else (store, "")


def a_store(value: Any) -> str:
    """Return where values lie; empty where that is left to a deployment."""
    text = a_text(value)
    hot, bucket = tiers(text)
    parts = urlsplit(hot)
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
