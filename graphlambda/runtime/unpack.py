"""Unpack what did not fit into layers: `deps.tar.zst`, cut into pieces that do, to /tmp at a cold start.

In: `deps.json` (`digest` of the tree, how many `files` and `size_bytes` it has, the `room_bytes` that they take on a
disk, the names of the `pieces`), the pieces on `sys.path`. Out: one more folder to import from, whole or not
there at all. Must not write outside of it, nor trust what an archive says of itself.

The folder is filled under another name, then renamed: a start that was cut short leaves no half of it to the next
one, and a start after a finished one finds all there. One thread: decompressing takes a third of the time that
writing does, and a second thread made both slower on the shares of a CPU that functions have.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
import tarfile

from .faults import UnpackingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any, Self

MARKER = ".graphlambda-complete"
"""Lies in a folder that is whole, and holds the digest of what is in it."""

_CHUNK_BYTES = 1 << 20
_FULL = (errno.ENOSPC, errno.EDQUOT)


def import_from_archive(path: str, tmp: str) -> None:
    """Make importable what the archive holds that the `deps.json` at `path` describes."""
    with open(path, "rb") as file:  # noqa: PTH123  (the runtime has no pathlib: 4 ms of each cold start)
        deps = json.load(file)
    pieces = [_found(name) for name in deps["pieces"]]
    layers = sys.path.index(os.path.dirname(pieces[0]))  # noqa: PTH120
    sys.path.insert(layers, unpack(deps, pieces, tmp))


def unpack(deps: Mapping[str, Any], pieces: Sequence[str], tmp: str) -> str:
    """Return the folder below `tmp` that holds the files of an archive: made, unless an earlier start made it.

    Raises:
        UnpackingError: there is no room, or the archive is damaged, another one, or wants out of its folder.
    """
    digest: str = deps["digest"]
    final = f"{tmp}/graphlambda-deps-{digest[:16]}"
    if _is_whole(final, digest):
        return final
    part = f"{final}.part"
    for leftover in (final, part):
        shutil.rmtree(leftover, ignore_errors=True)
    free_bytes = _free_bytes(tmp)
    if free_bytes < deps["room_bytes"]:
        raise _no_room(deps, tmp, free_bytes)
    try:
        _fill(part, deps, pieces)
        os.rename(part, final)  # noqa: PTH104
    except OSError as error:
        if error.errno in _FULL:
            raise _no_room(deps, tmp, free_bytes) from error
        raise UnpackingError(f"The distributions of this operation cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)  # gone already where all went well
    return final


def _found(name: str) -> str:
    for folder in sys.path:
        if os.path.exists(f"{folder}/{name}"):  # noqa: PTH110
            return f"{folder}/{name}"
    raise UnpackingError(
        f"No layer of this function holds {name}, a piece of the archive of its distributions"
    )


def _is_whole(folder: str, digest: str) -> bool:
    try:
        with open(f"{folder}/{MARKER}", encoding="ascii") as file:  # noqa: PTH123
            return file.read() == digest
    except OSError:
        return False


def _free_bytes(tmp: str) -> int:
    room = os.statvfs(tmp)
    return room.f_bavail * room.f_frsize


def _no_room(deps: Mapping[str, Any], tmp: str, free_bytes: int) -> UnpackingError:
    return UnpackingError(
        f"The distributions of this operation need {deps['room_bytes'] / 1e6:.0f} MB in {tmp}, "
        f"which had {free_bytes / 1e6:.0f} MB left"
    )


def _fill(part: str, deps: Mapping[str, Any], pieces: Sequence[str]) -> None:
    from zstandard import ZstdDecompressor, ZstdError  # noqa: PLC0415  (a layer's, and needed on this road only)

    os.mkdir(part)  # noqa: PTH102
    with _Pieces(pieces) as source, ZstdDecompressor().stream_reader(source, _CHUNK_BYTES) as plain:  # type: ignore[arg-type]
        try:
            _write_files(_Stream(plain.read), deps, part)
        except (tarfile.TarError, ZstdError, EOFError) as error:
            raise _damaged(str(error) or "it ends too early") from error
    with open(f"{part}/{MARKER}", "w", encoding="ascii") as file:  # noqa: PTH123
        file.write(deps["digest"])


def _write_files(stream: _Stream, deps: Mapping[str, Any], into: str) -> None:
    folders: set[str] = set()
    count, left = deps["files"], deps["size_bytes"]
    with tarfile.TarFile(fileobj=stream, mode="r") as archive:  # type: ignore[arg-type]
        if archive.pax_headers.get("comment") != deps["digest"]:
            raise _damaged(f"it is {archive.pax_headers.get('comment')} instead of {deps['digest']}")
        for member in archive:
            path = _safe_path(member, into)
            count, left = count - 1, left - member.size
            if left < 0:
                raise _damaged("it holds more than it should")
            folder = os.path.dirname(path)  # noqa: PTH120
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                folders.add(folder)
            _write_file(stream, path, member)
    stream.skip_rest()  # to the checksum
    if count or left:
        raise _damaged(f"it lacks {count} files, or {left} bytes")


def _safe_path(member: tarfile.TarInfo, into: str) -> str:
    """Return where a member goes; `tarfile` itself would follow links and, before 3.12, leave the folder."""
    parts = member.name.split("/")
    if not member.isreg() or not all(parts) or {".", ".."} & set(parts) or "\\" in member.name:
        raise _damaged(f"{member.name!r} is no plain file inside of it")
    return f"{into}/{member.name}"


def _write_file(stream: _Stream, path: str, member: tarfile.TarInfo) -> None:
    mode = 0o755 if member.mode & 0o100 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        stream.copy(member.size, descriptor)
    finally:
        os.close(descriptor)


def _damaged(how: str) -> UnpackingError:
    return UnpackingError(f"The archive of this operation's distributions is not what was built: {how}")


class _Pieces:
    """Files that are read one after the other."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._files = [open(path, "rb", buffering=0) for path in paths]  # noqa: PTH123, SIM115  (closed by `__exit__`)
        self._at = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files:
            file.close()

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; none at the end."""
        while self._at < len(self._files):
            if found := self._files[self._at].read(size):
                return found
            self._at += 1
        return b""


class _Stream:
    """What `tarfile` reads headers from, and we the files themselves: it goes forward only."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._chunk = memoryview(b"")
        self._position = 0

    def tell(self) -> int:
        """Return how much was read."""
        return self._position

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or what is left."""
        found = b""
        while len(found) < size and (more := self._some(size - len(found))):
            found += more
        return found

    def seek(self, position: int) -> None:
        """Go forward to a position."""
        while self._position < position:
            if not self._some(position - self._position):
                raise EOFError

    def copy(self, size: int, descriptor: int) -> None:
        """Write the next `size` bytes to a file."""
        while size:
            more = self._some(size)
            if not more:
                raise EOFError
            size -= len(more)
            while more:
                more = more[os.write(descriptor, more) :]

    def skip_rest(self) -> None:
        """Read to the end."""
        while self._some(_CHUNK_BYTES):
            pass

    def _some(self, size: int) -> memoryview:
        if not self._chunk:
            self._chunk = memoryview(self._read(_CHUNK_BYTES))
        found, self._chunk = self._chunk[:size], self._chunk[size:]
        self._position += len(found)
        return found
