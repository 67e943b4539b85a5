"""Key material in what would be shipped: found before it leaves, and refused.

In: texts of literals, code constants, files. Out: what is wrong with them, or None. Must not repeat a secret in
what it says.

Values and code are stored where other people of the account may read them; a function has a role instead.
"""

from __future__ import annotations

import pickletools
import re
import types
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.constants import CodeConstant, Pickled, Shipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/=:,\s-]{64}")
_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids"""

_SECRET_KEY = re.compile(r"(?<![A-Za-z0-9+/])[A-Za-z0-9+/]{40}(?![A-Za-z0-9+/=])")
_DISTINCT = 24
"""A random secret key has 30 different characters, give or take two; a path or a word has fewer."""

HOLDERS = frozenset(
    {"botocore.credentials", "boto3.session", "botocore.session", "google.oauth2.credentials"}
)
"""Modules whose objects hold keys: seen in a pickle, they travel."""

_END = object()


def key_in_texts(texts: Iterable[str]) -> str | None:
    """Return which kind of key the texts of one value hold, or None.

    A secret key has no mark of its own: it is taken for one beside an access key id, or if it is a whole text
    of 40 random-looking characters.
    """
    known = list(texts)
    if any(text in HOLDERS for text in known):
        return "a credentials object"
    if any(_PRIVATE_KEY.search(text) for text in known):
        return "a private key"
    beside_id = any(_ACCESS_KEY.search(text) for text in known)
    if any(_holds_secret(text, whole=not beside_id) for text in known):
        return "an AWS secret access key"
    return None


def key_in_constant(constant: CodeConstant) -> str | None:
    """Return which kind of key shipped code holds, or None."""
    if isinstance(constant, Shipped):
        return key_in_texts(texts_of_code(constant.code))
    return key_in_texts(texts_of_pickle(constant.blob)) if isinstance(constant, Pickled) else None


def key_in_file(content: bytes) -> str | None:
    """Return which kind of key a file that travels holds, or None; only private keys are told from its data."""
    return key_in_texts([content.decode("latin-1")]) if b"PRIVATE KEY-----" in content else None


def texts_of_code(code: types.CodeType) -> Iterator[str]:
    """Yield the text constants of a code object and of those inside it."""
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            yield from texts_of_code(const)
        else:
            yield from texts_of_plain(const)


def texts_of_pickle(blob: bytes) -> Iterator[str]:
    """Yield the texts of a pickle, without loading it."""
    for opcode, argument, _position in pickletools.genops(blob):
        if opcode.name == "GLOBAL":
            yield str(argument).split(" ")[0]
        elif isinstance(argument, str | bytes):
            yield from texts_of_plain(argument)


def texts_of_plain(value: Any) -> Iterator[str]:
    """Yield the texts in plain data: strings, byte strings, containers of them, however deep."""
    waiting, met = [iter((value,))], set()
    while waiting:
        part = next(waiting[-1], _END)
        if part is _END:
            waiting.pop()
        elif isinstance(part, str):
            yield part
        elif isinstance(part, bytes | bytearray):
            yield bytes(part).decode("latin-1")
        elif isinstance(part, list | tuple | set | frozenset | dict) and id(part) not in met:
            met.add(id(part))  # one that holds itself is looked at once
            waiting.append(iter((*part.keys(), *part.values()) if isinstance(part, dict) else part))


def _holds_secret(text: str, *, whole: bool) -> bool:
    found = [_SECRET_KEY.fullmatch(text)] if whole else _SECRET_KEY.finditer(text)
    return any(match is not None and _is_random(match.group()) for match in found)


def _is_random(text: str) -> bool:
    mixed = any(map(str.islower, text)) and any(map(str.isupper, text)) and any(map(str.isdigit, text))
    return mixed and len(set(text)) >= _DISTINCT
