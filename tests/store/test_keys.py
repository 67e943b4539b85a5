"""Keys stay with their owner, and what they seal is opened by them alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphlambda.errors import ConfigError
from graphlambda.store.keys import SealError, derive, open_sealed, root_key, seal

if TYPE_CHECKING:
    from pathlib import Path

ROOT = bytes(range(32))


def test_of_many_makers_all_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as makers:
        keys = set(makers.map(root_key, [tmp_path / "new" / "key"] * 32))
    assert [len(key) for key in keys] == [32]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["key"]
    assert (tmp_path / "new" / "key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    root_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        root_key(tmp_path / "key")


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0o600)
    with pytest.raises(ConfigError, match="holds 0 bytes"):
        root_key(tmp_path / "key")


def test_runs_have_keys_of_their_own() -> None:
    assert derive(ROOT, "run-1") == derive(ROOT, "run-1")
    assert len({ROOT, derive(ROOT, "run-1"), derive(ROOT, "run-2"), derive(bytes(32), "run-1")}) == 4


@settings(deadline=None)
@given(st.binary(max_size=200), st.data())
def test_a_seal_tells_every_change(payload: bytes, data: st.DataObject) -> None:
    sealed = seal(payload, ROOT, "program")
    assert open_sealed(sealed, ROOT, "program") == payload
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for damaged in (bytes(flipped), sealed[:at], sealed + b"\0"):
        with pytest.raises(SealError):
            open_sealed(damaged, ROOT, "program")


def test_a_seal_of_another_key_or_purpose_is_refused() -> None:
    sealed = seal(b"payload", ROOT, "program")
    for root, purpose in ((bytes(32), "program"), (ROOT, "manifest")):
        with pytest.raises(SealError):
            open_sealed(sealed, root, purpose)
