"""The file store keeps the contract, and its files to its owner."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest

from graphlambda.errors import StoreError
from graphlambda.runtime.faults import FrameError
from graphlambda.runtime.files import FileClient
from graphlambda.runtime.frame import decode, encode_parts, load, verify
from graphlambda.store import FileStore, Store, default_root
from graphlambda.store.namespaces import KEPT_S, namespace_run
from graphlambda.testing.stores import ELSEWHERE, CountingStore, DelayStore, FaultyStore, StoreTests

KEY = bytes(range(32))


class TestFileStore(StoreTests):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return FileStore(tmp_path / "values", owner=lambda: ELSEWHERE)

    def age(self, store: Store, run: str, seconds: float) -> None:
        lease = Path(store.spec()["root"]) / run / ".lease"
        os.utime(lease, (lease.stat().st_atime, lease.stat().st_mtime - seconds))


def test_the_room_is_what_the_file_system_has_left(tmp_path: Path) -> None:
    room_bytes = FileStore(tmp_path / "values").room_bytes()
    assert room_bytes is not None
    assert 0 < room_bytes < shutil.disk_usage(tmp_path).total


def test_a_file_that_holds_less_than_it_says_is_damaged_and_not_waited_for() -> None:
    cut_short = FileClient("/sys").read(
        "kernel", "uevent_seqnum"
    )  # the kernel says 4,096 bytes of any of its files
    assert 0 < len(cut_short) < 4096
    with pytest.raises(FrameError):
        verify(cut_short, key=KEY, context=b"run/v-1")


def test_a_namespace_that_nobody_uses_goes_though_the_client_lives_that_began_it(tmp_path: Path) -> None:
    store = FileStore(tmp_path, clock=lambda: 0.0)
    namespace = namespace_run(KEY, "default")
    for run in ("run", namespace):
        store.touch(run)
    later = FileStore(tmp_path, clock=lambda: KEPT_S + 1.0)
    assert later.sweep(older_than_s=600.0) == (namespace,)
    assert later.runs().keys() == {"run"}


class TestWrappedStores:
    def test_calls_are_counted(self, tmp_path: Path) -> None:
        store = CountingStore(FileStore(tmp_path))
        store.touch("run")
        store.put("run", "v-1", [b"a"])
        assert store.exists("run", "v-1")
        assert store.calls == {"touch": 1, "put": 1, "size": 1}

    def test_the_calls_that_were_chosen_fail(self, tmp_path: Path) -> None:
        store = FaultyStore(FileStore(tmp_path), lambda method, before: (method, before) == ("touch", 1))
        store.touch("run")
        with pytest.raises(StoreError, match="touch number 1"):
            store.touch("run")
        store.touch("run")

    def test_a_delayed_call_gives_the_same(self, tmp_path: Path) -> None:
        store = DelayStore(FileStore(tmp_path), 0.001)
        store.touch("run")
        store.put("run", "v-1", [b"a"])
        assert bytes(store.get("run", "v-1")) == b"a"


def mode(path: Path) -> str:
    """Return a file's type and permission bits, as `ls` shows them."""
    return stat.filemode(path.stat().st_mode)


def test_only_the_owner_can_read_values(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = FileStore(tmp_path / "deep" / "values")
        store.touch("run")
        store.put("run", "v-1", [b"secret"])
    finally:
        os.umask(old)
    root = tmp_path / "deep" / "values"
    assert {path.name: mode(path) for path in (root, *root.rglob("*"))} == {
        "values": "drwx------",
        "run": "drwx------",
        ".lease": "-rw-------",
        "v-1": "-rw-------",
    }


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.touch("run")
    with pytest.raises(TypeError):
        store.put("run", "v-1", [b"half", "not bytes"])  # type: ignore[list-item]
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lease"]


def test_a_drop_that_was_interrupted_is_swept_up(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    (tmp_path / ".run.0123").mkdir()
    os.utime(tmp_path / ".run.0123", (0, 0))
    assert store.runs() == {}
    store.sweep(older_than_s=500.0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lease", [b"", b"{}", b"[1]", b"\xff", b'{"nonce": "'])
def test_a_run_whose_lease_names_nobody_goes_by_its_age(tmp_path: Path, lease: bytes) -> None:
    store = FileStore(tmp_path)
    store.touch("run")
    (tmp_path / "run" / ".lease").write_bytes(lease)
    os.utime(tmp_path / "run" / ".lease", (0, 0))
    assert store.sweep(older_than_s=500.0) == ("run",)


def test_an_unwritable_root_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="the file store failed"):
        FileStore(tmp_path / "file").touch("run")


def test_the_default_root_is_ours_alone(tmp_path: Path) -> None:
    root = default_root(tmp_path)
    if root == tmp_path / "values":
        pytest.skip("no memory file system with room on this machine")
    assert (mode(root), root.stat().st_uid) == ("drwx------", os.getuid())


def test_what_a_task_does_to_its_input_no_file_and_no_other_reader_sees(tmp_path: Path) -> None:
    """Large values are mapped, not read."""
    store, array = FileStore(tmp_path), np.arange(200_000)
    store.touch("run")
    store.put("run", "v-1", encode_parts(array, key=KEY, context=b"run/v-1"))
    written = (tmp_path / "run" / "v-1").read_bytes()
    one, other = (decode(store.get("run", "v-1"), key=KEY, context=b"run/v-1") for _ in range(2))
    one[:] = -1
    np.testing.assert_array_equal(other, array)
    assert (tmp_path / "run" / "v-1").read_bytes() == written
    store.delete("run", ["v-1"])
    np.testing.assert_array_equal(other, array)


def test_what_was_verified_is_what_is_unpickled_whoever_writes_to_the_file(tmp_path: Path) -> None:
    store, value = FileStore(tmp_path), {"word": "verified", "array": np.zeros(200_000)}
    store.touch("run")
    store.put("run", "v-1", encode_parts(value, key=KEY, context=b"run/v-1"))
    frame = verify(store.get("run", "v-1"), key=KEY, context=b"run/v-1")
    with (tmp_path / "run" / "v-1").open("r+b") as file:
        file.write(bytes(4096))
    assert load(frame)["word"] == "verified"
