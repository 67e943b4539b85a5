"""Folders of runs on disk: the contract, who may read them, and what is in the way."""

from __future__ import annotations

import fcntl
import os
import stat
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import StoreError
from graphlambda.store import FileStore
from graphlambda.store.folders import DiskFolders, Folders
from graphlambda.testing.folders import RUN, FoldersTests

if TYPE_CHECKING:
    from pathlib import Path


class TestDiskFolders(FoldersTests):
    @pytest.fixture
    def folders(self, tmp_path: Path) -> Folders:
        return DiskFolders(tmp_path / "runs")

    def age(self, folders: Folders, run: str, seconds: float) -> None:
        assert isinstance(folders, DiskFolders)
        path = folders.root / run
        os.utime(path, (path.stat().st_mtime - seconds,) * 2)


def test_only_the_owner_reads_what_lies_there(tmp_path: Path) -> None:
    folder = DiskFolders(tmp_path / "runs").of(RUN)
    folder.begin()
    folder.create("program", [b"a"])
    found = {path: stat.S_IMODE(path.stat().st_mode) for path in sorted((tmp_path / "runs").rglob("*"))}
    assert found == {tmp_path / "runs" / RUN: 0o700, tmp_path / "runs" / RUN / "program": 0o600}
    assert stat.S_IMODE((tmp_path / "runs").stat().st_mode) == 0o700


def test_nothing_comes_back_from_a_folder_that_was_dropped(tmp_path: Path) -> None:
    folders = DiskFolders(tmp_path / "runs")
    folder = folders.of(RUN)
    folder.begin()
    folder.drop()
    with pytest.raises(StoreError, match="folder of a run cannot be used"):
        folder.create("journal-1", [b"late"])
    assert folders.runs() == {}


def test_a_drop_that_was_interrupted_is_swept_up(tmp_path: Path) -> None:
    folders = DiskFolders(tmp_path / "runs")
    folders.of(RUN).begin()
    (tmp_path / "runs" / RUN).rename(tmp_path / "runs" / f".{RUN}.0123")
    assert (folders.runs(), folders.sweep(older_than_s=-1.0)) == ({}, ())
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_lies_under_a_name_that_no_run_has_ends_no_sweep(tmp_path: Path) -> None:
    folders, store = DiskFolders(tmp_path), FileStore(tmp_path)
    for name in ("copy of a run", RUN):
        (tmp_path / name).mkdir()
    assert folders.runs().keys() == store.runs().keys() == {RUN}
    assert store.sweep(older_than_s=-5.0) == (RUN,)


def test_a_folder_that_somebody_keeps_locked_is_named_after_a_while(tmp_path: Path) -> None:
    folder = DiskFolders(tmp_path / "runs", lock_wait_s=0.05).of(RUN)
    folder.begin()
    folder.create("lease", [b"a"])
    found = folder.read("lease")
    assert found is not None
    with (tmp_path / "runs" / RUN / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=r"run-1 has been locked for 0\.05 s"):
            folder.replace("lease", b"b", found.tag)
    assert folder.replace("lease", b"b", found.tag)
