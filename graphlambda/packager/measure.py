"""What a cache holds, and what of it has to go.

In: the cache's folder. Out: its entries with size and last use, sums by kind, the entries to remove. Must not
remove anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

OTHERS = frozenset({"local", "scratch", "values"})
"""Folders of the same root that hold no entries: the local Lambda's and the store's bound themselves."""


class Usage(NamedTuple):
    """What the entries of one kind take."""

    entries: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Cached:
    """One entry of a cache."""

    kind: str
    path: Path
    size_bytes: int
    """Of its files; one with several names counts for the first entry that has it."""

    used_s: float
    """When it was used last, in seconds since the epoch."""


def entries_of(root: Path) -> list[Cached]:
    """Return all entries, sorted by kind and name."""
    seen: set[int] = set()
    return [
        Cached(kind.name, entry, _size_bytes(entry, seen), entry.stat().st_mtime)
        for kind in _folders(root)
        if kind.name not in OTHERS
        for entry in sorted(kind.iterdir())
    ]


def usage_of(entries: Iterable[Cached]) -> Mapping[str, Usage]:
    """Return sums by kind, in the order of the entries."""
    found: dict[str, Usage] = {}
    for entry in entries:
        count, size_bytes = found.get(entry.kind, (0, 0))
        found[entry.kind] = Usage(count + 1, size_bytes + entry.size_bytes)
    return found


def superfluous(entries: Iterable[Cached], most_bytes: int, before_s: float) -> list[Cached]:
    """Return the entries to remove, the least recently used first; none that was used after `before_s`."""
    ordered = sorted(entries, key=lambda entry: entry.used_s)
    left_bytes = sum(entry.size_bytes for entry in ordered)
    gone = []
    for entry in ordered:
        if left_bytes <= most_bytes:
            break
        if entry.used_s <= before_s:
            gone.append(entry)
            left_bytes -= entry.size_bytes
    return gone


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else []


def _size_bytes(path: Path, seen: set[int]) -> int:
    """Return the bytes of a file, or of all files below a folder, that were not counted before."""
    size_bytes = 0
    pending = [os.fspath(path)] if path.is_dir() else []
    found = [] if pending else [path.stat()]
    while pending:
        with os.scandir(pending.pop()) as inside:
            for each in inside:
                if each.is_dir(follow_symlinks=False):
                    pending.append(each.path)
                else:
                    found.append(each.stat(follow_symlinks=False))
    for status in found:
        size_bytes += 0 if status.st_ino in seen else status.st_size
        seen.add(status.st_ino)
    return size_bytes
