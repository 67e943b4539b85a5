"""Unzips deployment packages and layers into folders named by their contents.

In: a zip's bytes, or the folders of layers. Out: a folder that never changes again, made by one rename, so that
services of the same user share it at once. Must not follow a path out of its folder.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from graphlambda.local.answers import ServiceError, invalid
from graphlambda.local.limits import UNZIPPED_BYTES
from graphlambda.local.records import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


def unzip(content: bytes, folder: Path) -> Code:
    """Make `folder/<digest>` hold the files of a zip, and return what it is.

    Raises:
        ServiceError: it is no zip, larger than a function may be, or a name in it leads out of the folder.
    """
    hashed = hashlib.sha256(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            size = _checked_size(members)
            once(folder / hashed.hexdigest(), lambda into: _extract(archive, members, into))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeDecodeError) as error:
        raise invalid(
            "Could not unzip uploaded file. Please check your file, then try to upload again."
        ) from error
    return Code(
        digest=hashed.hexdigest(),
        sha256=base64.b64encode(hashed.digest()).decode(),
        zip_bytes=len(content),
        unzipped_bytes=size,
    )


def merge(layers: Sequence[Path], folder: Path) -> Path:
    """Return one folder with the files of all `layers`, later ones winning, as /opt has them.

    Files are hard links: a merge takes no room, and works where nothing may be mounted.
    """
    if len(layers) == 1:
        return layers[0]
    target = folder / merged_name([layer.name for layer in layers])
    once(target, lambda into: _link_trees(layers, into))
    return target


def merged_name(layers: Sequence[str]) -> str:
    """Return the name of the folder in which layers, given by digest in mount order, are merged."""
    return hashlib.sha256("\n".join(layers).encode()).hexdigest()


def once(target: Path, fill: Callable[[Path], object]) -> None:
    """Make the folder `target` by filling a fresh one and renaming it, unless it is there."""
    if target.is_dir():
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = Path(mkdtemp(prefix=".new-", dir=target.parent))
    try:
        fill(fresh)
        fresh.chmod(0o755)
        fresh.rename(target)
    except OSError:
        if not target.is_dir():  # else: another service was first, with the same contents
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _checked_size(members: Iterable[zipfile.ZipInfo]) -> int:
    """Return the unzipped size in bytes; `zipfile` never reads more of a member than it declares."""
    size = 0
    for member in members:
        size += member.file_size
        _check_name(member)
    if size > UNZIPPED_BYTES:
        raise invalid(f"Unzipped size must be smaller than {UNZIPPED_BYTES} bytes")
    return size


def _check_name(member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\0" in member.filename or not path.parts:
        raise invalid(f"The zip holds a file outside of its folder: {member.filename!r}")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise invalid(f"The zip holds a symbolic link, which cannot be unzipped here: {member.filename!r}")


def _extract(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo], into: Path) -> None:
    made: set[Path] = set()
    for member in members:
        target = into / member.filename
        if target.parent not in made:
            _make_folder(target.parent, member.filename)
            made.add(target.parent)
        executable = (member.external_attr >> 16) & 0o111
        with archive.open(member) as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
            os.fchmod(file.fileno(), 0o755 if executable else 0o644)


def _make_folder(folder: Path, name: str) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise ServiceError(
            400, "InvalidParameterValueException", f"The zip holds a file where it needs a folder: {name!r}"
        ) from error


def _link_trees(sources: Iterable[Path], into: Path) -> None:
    for source in sources:
        _link_tree(source, into)


def _link_tree(source: Path, into: Path) -> None:
    for folder, _, names in os.walk(source):
        target = into / Path(folder).relative_to(source)
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            _link(Path(folder, name), target / name)


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:  # a file system without hard links, or with too many of this file
        shutil.copy2(source, target)
