"""Shared objects become shorter, and load as before."""

from __future__ import annotations

import ctypes
import importlib.util
import struct
from pathlib import Path

import pytest

from graphlambda.packager.elf import congruent, shorten

PAGE = 0x1000


def elf(*, gap: int = 0, payload: bytes = b"", kind: int = 3) -> bytes:
    """Two loaded segments of one page each, `gap` bytes of debug information between, sections at the end."""
    second = PAGE + gap
    sections = second + PAGE
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", kind, 62, 1, 0, 64, sections, 0, 64, 56, 2, 64, 1, 0
    )
    segments = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, PAGE, PAGE, PAGE)
    segments += struct.pack("<IIQQQQQQ", 1, 6, second, PAGE, PAGE, PAGE, PAGE, PAGE)
    first = (header + segments).ljust(PAGE, b"a")
    return first + b"d" * gap + b"b" * PAGE + bytes(64) + payload


def test_section_headers_behind_the_last_segment_are_cut_off() -> None:
    short = shorten(elf())
    assert len(short) == 2 * PAGE
    assert short[PAGE:] == b"b" * PAGE
    assert congruent(short)


def test_a_gap_between_segments_is_closed_and_the_segment_moves_with_its_header() -> None:
    short = shorten(elf(gap=10 * PAGE))
    assert short == shorten(elf())


def test_a_gap_that_is_no_multiple_of_the_alignment_stays_congruent() -> None:
    content = bytearray(elf(gap=3 * PAGE))
    short = shorten(bytes(content))
    assert congruent(short)
    assert shorten(short) == short


def test_a_payload_behind_the_sections_keeps_the_file_as_it_is() -> None:
    content = elf(gap=PAGE, payload=b"an archive that the library reads")
    assert shorten(content) is content


def test_padding_behind_the_sections_is_no_payload() -> None:
    assert shorten(elf(payload=bytes(7))) == shorten(elf())


@pytest.mark.parametrize(
    "content",
    [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + bytes(100), elf(kind=2), elf()[:100], elf()[:70]],
    ids=["empty", "script", "32 bit", "executable", "cut off", "header only"],
)
def test_what_is_not_a_whole_64_bit_shared_object_stays_as_it_is(content: bytes) -> None:
    assert shorten(content) is content


def test_a_segment_off_its_page_is_not_congruent() -> None:
    content = bytearray(elf())
    struct.pack_into("<Q", content, 64 + 56 + 8, PAGE + 1)
    assert not congruent(bytes(content))


def test_a_shortened_library_of_numpy_loads(tmp_path: Path) -> None:
    """OpenBLAS has been at patchelf, which is where `strip` fails."""
    spec = importlib.util.find_spec("numpy")
    assert spec is not None
    assert spec.origin is not None
    folder = Path(spec.origin).parents[1] / "numpy.libs"
    for source in sorted(folder.glob("*.so*")):
        content = source.read_bytes()
        (tmp_path / source.name).write_bytes(short := shorten(content))
        assert len(short) < len(content)
    openblas = next(tmp_path.glob("*openblas*"))
    ctypes.CDLL(str(openblas))
