"""What is in a finished artifact, distribution by distribution, read from its zips.

In: an artifact. Out: how large each distribution is, raw and zipped, in which layer, and what was left out of it.
Must not build, nor believe anything but the zips: they are what is uploaded.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from typing import IO, TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphlambda.packager.artifact import Artifact, Layer, Requirement

_PREFIX = "python/"
_PIECE = re.compile(r"deps-.*\.tar\.zst\.(\d+)$")
_BYTE_CODE = re.compile(r"(.*/)?__pycache__/([^/]+?)\.[^./]+\.pyc$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One distribution in an artifact."""

    requirement: Requirement
    size_bytes: int
    """Unzipped."""

    zip_bytes: int
    """Its files in the zip of its layer; of an archive, in proportion."""

    layer: str
    """Name of the layer that holds it."""

    left_out: Mapping[str, tuple[str, ...]]
    """By reason: folders, files and endings that do not travel."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size_bytes: int
    zip_bytes: float


def contents_of(artifact: Artifact) -> tuple[Share, ...]:
    """Return the distributions of an artifact, sorted."""
    with zipfile.ZipFile(artifact.zip_path) as archive:
        left_out = json.loads(archive.read("manifest.json")).get("left_out", {})
    found: dict[str, Share] = {}
    for layers in _together(artifact.layers):
        requirements = [each for layer in layers for each in layer.requirements]
        sizes = _sizes(layers)
        for each in requirements:
            size, packed = sizes.get(each.distribution, (0, 0.0))
            gone = left_out.get(each.distribution, {})
            found[each.distribution] = Share(
                requirement=each,
                size_bytes=size,
                zip_bytes=round(packed),
                layer=layers[0].name,
                left_out={reason: tuple(names) for reason, names in gone.items()},
            )
    return tuple(found[name] for name in sorted(found))


def _together(layers: Iterable[Layer]) -> Iterator[list[Layer]]:
    """Yield each layer; those that hold the pieces of an archive, together."""
    pieces: list[Layer] = []
    for layer in layers:
        with zipfile.ZipFile(layer.zip_path) as archive:
            is_piece = any(_PIECE.search(name) for name in archive.namelist())
        if is_piece:
            pieces.append(layer)
        else:
            yield [layer]
    if pieces:
        yield pieces


def _sizes(layers: Sequence[Layer]) -> dict[str, tuple[int, float]]:
    """Return by distribution its bytes, raw and zipped."""
    with zipfile.ZipFile(layers[0].zip_path) as archive:
        is_archive = any(_PIECE.search(name) for name in archive.namelist())
    files, records = _unpacked(layers) if is_archive else _zipped(layers[0])
    owner = {path: name for name, paths in records.items() for path in paths}
    folders = {path.partition("/")[0]: name for path, name in owner.items()}
    totals: dict[str, tuple[int, float]] = {}
    for file in files:
        name = owner.get(_source(file.path)) or folders.get(file.path.partition("/")[0], "")
        size, packed = totals.get(name, (0, 0.0))
        totals[name] = size + file.size_bytes, packed + file.zip_bytes
    return totals


def _source(path: str) -> str:
    """Return the file that a distribution's RECORD lists: byte code is not in it."""
    found = _BYTE_CODE.match(path)
    return f"{found.group(1) or ''}{found.group(2)}.py" if found else path


def _zipped(layer: Layer) -> tuple[list[_File], dict[str, list[str]]]:
    with zipfile.ZipFile(layer.zip_path) as archive:
        files = [
            _File(info.filename.removeprefix(_PREFIX), info.file_size, info.compress_size)
            for info in archive.infolist()
        ]
        records = {
            _name(file.path): archive.read(_PREFIX + file.path) for file in files if _is_record(file.path)
        }
    return files, {name: _paths(content) for name, content in records.items()}


def _unpacked(layers: Sequence[Layer]) -> tuple[list[_File], dict[str, list[str]]]:
    """Return the files of an archive whose pieces lie in some layers."""
    import zstandard  # noqa: PLC0415  (for archives alone)

    files: list[tuple[str, int]] = []
    records: dict[str, list[str]] = {}
    with (
        _joined(layers) as packed,
        zstandard.ZstdDecompressor().stream_reader(packed) as plain,
        tarfile.open(fileobj=plain, mode="r|") as archive,
    ):
        for member in archive:
            files.append((member.name, member.size))
            if _is_record(member.name) and (content := archive.extractfile(member)):
                records[_name(member.name)] = _paths(content.read())
    packed_bytes = sum(layer.zip_bytes for layer in layers)
    share = packed_bytes / max(1, sum(size for _, size in files))
    return [_File(name, size, size * share) for name, size in files], records


def _joined(layers: Sequence[Layer]) -> IO[bytes]:
    pieces: dict[int, bytes] = {}
    for layer in layers:
        with zipfile.ZipFile(layer.zip_path) as archive:
            for name in archive.namelist():
                if number := _PIECE.search(name):
                    pieces[int(number.group(1))] = archive.read(name)
    return BytesIO(b"".join(pieces[number] for number in sorted(pieces)))


def _is_record(path: str) -> bool:
    return path.endswith(".dist-info/RECORD")


def _name(path: str) -> str:
    return canonicalize_name(path.removesuffix(".dist-info/RECORD").rpartition("-")[0])


def _paths(record: bytes) -> list[str]:
    return [row[0] for row in csv.reader(record.decode().splitlines()) if row]
