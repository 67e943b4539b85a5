"""What a shared object needs is read as the loader reads it."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from graphlambda.packager import read_installed
from graphlambda.packager.elf import shorten
from graphlambda.packager.elf_needs import Needs, needs_of, parse
from graphlambda.packager.machines import numbers
from graphlambda.testing.wheels import shared_object

if TYPE_CHECKING:
    from pathlib import Path


def test_processor_libraries_folders_and_the_newest_glibc_are_read_without_section_headers() -> None:
    content = shared_object(
        "arm64",
        libraries=["libc.so.6", "libown.so.1"],
        versions=["GLIBC_2.9", "GLIBC_2.17", "GLIBC_PRIVATE", "GLIBCXX_3.4.29"],
        soname="libthis.so.2",
        search="$ORIGIN/../own.libs:/opt/lib",
    )
    assert parse(content) == Needs(
        machine="arm64",
        soname="libthis.so.2",
        libraries=("libc.so.6", "libown.so.1"),
        search=("$ORIGIN/../own.libs", "/opt/lib"),
        glibc="2.17",
    )


def test_a_weak_need_is_none() -> None:
    needs = parse(shared_object(versions=["GLIBC_2.40"], weak=True))
    assert needs == Needs(machine="x86_64", libraries=("libc.so.6",))


def test_packed_relocations_need_the_loader_that_can_read_them() -> None:
    needs = parse(shared_object(versions=["GLIBC_2.3", "GLIBC_ABI_DT_RELR"]))
    assert needs == Needs(machine="x86_64", libraries=("libc.so.6",), glibc="2.36")


@pytest.mark.parametrize("content", [b"", b"#!/bin/sh\n", b"PK\x03\x04" + bytes(200)])
def test_what_is_no_elf_file_needs_nothing(content: bytes) -> None:
    assert parse(content) is None


@pytest.mark.parametrize("length", [10, 70, 180, 230])
def test_a_file_that_is_cut_off_is_for_no_machine(length: int) -> None:
    assert parse(shared_object(versions=["GLIBC_2.17"])[:length]) == Needs(machine="")


def test_a_file_of_32_bits_is_named_for_what_it_is() -> None:
    content = bytearray(shared_object())
    content[4], content[18] = 1, 3
    assert parse(bytes(content)) == Needs(machine="i386")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "a.so"
    path.write_bytes(shared_object())
    assert needs_of(path) == Needs(machine="x86_64", libraries=("libc.so.6",))
    path.write_bytes(shared_object("arm64", libraries=["libm.so.6"]))
    assert needs_of(path) == Needs(machine="arm64", libraries=("libm.so.6",))


def test_real_shared_objects_read_as_readelf_reads_them_and_shortening_changes_nothing() -> None:
    numpy = read_installed().distributions["numpy"]
    paths = [numpy.root / path for path in numpy.files if ".so" in path]
    assert len(paths) > 10
    said = subprocess.run(["readelf", "-dVW", *paths], capture_output=True, text=True, check=True).stdout
    for path, text in zip(paths, re.split(r"^File: .*$", said, flags=re.MULTILINE)[1:], strict=True):
        versions = text.partition("Version needs section")[2]
        needs = needs_of(path)
        assert needs is not None
        assert needs.libraries == tuple(re.findall(r"\(NEEDED\).*\[(.*)\]", text))
        assert needs.glibc == max(re.findall(r"Name: GLIBC_([\d.]+)", versions), key=numbers, default="")
        assert parse(shorten(path.read_bytes())) == needs
