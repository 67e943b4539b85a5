"""Texts that name code become requirements where somebody reads them, and change nothing elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.packager import read_installed
from graphlambda.packager.cache import Cache
from graphlambda.packager.evidence import foreseen
from graphlambda.packager.words import Meaning, meanings, read_rules
from graphlambda.testing.distributions import install, operation_of

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.packager import Target


@pytest.fixture
def needs(site: Path, target: Target, tmp_path: Path) -> object:
    """What an operation with these imports and words needs, of what is installed in `site`."""

    def found(imports: list[str], words: list[str]) -> list[str]:
        operation = operation_of("", imports=imports, words=words)
        cache = Cache(tmp_path / "cache")
        (requirements,) = foreseen([operation], read_installed([str(site)]), target, cache).values()
        return [each.distribution for each in requirements]

    for name, requires in (("dask", ["fsspec"]), ("fsspec", []), ("pandas", []), ("xarray", ["pandas"])):
        install(site, name, {f"{name}/__init__.py": ""}, requires=requires)
    for name in ("s3fs", "gcsfs", "pyarrow", "openpyxl", "h5netcdf", "h5py", "scipy", "numba", "zarr"):
        install(site, name, {f"{name}/__init__.py": ""})
    install(site, "numcodecs", {"numcodecs/__init__.py": ""})
    return found


@pytest.mark.parametrize(
    ("imports", "words", "expected"),
    [
        (["dask"], ["s3://"], ["dask", "fsspec", "s3fs"]),
        (["dask"], ["simplecache://", "gcs://"], ["dask", "fsspec", "gcsfs"]),
        (["pandas"], ["memory://"], ["fsspec", "pandas"]),
        (["pandas"], ["pyarrow"], ["pandas", "pyarrow"]),
        (["pandas"], [".xlsx"], ["openpyxl", "pandas"]),
        (["pandas"], ["numba"], ["numba", "pandas"]),
        (["xarray"], ["h5netcdf"], ["h5netcdf", "h5py", "pandas", "xarray"]),
        (["zarr"], ["blosc"], ["numcodecs", "zarr"]),
    ],
)
def test_a_word_names_code_to_those_who_read_it(
    needs: object, imports: list[str], words: list[str], expected: list[str]
) -> None:
    assert needs(imports, words) == expected  # type: ignore[operator]


@pytest.mark.parametrize(
    ("imports", "words"),
    [
        (["scipy"], ["s3://", "pyarrow", "numba", ".xlsx"]),
        (["pandas"], ["price", "zarr", "h5netcdf", ".txt", "fastparquet", "az://"]),
        ([], ["s3://", "gcs", "pyarrow"]),
    ],
)
def test_a_word_that_nobody_reads_or_that_is_not_installed_changes_nothing(
    needs: object, imports: list[str], words: list[str]
) -> None:
    assert needs(imports, words) == needs(imports, [])  # type: ignore[operator]


def test_where_an_owner_tries_engines_in_order_the_first_that_is_installed_is_taken(needs: object) -> None:
    assert needs(["xarray"], [".nc"]) == ["h5netcdf", "h5py", "pandas", "xarray"]  # type: ignore[operator]


def test_what_a_word_brings_may_read_words_itself(needs: object, site: Path) -> None:
    install(site, "xarray", {"xarray/__init__.py": ""}, version="2")
    install(site, "numcodecs", {"numcodecs/__init__.py": ""})
    assert needs(["xarray"], ["zarr", "blosc"]) == ["numcodecs", "pandas", "xarray", "zarr"]  # type: ignore[operator]


ENTRY_POINTS = "[xarray.backends]\ngrib = grib.plugin:Backend\n[fsspec.specs]\nice = icefs:IceFileSystem\n"


@pytest.mark.parametrize(
    ("reached", "words", "expected"),
    [
        ({"xarray"}, ["grib"], [("grib.plugin", "grib")]),
        ({"xarray"}, ["ice://"], []),
        ({"fsspec"}, ["ice://", "grib"], [("icefs", "ice://")]),
        ({"fsspec", "xarray"}, ["ice", "grib"], [("grib.plugin", "grib"), ("icefs", "ice")]),
        ({"fsspec", "xarray"}, ["price"], []),
    ],
)
def test_entry_points_of_reached_groups_are_words(
    site: Path, reached: set[str], words: list[str], expected: list[tuple[str, str]]
) -> None:
    info = "plugins-1.0.dist-info/entry_points.txt"
    install(
        site, "plugins", {"grib/__init__.py": "", "grib/plugin.py": "", "icefs.py": "", info: ENTRY_POINTS}
    )
    found = meanings(words, reached, read_installed([str(site)]))
    assert [(each.module, each.word) for each in found] == expected


def test_entry_points_of_the_owner_itself_bring_nothing(site: Path) -> None:
    info = "xarray-1.0.dist-info/entry_points.txt"
    points = "[xarray.chunkmanagers]\ndask = xarray.daskmanager:DaskManager\n"
    install(site, "xarray", {"xarray/__init__.py": "", "xarray/daskmanager.py": "", info: points})
    assert meanings(["dask"], {"xarray"}, read_installed([str(site)])) == ()


def test_a_meaning_says_which_word_and_why() -> None:
    (found,) = meanings(["pyarrow"], {"pandas"}, read_installed())
    assert found == Meaning("pyarrow", "pyarrow", "an engine, a dtype's storage or a format that needs it")


def test_each_rule_has_words_owners_modules_and_a_reason() -> None:
    rules, groups = read_rules()
    assert all(rule.words and rule.owners and rule.modules and rule.reason for rule in rules)
    assert all(group.group and group.owner for group in groups)
