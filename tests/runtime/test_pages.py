"""Memory of large values comes back when nobody holds it, and not before."""

from __future__ import annotations

import gc
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from graphlambda.runtime import pages
from graphlambda.runtime.frame import allocate, copied, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 5_000_000


@pytest.fixture(autouse=True)
def _nothing_is_kept() -> Iterator[None]:
    gc.collect()
    pages._kept.clear()
    yield
    pages._kept.clear()


def address(memory: memoryview) -> int:
    return int(np.frombuffer(memory, np.uint8).ctypes.data)


def test_what_nobody_holds_is_lent_again() -> None:
    memory = pages.lend(SIZE)
    first, part = address(memory), np.frombuffer(memory[100:200], np.uint8)
    del memory
    assert pages.kept_bytes() == 0
    del part
    assert pages.kept_bytes() == 6 << 20
    assert address(pages.lend(SIZE - 1000)) == first


def test_two_never_have_the_same_memory() -> None:
    def fill(number: int) -> bool:
        memory = np.frombuffer(pages.lend(SIZE), np.uint32)
        memory[:] = number
        return bool((memory == number).all())

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(fill, range(60)))


def test_what_is_much_too_large_is_given_back_instead() -> None:
    del (memory := {"": pages.lend(8 * SIZE)})[""]
    assert pages.kept_bytes() > 8 * SIZE
    memory[""] = pages.lend(SIZE)
    assert pages.kept_bytes() == 0


def test_no_more_is_kept_than_a_share_of_the_functions_memory() -> None:
    values = [pages.lend(pages.MOST_BYTES // 3) for _ in range(5)]
    values.clear()
    assert 0 < pages.kept_bytes() <= pages.MOST_BYTES


def test_a_value_keeps_its_memory_and_is_writable_to_the_last_element() -> None:
    array = np.arange(SIZE // 8)
    encoded = encode(array, key=bytes(32), context=b"a")
    found = [decode(copied(encoded), key=bytes(32), context=b"a") for _ in range(2)]
    found[0][:] = -1
    np.testing.assert_array_equal(found[1], array)
    assert allocate(SIZE).format == "B"
