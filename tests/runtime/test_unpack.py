"""Archives that a function unpacks when it starts: whole or not at all, and never outside of their folder."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard

import graphlambda
from graphlambda.packager.archive import archive_of
from graphlambda.packager.artifact import Requirement
from graphlambda.packager.cache import Cache
from graphlambda.packager.layers import Packed
from graphlambda.packager.trees import load, seal, write
from graphlambda.runtime.faults import UnpackingError
from graphlambda.runtime.unpack import unpack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DIGEST = "5f0c" * 16
FILES = {"a/__init__.py": b"X = 1\n", "a/lib.so": b"\x7fELF" + bytes(5000), "empty": b""}


def tarred(members: Iterable[tuple[tarfile.TarInfo, bytes]], digest: str = DIGEST) -> bytes:
    """Return an archive as ours are, of whatever members."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", pax_headers={"comment": digest}) as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain.getvalue())


def member(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in more.items():
        setattr(info, field, value)
    return info, content


def deps_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    size = sum(map(len, files.values()))
    return {"digest": DIGEST, "files": len(files), "size_bytes": size, "room_bytes": size, "pieces": []}


@pytest.fixture
def tmp(tmp_path: Path) -> Path:
    """What stands for /tmp."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


@pytest.fixture
def piece(tmp_path: Path) -> Path:
    """A good archive of FILES in one piece."""
    path = tmp_path / "piece"
    path.write_bytes(tarred(member(name, content) for name, content in FILES.items()))
    return path


def held(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_what_the_packager_packs_in_pieces_comes_out_as_it_was(tmp_path: Path, tmp: Path) -> None:
    files = {f"deep/{'long' * 40}/m{number}.py": os.urandom(3000) for number in range(40)}
    files |= {"pkg/lib.so": b"\x7fELF" + bytes(10_000)}
    (tmp_path / "tree").mkdir()
    seal(tmp_path / "tree", [write(tmp_path / "tree", path, content) for path, content in files.items()])
    packed = Packed(Requirement("pkg", "1.0"), load(tmp_path / "tree"))
    archive = archive_of([packed], 50_000, Cache(tmp_path / "cache"))
    pieces = [str(tree.file(entry)) for tree in archive.pieces for entry in tree.entries]
    assert [Path(each).stat().st_size for each in pieces[:-1]] == [50_000, 50_000]
    deps = {
        "digest": archive.digest,
        "files": archive.files,
        "size_bytes": archive.size_bytes,
        "room_bytes": archive.room_bytes,
    }
    place = Path(unpack(deps, pieces, str(tmp)))
    assert held(place) == {**files, ".graphlambda-complete": archive.digest.encode()}
    assert (place / "pkg/lib.so").stat().st_mode & 0o777 == 0o755
    assert {path.stat().st_mode & 0o111 for path in place.rglob("*.py")} == {0}


def test_a_second_start_takes_what_the_first_unpacked(piece: Path, tmp: Path) -> None:
    first = unpack(deps_of(FILES), [str(piece)], str(tmp))
    piece.unlink()
    assert unpack(deps_of(FILES), [str(piece)], str(tmp)) == first


@pytest.mark.parametrize("half", [f"graphlambda-deps-{DIGEST[:16]}.part", f"graphlambda-deps-{DIGEST[:16]}"])
def test_half_a_folder_is_replaced(piece: Path, tmp: Path, half: str) -> None:
    (tmp / half).mkdir()
    (tmp / half / "stray").write_bytes(b"?")
    place = Path(unpack(deps_of(FILES), [str(piece)], str(tmp)))
    assert sorted(held(place)) == [".graphlambda-complete", "a/__init__.py", "a/lib.so", "empty"]
    assert list(tmp.iterdir()) == [place]


def test_a_start_that_is_killed_leaves_nothing_that_the_next_one_takes_for_whole(
    piece: Path, tmp_path: Path, tmp: Path
) -> None:
    content = piece.read_bytes()
    first, waits = tmp_path / "first", tmp_path / "waits"
    first.write_bytes(content[:-20])
    os.mkfifo(waits)
    statements = (
        "import sys; sys.path.append(sys.argv[5]); from runtime.unpack import unpack\n"  # not all of graphlambda
        "unpack(eval(sys.argv[1]), sys.argv[2:4], sys.argv[4])"
    )
    arguments = [str(deps_of(FILES)), str(first), str(waits), str(tmp), graphlambda.__path__[0]]
    process = subprocess.Popen([sys.executable, "-c", statements, *arguments])
    writer = os.open(waits, os.O_WRONLY)  # it reads there now
    deadline = time.monotonic() + 60
    while not list(tmp.glob("*.part")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.close(writer)
    assert [path.suffix for path in tmp.iterdir()] == [".part"]
    place = unpack(deps_of(FILES), [str(piece)], str(tmp))
    assert [str(path) for path in tmp.iterdir()] == [place]


def refused(content: bytes, deps: Mapping[str, Any], tmp: Path) -> str:
    """Return why an archive is refused; nothing of it may be left."""
    (tmp.parent / "bad").write_bytes(content)
    with pytest.raises(UnpackingError) as caught:
        unpack(deps, [str(tmp.parent / "bad")], str(tmp))
    assert list(tmp.iterdir()) == []
    assert not (tmp.parent / "x").exists()
    return str(caught.value)


@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_a_truncated_archive_is_refused(tmp: Path, cut: int) -> None:
    random = {"noise": os.urandom(20_000)}
    whole = tarred(member(name, content) for name, content in random.items())
    assert "is not what was built" in refused(
        whole[: len(whole) // cut - 1 if cut > 1 else 50], deps_of(random), tmp
    )


def test_a_flipped_bit_is_found_by_the_checksum(tmp: Path) -> None:
    random = {"noise": os.urandom(20_000)}
    whole = bytearray(tarred(member(name, content) for name, content in random.items()))
    whole[len(whole) // 2] ^= 1
    assert "is not what was built" in refused(bytes(whole), deps_of(random), tmp)


def test_an_archive_of_another_tree_is_refused(tmp: Path) -> None:
    other = tarred([member("a", b"1")], digest="f" * 64)
    assert f"it is {'f' * 64} instead of {DIGEST}" in refused(other, deps_of({"a": b"1"}), tmp)


def test_an_archive_with_more_or_less_than_was_built_is_refused(tmp: Path) -> None:
    one = tarred([member("a", b"12")])
    assert "more than it should" in refused(one, deps_of({"a": b"1"}), tmp)
    assert "lacks 1 files, or 1 bytes" in refused(one, deps_of({"a": b"12", "b": b"3"}), tmp)


@pytest.mark.parametrize(
    "crafted",
    [
        member("../x"),
        member("/x"),
        member("a/../../x"),
        member("./x"),
        member("a\\x"),
        member("a//x"),
        member("x", type=tarfile.SYMTYPE, linkname="/etc"),
        member("x", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        member("x", type=tarfile.FIFOTYPE),
        member("x", type=tarfile.DIRTYPE),
    ],
    ids=lambda crafted: f"{crafted[0].name}-{crafted[0].type!r}",
)
def test_nothing_but_plain_files_inside_of_the_folder_is_unpacked(
    tmp: Path, crafted: tuple[tarfile.TarInfo, bytes]
) -> None:
    assert "no plain file inside of it" in refused(tarred([crafted]), deps_of({"x": b""}), tmp)


def test_a_file_that_comes_twice_is_refused(tmp: Path) -> None:
    twice = tarred([member("a", b"1"), member("a", b"2")])
    assert "File exists" in refused(twice, deps_of({"a": b"1", "b": b"2"}), tmp)


def test_where_there_is_no_room_nothing_is_begun_and_the_sizes_are_told(piece: Path, tmp: Path) -> None:
    deps = {**deps_of(FILES), "room_bytes": 10**15}
    with pytest.raises(UnpackingError, match=r"need 1000000000 MB in .*, which had \d+ MB left"):
        unpack(deps, [str(piece)], str(tmp))
    assert list(tmp.iterdir()) == []
