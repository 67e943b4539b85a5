"""Words that may name code: URL protocols, engines, codecs, file suffixes.

In: literals, data objects, code. Out: short words, sorted. Must not look one up: what a word means, if
anything, is for the packager to know. Words are evidence; no operation's identity depends on them.

`s3://bucket/part.parquet` gives `s3://` and `.parquet`; `string[pyarrow]` gives `string` and `pyarrow`.
"""

from __future__ import annotations

import pickletools
import re
import types
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.constants import CodeConstant, Pickled, Shipped
from graphlambda.compiler.paths import may_name, texts_in
from graphlambda.compiler.program import Column, Constant, Kept, Literal, Literals, Mixed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST_ROWS = 100_000
_SAMPLED = 64
"""Rows of a column that are looked at to see what it holds: those of one column are alike."""

_MOST_NAMES = 1000
"""Texts with more different names than these are data."""

_LONGEST_NAME = 64
_PROTOCOL = re.compile(r"(?:^|(?<=::))([a-z][a-z0-9+.-]*)(?:://|::)")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_SPACE = re.compile(r"\s")
_SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")


def words_of_columns(columns: Iterable[Column]) -> set[str]:
    """Return the words of the literals of columns."""
    return set().union(*(words_in(_texts_of_column(column)) for column in columns))


def words_of_code(constants: Iterable[CodeConstant]) -> set[str]:
    """Return the words of the constants of shipped code."""
    texts: set[str] = set()
    for constant in constants:
        if isinstance(constant, Shipped):
            texts.update(texts_of_code(constant.code))
        elif isinstance(constant, Pickled):
            texts.update(arg for _, arg, _ in pickletools.genops(constant.blob) if isinstance(arg, str))
    return words_in(texts)


def words_of_data(values: Iterable[Any]) -> set[str]:
    """Return the words of data objects: of what they are made with, not of the data of arrays and frames."""
    return words_in(text for value in values if _may_be_made_of_words(value) for text in texts_in(value))


def words_in(texts: Iterable[str]) -> set[str]:
    """Return the words of texts."""
    found: set[str] = set()
    names: set[str] = set()
    for text in set(map(_ends, texts)):
        found.update(f"{name}://" for name in _PROTOCOL.findall(text))
        found.update(suffix.lower() for suffix in _SUFFIX.findall(text))
        if len(text) <= _LONGEST_NAME and "/" not in text and not _SPACE.search(text):  # prose names no code
            names.update(_NAME.findall(text))
    return found | names if len(names) <= _MOST_NAMES else found


def texts_of_code(code: types.CodeType) -> set[str]:
    """Return the texts among the constants of a code object and of those inside it, names in tuples included."""
    texts: set[str] = set()
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            texts |= texts_of_code(const)
        else:
            texts.update(
                part for part in (const if isinstance(const, tuple) else (const,)) if _is_short(part)
            )
    return texts


def _may_be_made_of_words(value: Any) -> bool:
    return type(value) is not Kept and type(value).__module__.split(".")[0] not in ("numpy", "pandas")


def _is_short(const: Any) -> bool:
    return isinstance(const, str) and 0 < len(const) < 200 and "\n" not in const


def _ends(text: str) -> str:
    """Return of a path or URL what may be a word: its protocols and its suffix. A million paths have few of them."""
    end = text.rfind("://")
    if end < 0 and "/" not in text:
        return text[:200]
    return f"{text[: end + 3] if end >= 0 else '/'}{text[text.rfind('.') :][:9]}"


def _texts_of_column(column: Column) -> Iterator[str]:
    if isinstance(column, Constant):
        yield from texts_in(column.value)
    elif isinstance(column, Mixed):
        literals = [binding.value for binding in column.bindings[:_MOST_ROWS] if isinstance(binding, Literal)]
        yield from _texts_of_rows(literals)
    elif isinstance(column, Literals):
        count = min(len(column.values), _MOST_ROWS)
        sample = [column.values[row] for row in {*range(0, count, 1 + count // _SAMPLED), count - 1} if count]
        if may_name(sample):
            yield from _texts_of_rows([column.values[row] for row in range(count)])


def _texts_of_rows(literals: list[Any]) -> Iterator[str]:
    """Yield the texts of plain literals, and of some of the others: each of those has to be pickled."""
    plain = [each for each in literals if type(each) in (str, list, tuple, dict, set, frozenset)]
    others = [each for each in literals if type(each) not in (str, list, tuple, dict, set, frozenset)]
    yield from (text for each in plain for text in ((each,) if type(each) is str else texts_in(each)))
    step = 1 + len(others) // _SAMPLED
    yield from (text for each in others[::step] for text in texts_in(each))
