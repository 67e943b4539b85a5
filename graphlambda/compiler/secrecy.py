"""Secrets of the user's own that may run on this machine and must not leave it: passwords, tokens, signed URLs.

In: a program, texts that are known to be secret. Out: what holds one, or None.
Must not repeat a secret in what it says.

What is certainly a key is refused wherever it would run (see `credentials`). These may be meant: a local object
store has a password, a signed URL is how some data is published. So they are refused where the program would be
kept or sent: in an account, in a file.
"""

from __future__ import annotations

import marshal
import pickletools
import re
import types
from itertools import islice
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.constants import dumps
from graphlambda.compiler.credentials import texts_of_code, texts_of_pickle, texts_of_plain
from graphlambda.compiler.masks import NAMED, pattern_in
from graphlambda.compiler.program import LocalFile
from graphlambda.compiler.refuse import holdings, is_data, texts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from graphlambda.compiler.program import Operation, Program

_TOKEN = re.compile(r"(?:.*[_.-])?token", re.IGNORECASE)
_TOKEN_LENGTH = 20
"""A shorter `token` is a word: gcsfs takes `token="anon"`, and texts are made of tokens."""

_SECRET_LENGTH = 4
_MOST_TEXTS = 10_000
_LOOKED_AT_BYTES = 1_000_000
"""Of a data file that travels with a module."""

_MEMO = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})


def secret_in(program: Program, known: Collection[str] = ()) -> str | None:
    """Return what of a program holds a secret, as a sentence; None if nothing does.

    `known` are values that the environment gives a telling name.
    """
    for where, value in holdings(program):
        if (kind := secret_in_value(value, known)) is not None:
            return f"{where} holds {kind}"
    for operation in {table.operation.id: table.operation for table in program.tables}.values():
        if (kind := _in_texts(_texts_of_shipped(operation), known)) is not None:
            return f"The code of operation {operation.name} holds {kind}"
    return None


def secret_in_value(value: Any, known: Collection[str] = ()) -> str | None:
    """Return which kind of secret a value holds, or None."""
    if is_data(value):
        return None
    if isinstance(value, LocalFile):
        content = value.content[:_LOOKED_AT_BYTES].decode("latin-1")
        return _in_texts(texts_of(value) if value.path.endswith(".pyc") else [content], known)
    if type(value).__module__ == "builtins":
        pairs, texts = _pairs_of_plain(value), texts_of_plain(value)
        return _in_pairs(islice(pairs, _MOST_TEXTS)) or _in_texts(islice(texts, _MOST_TEXTS), known)
    blob = dumps(value)
    return _in_pairs(_pairs_of_pickle(blob)) or _in_texts(texts_of_pickle(blob), known)


def _in_texts(texts: Iterable[str], known: Collection[str]) -> str | None:
    for text in texts:
        if (kind := pattern_in(text)) is not None:
            return kind
        if any(each in text for each in known):
            return "the value of an environment variable that is called a secret"
    return None


def _in_pairs(pairs: Iterable[tuple[str, str]]) -> str | None:
    found = (name for name, value in pairs if _is_secret(name, value))
    return next((f"a secret, as `{name}`" for name in found), None)


def _is_secret(name: str, value: str) -> bool:
    if not value or any(map(str.isspace, value)) or len(name) > 64:
        return False
    if _TOKEN.fullmatch(name):
        return len(value) >= _TOKEN_LENGTH and not value.startswith(("/", "~", "."))
    return len(value) >= _SECRET_LENGTH and NAMED.fullmatch(name) is not None


def _pairs_of_plain(value: Any) -> Iterator[tuple[str, str]]:
    """Yield (name, text) of dicts, however deep in plain containers."""
    waiting, met = [value], set()
    while waiting:
        part = waiting.pop()
        if not isinstance(part, list | tuple | set | frozenset | dict) or id(part) in met:
            continue
        met.add(id(part))
        if isinstance(part, dict):
            yield from ((k, v) for k, v in part.items() if isinstance(k, str) and isinstance(v, str))
            waiting.extend(part.values())
        else:
            waiting.extend(part)


def _pairs_of_pickle(blob: bytes) -> Iterator[tuple[str, str]]:
    """Yield texts that follow each other in a pickle, as a name and its value do."""
    before: str | None = None
    for opcode, argument, _position in pickletools.genops(blob):
        if opcode.name in _MEMO:
            continue
        text = argument if isinstance(argument, str) and "UNICODE" in opcode.name else None
        if before is not None and text is not None:
            yield before, text
        before = text


def _texts_of_shipped(operation: Operation) -> Iterator[str]:
    for shipped in (marshal.loads(operation.code) if operation.code else {}).values():
        is_code = isinstance(shipped, types.CodeType)
        yield from texts_of_code(shipped) if is_code else texts_of_pickle(shipped)
