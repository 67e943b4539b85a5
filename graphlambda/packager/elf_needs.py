"""What a shared object asks of the machine that loads it: processor, libraries, version of the C library.

In: a file. Out: its `Needs`, read as the dynamic loader reads it: from the program headers and the dynamic
section, since section headers may be gone (`elf.shorten` takes them away). Must not run a tool.

https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html (the dynamic section)
https://refspecs.linuxfoundation.org/LSB_5.0.0/LSB-Core-generic/LSB-Core-generic/symversion.html (version needs)
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from graphlambda.packager.machines import numbers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Bytes: TypeAlias = "bytes | mmap.mmap"

_MAGIC = b"\x7fELF"
_WIDE, _LITTLE = 2, 1
_DYNAMIC_KIND = 3
_MACHINES = {62: "x86_64", 183: "arm64", 3: "i386", 40: "arm", 243: "riscv64", 21: "ppc64", 22: "s390x"}
_LOAD, _DYNAMIC = 1, 2
_END, _NEEDED, _STRINGS, _SONAME, _RPATH, _RUNPATH = 0, 1, 5, 14, 15, 29
_VERSIONS, _VERSION_COUNT = 0x6FFFFFFE, 0x6FFFFFFF
_WEAK = 2

_GLIBC = re.compile(r"GLIBC_(\d+(?:\.\d+)+)")
_MARKS = {"GLIBC_ABI_DT_RELR": "2.36"}
"""Versions that name an ability of the loader, and the glibc that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What one shared object needs to load."""

    machine: str
    """`x86_64`, `arm64`, another's name, or empty: a file that is cut off or damaged."""

    soname: str = ""
    libraries: tuple[str, ...] = ()
    """DT_NEEDED, in order."""

    search: tuple[str, ...] = ()
    """Folders of RPATH and RUNPATH, such as `$ORIGIN/../numpy.libs`."""

    glibc: str = ""
    """The highest version of GLIBC among its version needs; empty if it names none."""


def needs_of(path: Path) -> Needs | None:
    """Return what a shared object needs; None for a file that is none."""
    stat = path.stat()
    return _cached(path, stat.st_mtime_ns, stat.st_size)


def parse(content: Bytes) -> Needs | None:
    """Return what the bytes of a shared object need; None if they are none."""
    if content[:4] != _MAGIC:
        return None
    try:
        return _parse(content)
    except (struct.error, IndexError, ValueError):
        return Needs(machine="")


@lru_cache(maxsize=8192)
def _cached(path: Path, _time_ns: int, size: int) -> Needs | None:
    with path.open("rb") as file:
        if size < len(_MAGIC) or file.read(len(_MAGIC)) != _MAGIC:
            return None
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return parse(content)


def _parse(content: Bytes) -> Needs | None:
    order = "<" if content[5] == _LITTLE else ">"
    kind, machine = struct.unpack_from(f"{order}HH", content, 16)
    if kind != _DYNAMIC_KIND:
        return None  # an object file or a program at a fixed address: nobody imports it
    name = _MACHINES.get(machine, f"machine {machine}")
    if content[4] != _WIDE or content[5] != _LITTLE:
        return Needs(machine=name if content[4] != _WIDE else f"{name}, big-endian")
    (offset,) = struct.unpack_from("<Q", content, 32)
    size, count = struct.unpack_from("<HH", content, 54)
    segments = [struct.unpack_from("<IIQQQQ", content, offset + size * each) for each in range(count)]
    return _dynamic(
        content, name, _Memory(content, [each for each in segments if each[0] == _LOAD]), segments
    )


def _dynamic(content: Bytes, machine: str, memory: _Memory, segments: list[tuple[int, ...]]) -> Needs:
    table = [
        struct.unpack_from("<QQ", content, position)
        for kind, _, offset, _, _, size in segments
        if kind == _DYNAMIC
        for position in range(offset, offset + size - 15, 16)
    ]
    table = table[: next((index for index, row in enumerate(table) if row[0] == _END), len(table))]
    only = dict(table)
    if _STRINGS not in only:
        return Needs(machine=machine)
    strings = memory.offset(only[_STRINGS])
    paths = [memory.text(strings + value) for tag, value in table if tag in (_RPATH, _RUNPATH)]
    versions = _versions(memory, strings, only.get(_VERSIONS), only.get(_VERSION_COUNT, 0))
    return Needs(
        machine=machine,
        soname=memory.text(strings + only[_SONAME]) if _SONAME in only else "",
        libraries=tuple(memory.text(strings + value) for tag, value in table if tag == _NEEDED),
        search=tuple(folder for path in paths for folder in path.split(":") if folder),
        glibc=max(filter(None, map(_glibc, versions)), key=numbers, default=""),
    )


@dataclass(frozen=True, slots=True)
class _Memory:
    """A file as it will lie in memory."""

    content: Bytes
    loads: list[tuple[int, ...]]
    """type, flags, offset, address, physical address, size in the file."""

    def offset(self, address: int) -> int:
        """Return where in the file an address lies."""
        for _, _, offset, start, _, size in self.loads:
            if start <= address < start + size:
                return address - start + offset
        raise ValueError("an address outside every segment")

    def text(self, offset: int) -> str:
        """Return the text that begins at an offset."""
        end = self.content.find(b"\0", offset)
        if end < 0:
            raise ValueError("a text without an end")
        return self.content[offset:end].decode("utf-8", "replace")


def _versions(memory: _Memory, strings: int, address: int | None, count: int) -> Iterator[str]:
    """Yield the names of the symbol versions that must be there; weak ones need not."""
    position = memory.offset(address) if address is not None else 0
    for _ in range(count if address is not None else 0):
        _, members, _, first, following = struct.unpack_from("<HHIII", memory.content, position)
        entry = position + first
        for _ in range(members):
            _, flags, _, name, later = struct.unpack_from("<IHHII", memory.content, entry)
            if not flags & _WEAK:
                yield memory.text(strings + name)
            entry += later
        position += following


def _glibc(version: str) -> str:
    found = _GLIBC.fullmatch(version)
    return found[1] if found else _MARKS.get(version, "")
