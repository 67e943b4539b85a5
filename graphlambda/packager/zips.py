"""Zips whose bytes follow from what is in them.

In: files. Out: one zip, with sorted names, one date and two modes. Equal trees give equal zips wherever zlib
is the same; identity is the tree's digest all the same, since other zlibs deflate differently.
"""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from graphlambda.packager.trees import Entry

_DATE = (1980, 1, 1, 0, 0, 0)
_UNIX = 3
_LEVEL = 1
"""Levels above save 12 % of the bytes for 2.5 times the seconds (measured on numpy and pandas)."""

_PACKED = ".tar.zst"
"""In the name of what would not get smaller."""


def write_zip(path: Path, files: Iterable[tuple[Entry, Path]], prefix: str = "") -> None:
    """Write files, given as entries and where their content is, below `prefix`."""
    with zipfile.ZipFile(path, "w") as archive:
        for entry, source in sorted(files):
            info = _info(prefix + entry.path, entry.executable)
            method = zipfile.ZIP_STORED if _PACKED in entry.path else zipfile.ZIP_DEFLATED
            archive.writestr(info, source.read_bytes(), method, _LEVEL)


def is_whole(path: Path) -> bool:
    """Say whether a zip has its end: one that was cut off has not."""
    return zipfile.is_zipfile(path)


def _info(name: str, executable: bool) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = _UNIX
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    return info
