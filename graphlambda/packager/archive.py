"""Pack distributions that do not fit into layers as `deps.tar.zst`, cut into pieces that do.

In: slim trees. Out: an `Archive` in the cache. The other half is `graphlambda/runtime/unpack.py`. Must not decide
what goes into it: see `levels`.

An archive lies in layers, not in each function's own zip: functions of equal needs share it, an edit of one
uploads some kilobytes, and no piece is larger than a request may carry.
"""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Self

import zstandard

from graphlambda.packager import trees
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from graphlambda.packager.cache import Cache
    from graphlambda.packager.layers import Packed

DECODER = "zstandard"
"""The distribution that unpacks an archive in a function: no Python before 3.14 can. It is in no archive itself."""

_LEVEL = 3
"""Of what 3 gives, 9 saves 12 % of the bytes for three times the seconds (measured on 335 MB of PyData)."""

_THREADS = 2
"""Any number above 0 gives the same bytes."""

_BLOCK_BYTES = 4096
"""What a file system rounds up to."""

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """Distributions that a function unpacks to /tmp when it starts."""

    digest: str
    """Of their tree, and of the decoder's version."""

    pieces: tuple[trees.Tree, ...]
    """One file each."""

    files: int
    size_bytes: int
    """Of all files, unpacked."""

    room_bytes: int
    """What they take on a disk."""

    @property
    def packed_bytes(self) -> int:
        """Of all pieces."""
        return sum(piece.size_bytes for piece in self.pieces)

    @property
    def description(self) -> bytes:
        """What `deps.json` says of it in a function."""
        facts = {
            "digest": self.digest,
            "files": self.files,
            "size_bytes": self.size_bytes,
            "room_bytes": self.room_bytes,
            "pieces": [entry.path for piece in self.pieces for entry in piece.entries],
        }
        return json.dumps(facts, indent=1, sort_keys=True).encode()


def archive_of(packed: Iterable[Packed], piece_bytes: int, cache: Cache) -> Archive:
    """Return the archive of some distributions, packed once."""
    merged = {entry.path: (entry, each.tree.file(entry)) for each in packed for entry in each.tree.entries}
    files = [merged[path] for path in sorted(merged)]
    entries = [entry for entry, _ in files]
    digest = key_of(trees.digest_of(entries), version(DECODER), str(piece_bytes))
    folder = cache.folder(
        "archives", digest, lambda into: _pack(files, digest, piece_bytes, into), partial(_is_whole, digest)
    )
    return Archive(
        digest=digest,
        pieces=tuple(_piece(digest, path) for path in _pieces(folder)),
        files=len(files),
        size_bytes=sum(entry.size_bytes for entry in entries),
        room_bytes=sum(-(-entry.size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES for entry in entries),
    )


def _pack(files: Iterable[tuple[trees.Entry, Path]], digest: str, piece_bytes: int, into: Path) -> None:
    cut = _Cut(into, digest, piece_bytes)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS, write_checksum=True)
    with (
        cut,
        compressor.stream_writer(cut, closefd=False) as plain,  # type: ignore[arg-type]
        tarfile.open(fileobj=plain, mode="w|", bufsize=_READ_BYTES, pax_headers={"comment": digest}) as tar,
    ):
        for entry, source in files:
            info = tarfile.TarInfo(entry.path)
            info.size, info.mode = entry.size_bytes, 0o755 if entry.executable else 0o644
            with source.open("rb") as file:
                tar.addfile(info, file)


def _name(digest: str, number: int) -> str:
    return f"deps-{digest[:16]}.tar.zst.{number}"


def _pieces(folder: Path) -> list[Path]:
    return sorted(folder.glob("deps-*"), key=lambda path: int(path.suffix[1:]))


def _piece(digest: str, path: Path) -> trees.Tree:
    """Return a piece as a tree of one file. What it is follows from what was packed: equal trees, equal pieces."""
    number = path.suffix[1:]
    entry = trees.Entry(path.name, path.stat().st_size, executable=False, digest=key_of(digest, number))
    return trees.Tree(folder=path.parent, entries=(entry,))


def _is_whole(digest: str, folder: Path) -> bool:
    """Say whether pieces lie there as they were written: a power cut may leave them empty."""
    try:
        sizes: list[int] = json.loads((folder / "sizes.json").read_text(encoding="utf-8"))
        return sizes == [(folder / _name(digest, number)).stat().st_size for number in range(len(sizes))]
    except (FileNotFoundError, ValueError):
        return False


class _Cut:
    """A file that goes on in the next one when it is full."""

    def __init__(self, folder: Path, digest: str, piece_bytes: int) -> None:
        self._folder = folder
        self._digest = digest
        self._piece_bytes = piece_bytes
        self._sizes = [0]
        self._file = (folder / _name(digest, 0)).open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        (self._folder / "sizes.json").write_text(json.dumps(self._sizes), encoding="utf-8")

    def write(self, content: bytes) -> int:
        """Write all of the content."""
        rest = memoryview(content)
        while rest:
            if self._sizes[-1] == self._piece_bytes:
                self._file.close()
                self._file = (self._folder / _name(self._digest, len(self._sizes))).open("wb")
                self._sizes.append(0)
            taken = rest[: self._piece_bytes - self._sizes[-1]]
            self._file.write(taken)
            self._sizes[-1] += len(taken)
            rest = rest[len(taken) :]
        return len(content)

    def flush(self) -> None:
        """Nothing waits here."""
