"""Bag: the most frequent words of the Python standard library's own source."""

from __future__ import annotations

import re
import sysconfig
from pathlib import Path
from typing import Any

import dask.bag as db

from demo.pipeline import Pipeline

FILES = 12
"""Source files of a partition."""

MOST = 10
WORD = re.compile(r"[A-Za-z_]{2,}")


def words_of(line: str) -> list[str]:
    """Return the identifiers and words of one line."""
    return WORD.findall(line)


def top_words(files: list[str]) -> Any:
    """Return the most frequent words of some files with their counts."""
    return top_words_of(db.read_text(files, encoding="utf-8", errors="replace", files_per_partition=FILES))


def top_words_of(lines: Any) -> Any:
    """Return the most frequent words of some lines with their counts."""
    return lines.map(words_of).flatten().frequencies().topk(MOST, key=lambda pair: (pair[1], pair[0]))


def text(pairs: list[tuple[str, int]]) -> str:
    """Return a word a line."""
    return "\n".join(f"{number:8,}  {word}" for word, number in pairs)


def same(ours: Any, dasks: Any) -> bool:
    """Compare words, counts and order."""
    return list(ours) == list(dasks)


def pipeline() -> Pipeline:
    """Return the pipeline over the top-level modules of this Python."""
    return _pipeline(top_words(_files()), "read")


def carried() -> Pipeline:
    """Return the same where functions do not see this machine's files."""
    texts = [Path(file).read_text(encoding="utf-8", errors="replace") for file in _files()]
    lines = db.from_sequence(texts, partition_size=FILES).map(str.splitlines).flatten()
    return _pipeline(top_words_of(lines), "sent with the program")


def _files() -> list[str]:
    return sorted(str(path) for path in Path(sysconfig.get_path("stdlib")).glob("*.py"))


def _pipeline(collection: Any, how: str) -> Pipeline:
    return Pipeline(
        title="Words: a bag",
        about=(
            f"The {len(_files())} top-level modules of this Python's standard library are {how}, cut into words by a "
            "function of the demo's own, and counted."
        ),
        collection=collection,
        text=text,
        same=same,
    )
