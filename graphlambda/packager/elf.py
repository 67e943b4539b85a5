"""Make a shared object smaller without changing what is loaded from it.

In: the bytes of a file. Out: the bytes worth shipping. Must not run a tool: `strip` differs between
machines, refuses other architectures, and breaks libraries that patchelf has been at (numpy's OpenBLAS:
"ELF load command address/offset not properly aligned").

The dynamic loader reads the ELF header, the program headers and the segments; nobody reads section
headers, symbol tables for linkers and debug information at run time. They lie behind the last segment, or
between two segments where patchelf has appended one. We cut them off, and close gaps by multiples of the
largest alignment, so that every segment stays congruent: (p_offset - p_vaddr) % p_align == 0.
See https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAGIC = b"\x7fELF\x02\x01"
"""64 bits, little-endian: x86_64 and arm64."""

_SHARED_OBJECT = 3
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_LOAD = 1
_NO_BITS = 8
_PAGE_BYTES = 4096


@dataclass(frozen=True, slots=True)
class _Image:
    header: tuple[int, ...]
    """The fields after e_ident: type, machine, version, entry, phoff, shoff, flags, ehsize, …"""

    ident: bytes
    segments: tuple[tuple[int, ...], ...]
    """type, flags, offset, vaddr, paddr, filesz, memsz, align."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Bytes of the file that stay, and by how much they move towards its beginning."""

    start: int
    stop: int
    shift: int


def shorten(content: bytes) -> bytes:
    """Return a shared object without what no loader reads; anything else as it is."""
    image = _parse(content)
    if image is None or _holds_more_than_sections(content, image):
        return content
    runs = _runs(image)
    shorter = _join(content, image, runs)
    return shorter if len(shorter) < len(content) and congruent(shorter) else content


def congruent(content: bytes) -> bool:
    """Say whether the loader will map every segment: glibc's own check."""
    image = _parse(content)
    return image is not None and all(
        align <= 1 or (offset - vaddr) % align == 0
        for kind, _, offset, vaddr, _, _, _, align in image.segments
        if kind == _LOAD
    )


def _parse(content: bytes) -> _Image | None:
    if content[:6] != _MAGIC or len(content) < _HEADER.size:
        return None
    ident, *header = _HEADER.unpack_from(content)
    kind, offset, size, count = header[0], header[4], header[8], header[9]
    if kind != _SHARED_OBJECT or size != _SEGMENT.size or offset + size * count > len(content):
        return None
    table = content[offset : offset + size * count]
    return _Image(tuple(header), ident, tuple(_SEGMENT.iter_unpack(table)))


def _holds_more_than_sections(content: bytes, image: _Image) -> bool:
    """What lies behind everything that the headers describe, padding aside, is a payload: keep the file."""
    offset, size, count = image.header[5], image.header[10], image.header[11]
    if count == 0 or size != _SECTION.size or offset + size * count > len(content):
        return True
    sections = _SECTION.iter_unpack(content[offset : offset + size * count])
    ends = [section[4] + section[5] for section in sections if section[1] != _NO_BITS]
    ends += [segment[2] + segment[5] for segment in image.segments]
    return content[max(*ends, offset + size * count) :].strip(b"\0") != b""


def _runs(image: _Image) -> list[_Run]:
    """Return what stays, in order; a gap shrinks by a multiple of the largest alignment."""
    step = max([_PAGE_BYTES, *(segment[7] for segment in image.segments)])
    table = image.header[4], image.header[4] + len(image.segments) * _SEGMENT.size
    spans = [(0, _HEADER.size), table, *((s[2], s[2] + s[5]) for s in image.segments if s[5])]
    runs: list[_Run] = []
    for start, stop in sorted(spans):
        last = runs[-1] if runs else _Run(0, 0, 0)
        gap = (start - last.stop) // step * step
        if runs and gap <= 0:
            runs[-1] = _Run(last.start, max(stop, last.stop), last.shift)
        else:
            runs.append(_Run(start, stop, last.shift + max(gap, 0)))
    return runs


def _join(content: bytes, image: _Image, runs: Sequence[_Run]) -> bytes:
    result = bytearray(runs[-1].stop - runs[-1].shift)
    for run in runs:
        result[run.start - run.shift : run.stop - run.shift] = content[run.start : run.stop]
    header = list(image.header)
    header[4] = _moved(header[4], runs)
    header[5] = header[11] = header[12] = 0  # no section headers
    _HEADER.pack_into(result, 0, image.ident, *header)
    for index, segment in enumerate(image.segments):
        fields = (*segment[:2], _moved(segment[2], runs), *segment[3:])
        _SEGMENT.pack_into(result, header[4] + index * _SEGMENT.size, *fields)
    return bytes(result)


def _moved(offset: int, runs: Sequence[_Run]) -> int:
    shifts = [run.shift for run in runs if run.start <= offset]
    return offset - (shifts[-1] if shifts else 0)
