"""Unpack a wheel as an installer would, into a folder like site-packages and nowhere else.

In: a wheel. Out: the folder, with a RECORD of what lies there. Must not run anything of it, nor write outside the
folder: scripts, headers and data, which belong to an environment, stay behind.
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

from __future__ import annotations

import csv
import io
import stat
import zipfile
from pathlib import Path, PurePosixPath

from graphlambda.errors import PackageError

_LIBRARIES = (("purelib",), ("platlib",))
"""Folders of `*.data` whose content belongs into site-packages."""


def unpack_wheel(wheel: Path, folder: Path) -> Path:
    """Unpack into a fresh folder and return it.

    Raises PackageError for a file that is no wheel, or that would write outside the folder.
    """
    folder.mkdir(mode=0o700)
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            places = {info.filename: _place(info, wheel) for info in members}
            for info in members:
                if place := places[info.filename]:
                    _write(folder / place, archive.read(info))
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise PackageError(
            f"{wheel.name} is damaged: {error}. Fetch it again, or from another index."
        ) from error
    _mend_record(folder, places, wheel)
    return folder


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_bytes(content)


def _place(info: zipfile.ZipInfo, wheel: Path) -> str:
    """Return where in site-packages a file belongs; empty if it does not."""
    name = info.filename
    path = PurePosixPath(name)
    outside = path.is_absolute() or ".." in path.parts or not path.parts
    if outside or "\\" in name or ":" in path.parts[0] or _is_link(info):
        raise PackageError(
            f"{wheel.name} is refused: it holds {name!r}, which would leave its folder. No honest wheel does; "
            "do not install it, and tell whoever serves it."
        )
    if not path.parts[0].endswith(".data"):
        return path.as_posix()
    return "/".join(path.parts[2:]) if path.parts[1:2] in _LIBRARIES else ""


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _mend_record(folder: Path, places: dict[str, str], wheel: Path) -> None:
    """Write down where files lie, as installers do: what was in `*.data` has moved."""
    records = list(folder.glob("*.dist-info/RECORD"))
    if len(records) != 1:
        raise PackageError(f"{wheel.name} is refused: it has {len(records)} RECORD files instead of one.")
    text = records[0].read_text(encoding="utf-8")
    rows = [[places.get(row[0], ""), *row[1:]] for row in csv.reader(text.splitlines()) if row]
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(row for row in rows if row[0])
    records[0].write_text(written.getvalue(), encoding="utf-8")
