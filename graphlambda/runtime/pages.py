"""Memory of large values, lent again when nobody holds it: new pages take as long to get as a value takes to arrive.

In: sizes. Out: writable memory; it comes back by itself when the last view of it is gone. Must not keep more than a
share of the function's memory, nor keep any while new pages are got.
"""

from __future__ import annotations

import os
from _weakref import ref
from ctypes import c_ubyte
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from pickle import PickleBuffer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PAGE_BYTES = 1 << 21
"""Of Linux's larger pages: one fault gets as much as 512 small ones."""

MOST_BYTES = (int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")) << 20) // 8
"""What may be kept at once."""

_MADV_HUGEPAGE = 14  # of Linux

_kept: list[mmap] = []
_lent: dict[int, tuple[ref[Any], mmap]] = {}


def lend(size: int) -> memoryview:
    """Return `size` writable bytes at the start of a page; what is in them is of no value."""
    memory = _taken(size) or _new(size)
    borrower = (c_ubyte * size).from_buffer(memory)  # lives as long as a view of it does
    note = ref(borrower, _returned)
    _lent[id(note)] = note, memory
    return PickleBuffer(borrower).raw()


def kept_bytes() -> int:
    """Return how much is kept for the next who asks."""
    return sum(map(len, _kept))


def _taken(size: int) -> mmap | None:
    """Take what is kept and large enough, but not twice as large as it need be."""
    for memory in [*_kept]:
        if size <= len(memory) <= 2 * max(size, PAGE_BYTES):
            try:
                _kept.remove(memory)
            except ValueError:  # another thread was first
                continue
            return memory
    return None


def _new(size: int) -> mmap:
    _kept.clear()
    memory = mmap(-1, -(-size // PAGE_BYTES) * PAGE_BYTES, flags=MAP_PRIVATE | MAP_ANONYMOUS)
    try:
        memory.madvise(_MADV_HUGEPAGE)
    except OSError:  # another system, or switched off: small pages do as well
        return memory
    return memory


def _returned(note: ref[Any]) -> None:
    _, memory = _lent.pop(id(note))
    if kept_bytes() + len(memory) <= MOST_BYTES:
        _kept.append(memory)
