"""Files as they will lie in a function: the noun `Tree`, its digest, and trees laid over each other.

In: folders of our cache. Out: digests, sizes and views. Must not know distributions or zips.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphlambda.packager.reflink import cloned

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from graphlambda.packager.absence import LeftOut

_FILES, _INDEX = "files", "tree.json"


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One file of a tree."""

    path: str
    """Relative, with forward slashes."""

    size_bytes: int
    executable: bool
    digest: str
    """SHA-256 of its content; empty for byte code, which follows from the source beside it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Files in a folder of the cache, which nobody changes."""

    folder: Path
    entries: tuple[Entry, ...]
    """Sorted by path."""

    left_out: tuple[str, ...] = ()
    """Paths of the distribution that do not travel."""

    why: LeftOut = ()
    """The same in short, with the recipe's reasons."""

    @property
    def size_bytes(self) -> int:
        """All files, unzipped."""
        return sum(entry.size_bytes for entry in self.entries)

    def file(self, entry: Entry) -> Path:
        """Return where an entry's content is."""
        return self.folder / entry.path


def digest_of(entries: Iterable[Entry], prefix: str = "") -> str:
    """Return 64 hexadecimal digits over path, executable bit and content of each file, in any order.

    Byte code counts as "compiled by this Python": its own bytes depend on what else the compiler holds.
    """
    digest = hashlib.sha256()
    for entry in sorted(entries):
        content = entry.digest or sys.implementation.cache_tag
        digest.update(f"{prefix}{entry.path}\0{int(entry.executable)}\0{content}\n".encode())
    return digest.hexdigest()


def entry_of(path: str, content: bytes) -> Entry:
    """Return the entry of a file. What is executable, its content says: installers and file systems differ."""
    executable = content.startswith((b"\x7fELF", b"#!"))
    return Entry(path, len(content), executable, hashlib.sha256(content).hexdigest())


def write(root: Path, path: str, content: bytes, source: Path | None = None) -> Entry:
    """Write one file of a tree that is being made; it may share the disk blocks of a `source` of this content."""
    target = files_of(root) / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if source is None or not cloned(source, target, content):
        target.write_bytes(content)
    return entry_of(path, content)


def files_of(root: Path) -> Path:
    """Return the folder in which the files of a tree lie."""
    return root / _FILES


def seal(root: Path, entries: Iterable[Entry], left_out: Iterable[str] = (), why: LeftOut = ()) -> None:
    """Finish a tree that is being made: list it, byte code included, and make its files read-only."""
    listed = list(entries)
    listed += _byte_code(files_of(root), {entry.path for entry in listed})
    for entry in listed:
        (files_of(root) / entry.path).chmod(0o555 if entry.executable else 0o444)
    rows = sorted([entry.path, entry.size_bytes, entry.executable, entry.digest] for entry in listed)
    (root / _INDEX).write_text(
        json.dumps({"entries": rows, "left_out": sorted(left_out), "why": why}), encoding="utf-8"
    )


def load(root: Path) -> Tree:
    """Return a finished tree of the cache."""
    index = json.loads((root / _INDEX).read_text(encoding="utf-8"))
    entries = tuple(Entry(*row) for row in index["entries"])
    why = tuple((reason, tuple(names)) for reason, names in index["why"])
    return Tree(folder=files_of(root), entries=entries, left_out=tuple(index["left_out"]), why=why)


def is_whole(root: Path) -> bool:
    """Say whether a finished tree is still complete: a power cut may leave files empty."""
    try:
        tree = load(root)
    except (OSError, ValueError):
        return False
    return is_laid_out([tree], tree.folder)


def is_laid_out(trees: Iterable[Tree], folder: Path) -> bool:
    """Say whether a folder holds every file of some trees, each at its length."""
    sizes = {entry.path: entry.size_bytes for tree in trees for entry in tree.entries}
    try:
        return all(os.stat(f"{folder}/{path}").st_size == size for path, size in sizes.items())  # noqa: PTH116 - 5x faster
    except FileNotFoundError:
        return False


def lay_out(trees: Iterable[Tree], folder: Path) -> None:
    """Lay trees over each other, as Lambda does with layers: later ones win.

    Hard links lead to our own read-only cache only, never to the user's files.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for tree in trees:
        for parent in sorted({os.path.dirname(entry.path) for entry in tree.entries}):  # noqa: PTH120 - 10x faster
            (folder / parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        for entry in tree.entries:
            link(tree.file(entry), folder / entry.path)


def overlay(trees: Sequence[Tree], folder: Path) -> None:
    """Show trees in one folder, to be read for a moment: links to the top-level names that one tree alone has.

    What several have, parts of a namespace package or the byte code of modules, is laid out.
    """
    folder.mkdir(mode=0o700)
    owners: dict[str, list[Tree]] = {}
    for tree in trees:
        for name in dict.fromkeys(map(_top, tree.entries)):
            owners.setdefault(name, []).append(tree)
    for name, several in owners.items():
        if len(several) == 1:
            (folder / name).symlink_to(several[0].folder / name)
        else:
            lay_out([replace(tree, entries=_below(name, tree)) for tree in several], folder)


def _top(entry: Entry) -> str:
    return entry.path.partition("/")[0]


def _below(name: str, tree: Tree) -> tuple[Entry, ...]:
    return tuple(entry for entry in tree.entries if _top(entry) == name)


def link(source: Path, target: Path) -> None:
    """Make `target` a file of our cache, too; what is there already goes."""
    with contextlib.suppress(FileNotFoundError):
        target.unlink()
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copy(source, target)


def _byte_code(folder: Path, listed: set[str]) -> Iterable[Entry]:
    for file in folder.rglob("__pycache__/*.pyc"):
        path = file.relative_to(folder).as_posix()
        if path not in listed:
            yield Entry(path, file.stat().st_size, executable=False, digest="")
