"""A large value is verified once by a process, and again as soon as its file is another, or was written to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from graphlambda.runtime import mapped
from graphlambda.runtime.faults import DamagedValueError
from graphlambda.runtime.files import FileClient
from graphlambda.runtime.frame import encode_parts
from graphlambda.runtime.inputs import Frames
from graphlambda.runtime.wire import context, value_name

if TYPE_CHECKING:
    from pathlib import Path

RUN, KEY = "run", bytes(range(32))
ARRAY = np.arange(200_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / RUN).mkdir()
    put(tmp_path, ARRAY)
    return tmp_path / RUN / value_name(1)


def put(root: Path, value: Any, key: bytes = KEY) -> None:
    parts = encode_parts(value, key=key, context=context(RUN, value_name(1)))
    FileClient(str(root)).write(RUN, value_name(1), parts)


def read(path: Path, key: bytes = KEY) -> Any:
    """Return the value as a request's task would get it."""
    return Frames(RUN, {RUN: key}, FileClient(str(path.parent.parent)), {}).values([1])[1]


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_each_reader_has_a_value_of_its_own_verified_or_remembered(path: Path) -> None:
    first = read(path)
    first[:] = -1
    second = read(path)
    second[:] = -2
    np.testing.assert_array_equal(read(path), ARRAY)


@pytest.mark.parametrize("at", [0, 40, 200, 100_000, -1])
def test_a_bit_that_flips_after_a_value_was_verified_is_found(path: Path, at: int) -> None:
    read(path)
    state = path.stat()
    flip(path, at % state.st_size)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    with pytest.raises(DamagedValueError):
        read(path)


def test_another_key_verifies_nothing_that_was_verified_before(path: Path) -> None:
    read(path)
    with pytest.raises(DamagedValueError):
        read(path, bytes(32))


def test_another_value_in_the_same_place_is_read_as_it_is(path: Path) -> None:
    read(path)
    path.unlink()
    put(path.parent.parent, ARRAY + 1)
    np.testing.assert_array_equal(read(path), ARRAY + 1)


def test_what_is_unpickled_was_verified_although_its_file_is_written_to_unseen(path: Path) -> None:
    """A shared mapping leaves no trace in a memory file system's times; here the state is said to be the same."""
    read(path)
    frame = FileClient(str(path.parent.parent)).read(RUN, value_name(1))
    state = frame.obj.state  # type: ignore[attr-defined]
    flip(path, 120)
    forged = FileClient(str(path.parent.parent)).read(RUN, value_name(1))
    forged.obj.state = state  # type: ignore[attr-defined]
    whole = {"key": KEY, "context": context(RUN, value_name(1))}
    assert forged.obj.verified(forged, **whole) == frame  # type: ignore[attr-defined]


def test_no_more_than_so_many_files_are_remembered(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    client = FileClient(str(tmp_path))
    for value in range(mapped.MOST + 10):
        name = value_name(value)
        client.write(RUN, name, encode_parts(ARRAY[:40_000], key=KEY, context=context(RUN, name)))
        Frames(RUN, {RUN: KEY}, client, {}).values([value])
        (tmp_path / RUN / name).unlink()
    assert len(mapped._verified) == mapped.MOST


def test_a_value_that_is_half_pickle_is_verified_each_time(tmp_path: Path) -> None:
    (tmp_path / RUN).mkdir()
    put(tmp_path, [str(number) for number in range(2_000)] + [ARRAY])
    before = len(mapped._verified)
    for _ in range(2):
        read(tmp_path / RUN / value_name(1))
    assert len(mapped._verified) == before
