"""Small wheels and shared objects, made by hand: what an index could serve, and what it should not.

In: names, files, tags, what a shared object needs. Out: wheels in a find-links folder, bytes of an ELF file, and
installers that know this folder only. Must not build anything real.
"""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

from graphlambda.packager.installers import Installers, user_installers
from graphlambda.testing.distributions import hash_of, metadata_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_MACHINES = {"x86_64": 62, "arm64": 183}
_SEGMENT = struct.Struct("<IIQQQQQQ")


def make_wheel(
    folder: Path,
    name: str,
    files: Mapping[str, str | bytes],
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    requires: Iterable[str] = (),
) -> Path:
    """Write a wheel into a find-links folder; its RECORD lists all files, wherever they claim to lie."""
    distribution = f"{name.replace('-', '_')}-{version}"
    info = f"{distribution}.dist-info"
    contents = {path: text.encode() if isinstance(text, str) else text for path, text in files.items()}
    contents[f"{info}/METADATA"] = metadata_of(name, version, requires)
    contents[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    rows = [f"{path},{hash_of(content)},{len(content)}" for path, content in contents.items()]
    contents[f"{info}/RECORD"] = "\n".join([*rows, f"{info}/RECORD,,", ""]).encode()
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{distribution}-{tag}.whl", "w") as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return folder / f"{distribution}-{tag}.whl"


def installers_of(links: Path, cache: Path, *, uv: bool = True, pip: bool = True) -> Installers:
    """Return this interpreter's uv and pip, told by pip's own variables to look into one folder and nowhere else."""
    environment = {
        "PIP_CONFIG_FILE": "/dev/null",
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(links),
        "UV_CACHE_DIR": str(cache / "uv"),
        "UV_NO_CONFIG": "1",
        "HOME": str(cache),
    }
    found = user_installers(environment)
    return Installers(found.uv if uv else (), found.pip if pip else (), environment)


def shared_object(
    machine: str = "x86_64",
    *,
    libraries: Sequence[str] = ("libc.so.6",),
    versions: Sequence[str] = (),
    soname: str = "",
    search: str = "",
    weak: bool = False,
) -> bytes:
    """Return an ELF file without section headers that needs libraries, and symbol versions of the first of them."""
    texts = _Texts()
    needed = [(1, texts.at(library)) for library in libraries]
    named = [(tag, texts.at(text)) for tag, text in ((14, soname), (29, search)) if text]
    members = [texts.at(version) for version in versions]
    first = texts.at(libraries[0]) if libraries else 0
    strings, start = bytes(texts.content), 64 + 2 * _SEGMENT.size
    needs = struct.pack("<HHIII", 1, len(members), first, 16, 0) + b"".join(
        struct.pack("<IHHII", 0, 2 if weak else 0, 0, name, 16) for name in members
    )
    rows = [(5, start), (0x6FFFFFFE, start + len(strings)), (0x6FFFFFFF, 1 if members else 0), (0, 0)]
    dynamic = b"".join(struct.pack("<QQ", *row) for row in (*needed, *named, *rows))
    return _image(machine, strings + needs, start, dynamic)


def _image(machine: str, body: bytes, start: int, dynamic: bytes) -> bytes:
    """Return a header, two segments, a body and the dynamic section."""
    size, place = start + len(body) + len(dynamic), start + len(body)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, _MACHINES[machine], 1, 0, 64, 0, 0, 64, _SEGMENT.size, 2, 64, 0, 0),
    )
    load = _SEGMENT.pack(1, 5, 0, 0, 0, size, size, 4096)
    segment = _SEGMENT.pack(2, 6, place, place, place, len(dynamic), len(dynamic), 8)
    return header + load + segment + body + dynamic


class _Texts:
    """A string table that is being made."""

    def __init__(self) -> None:
        self.content = bytearray(1)

    def at(self, text: str) -> int:
        """Add a text; return where it begins."""
        position = len(self.content)
        self.content += text.encode() + b"\0"
        return position
