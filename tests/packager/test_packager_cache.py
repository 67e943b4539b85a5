"""What is in the cache is complete, whoever else is at it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import PackageError
from graphlambda.packager.cache import Cache
from graphlambda.packager.measure import Usage

if TYPE_CHECKING:
    from pathlib import Path


def test_an_entry_is_filled_once(tmp_path: Path) -> None:
    calls = []

    def fill(folder: Path) -> None:
        calls.append(folder)
        (folder / "x").write_text("1")

    cache = Cache(tmp_path)
    first = cache.folder("kind", "key", fill)
    assert (cache.folder("kind", "key", fill), len(calls)) == (first, 1)
    assert (first / "x").read_text() == "1"


def test_a_failed_fill_leaves_nothing_behind(tmp_path: Path) -> None:
    def fill(folder: Path) -> None:
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    cache = Cache(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        cache.folder("kind", "key", fill)
    assert not cache.path("kind", "key").exists()
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_loser_of_a_race_takes_the_winners_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def write(folder: Path, text: str) -> None:
        (folder / "x").write_text(text)

    def fill_slowly(folder: Path) -> None:
        write(folder, "slow")
        cache.folder("kind", "key", lambda other: write(other, "fast"))

    assert (cache.folder("kind", "key", fill_slowly) / "x").read_text() == "fast"
    assert sorted(path.name for path in (tmp_path / "kind").iterdir()) == ["key"]


def test_eight_processes_at_once_make_one_entry(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from graphlambda.packager.cache import Cache\n"
        "def fill(folder):\n"
        "    for n in range(200): (folder / str(n)).write_text('x' * n)\n"
        "path = Cache(pathlib.Path(sys.argv[1])).folder('kind', 'key', fill)\n"
        "print(sum(len(each.read_text()) for each in path.iterdir()))"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    assert {process.communicate(timeout=120)[0].strip() for process in running} == {str(sum(range(200)))}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_damaged_entry_is_made_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def is_whole(path: Path) -> bool:
        return (path / "x" if path.is_dir() else path).stat().st_size > 0

    def fill(path: Path) -> None:
        (path / "x" if path.is_dir() else path).write_text("whole")

    file, folder = cache.file("files", "key", fill), cache.folder("folders", "key", fill)
    for damaged in (file, folder / "x"):
        damaged.write_text("")
    assert cache.file("files", "key", fill, is_whole).read_text() == "whole"
    assert (cache.folder("folders", "key", fill, is_whole) / "x").read_text() == "whole"


def test_a_full_disk_names_the_folder_and_the_remedy(tmp_path: Path) -> None:
    def fill(_folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PackageError, match=f"{tmp_path}.*another cache folder"):
        Cache(tmp_path).folder("kind", "key", fill)


def test_another_system_error_stays_what_it_is(tmp_path: Path) -> None:
    def fill(_folder: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    with pytest.raises(PermissionError):
        Cache(tmp_path).folder("kind", "key", fill)


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    for name, age_s in (("old", 25 * 3600), ("new", 60)):
        (tmp_path / "scratch" / name).mkdir(parents=True)
        os.utime(tmp_path / "scratch" / name, times=(time.time() - age_s,) * 2)
    Cache(tmp_path).tidy()
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["new"]


def test_notes_may_be_written_again_and_folders_are_the_owners_alone(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "root")
    assert cache.get("notes", "key") is None
    cache.put("notes", "key", b"1")
    cache.put("notes", "key", b"2")
    assert cache.get("notes", "key") == b"2"
    assert (tmp_path / "root" / "notes").stat().st_mode & 0o077 == 0


def filled(root: Path) -> Cache:
    """Return a cache with three entries of 100 bytes, used 3, 2 and 1 hours ago, and a folder of somebody else's."""
    cache = Cache(root)

    def fill(path: Path) -> None:
        (path / "x" if path.is_dir() else path).write_bytes(bytes(100))

    cache.file("zips", "oldest", fill)
    cache.folder("trees", "older", fill)
    cache.put("notes", "old", bytes(100))
    for hours, path in enumerate(("notes/old", "trees/older", "zips/oldest"), 1):
        os.utime(root / path, times=(time.time() - 3600 * hours,) * 2)
    (root / "local").mkdir()
    (root / "local" / "state").write_bytes(bytes(100))
    return cache


def held(cache: Cache) -> list[str]:
    kinds = ("notes", "trees", "zips")
    return [f"{kind}/{path.name}" for kind in kinds for path in sorted((cache.root / kind).iterdir())]


def test_usage_counts_each_kind_and_nothing_of_others(tmp_path: Path) -> None:
    assert Cache(tmp_path / "nowhere").usage() == {}
    wanted = {"notes": Usage(1, 100), "trees": Usage(1, 100), "zips": Usage(1, 100)}
    assert filled(tmp_path).usage() == wanted


def test_a_file_with_two_names_is_counted_once(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    cache.folder("trees", "same", lambda folder: (folder / "x").hardlink_to(tmp_path / "trees/older/x"))
    assert cache.usage()["trees"] == Usage(2, 100)


def test_what_was_used_least_recently_goes_first_and_use_counts(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    cache.file("zips", "oldest", lambda _file: None)  # there already: used, not filled
    assert (cache.trim(299), held(cache)) == (100, ["notes/old", "zips/oldest"])
    assert cache.get("notes", "old") == bytes(100)
    assert (cache.trim(150), held(cache)) == (100, ["notes/old"])
    assert (cache.trim(100), held(cache)) == (0, ["notes/old"])
    assert (tmp_path / "local" / "state").exists()


def test_what_was_used_lately_is_not_removed_unasked(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    assert cache.get("notes", "old") == bytes(100)
    cache.bound(0)
    assert held(cache) == ["notes/old"]
    cache.folder("trees", "new", lambda _folder: None)
    os.utime(tmp_path / "trees" / "new", times=(0, 0))
    cache.bound(0)
    assert held(cache) == ["notes/old", "trees/new"]  # looked at a moment ago
    assert (cache.clear(), held(cache)) == (100, [])


def test_nothing_is_removed_while_somebody_has_a_lease(tmp_path: Path) -> None:
    cache = filled(tmp_path)
    code = (
        "import sys, pathlib; from graphlambda.packager.cache import Cache\n"
        "with Cache(pathlib.Path(sys.argv[1])).lease(): print('held', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(PackageError, match=f"{tmp_path} is in use by a build"):
            cache.clear()
        cache.bound(0)
        assert len(held(cache)) == 3
        other.kill()  # however it ends, its lease ends with it
    assert (cache.clear(), held(cache)) == (300, [])


def test_a_lease_does_not_keep_anybody_from_filling(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.lease(), cache.lease():
        cache.folder("kind", "key", lambda _folder: None)
    assert cache.usage() == {"kind": Usage(1, 0)}


def test_what_many_write_into_a_note_at_once_is_all_there(tmp_path: Path) -> None:
    def add(number: int) -> None:
        Cache(tmp_path).alter("kind", "note", lambda text: (text or b"") + bytes([number]))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(64)))
    assert sorted(Cache(tmp_path).get("kind", "note") or b"") == list(range(64))
