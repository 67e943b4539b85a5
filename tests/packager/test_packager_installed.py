"""Which distribution provides a module, read from what installers record."""

from __future__ import annotations

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from typing import TYPE_CHECKING

import pytest

from graphlambda.packager.installed import Origin, hashes_of, module_of, read_installed, requires_of
from graphlambda.testing.distributions import install

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("a/b/c.py", "a.b.c"),
        ("a/b/__init__.py", "a.b"),
        (f"a/b{EXTENSION_SUFFIXES[0]}", "a.b"),
        ("a/b.abi3.so", "a.b"),
        ("a/b.pyc", "a.b"),
        ("a/libb.so.1", None),
        ("a/b-c.py", None),
        ("a/data.csv", None),
    ],
)
def test_a_file_holds_the_module_of_its_path(path: str, module: str | None) -> None:
    assert module_of(path) == module


def test_a_namespace_package_belongs_to_all_and_its_modules_to_one(site: Path) -> None:
    install(site, "acme-alpha", {"acme/alpha/__init__.py": ""})
    install(site, "acme-beta", {"acme/beta.py": ""})
    installed = read_installed([str(site)])
    assert installed.providers("acme.alpha.deep") == ("acme-alpha",)
    assert installed.providers("acme.beta") == ("acme-beta",)
    assert installed.providers("acme") == ("acme-alpha", "acme-beta")
    assert installed.providers("acme.gamma") == ()


def test_the_import_name_need_not_be_the_distributions(site: Path) -> None:
    install(site, "Scikit-Learn", {"sklearn/__init__.py": ""})
    assert read_installed([str(site)]).providers("sklearn.tree") == ("scikit-learn",)


def test_how_it_was_installed_is_read_from_its_metadata(site: Path) -> None:
    install(site, "wheel", {"w.py": ""})
    install(site, "edited", {}, editable=True)
    install(site, "conda", {"c.py": ""}, installer="conda\n")
    (install(site, "old", {"o.py": ""}) / "RECORD").unlink()
    found = {name: each.origin for name, each in read_installed([str(site)]).distributions.items()}
    assert found == {
        "wheel": Origin.WHEEL,
        "edited": Origin.EDITABLE,
        "conda": Origin.CONDA,
        "old": Origin.UNRECORDED,
    }


def test_the_first_folder_that_has_a_distribution_wins(tmp_path: Path) -> None:
    for folder, version in (("first", "2.0"), ("second", "3.0")):
        (tmp_path / folder).mkdir()
        install(tmp_path / folder, "acme", {"acme.py": ""}, version=version)
    installed = read_installed([str(tmp_path / "first"), str(tmp_path / "second")])
    assert installed.distributions["acme"].version == "2.0"


def test_a_new_record_is_seen_at_once(site: Path) -> None:
    install(site, "acme", {"acme.py": ""})
    before = read_installed([str(site)]).distributions["acme"]
    install(site, "acme", {"acme.py": "", "more.py": ""})
    after = read_installed([str(site)])
    assert after.providers("more") == ("acme",)
    assert after.distributions["acme"].record_digest != before.record_digest


def test_scripts_and_byte_code_are_no_files_of_a_distribution(site: Path) -> None:
    info = install(
        site,
        "acme",
        {"acme.py": "", f"__pycache__/acme.{sys.implementation.cache_tag}.pyc": b"x", "a,b.txt": ""},
    )
    record = (info / "RECORD").read_text().replace("a,b.txt", '"a,b.txt"')
    (info / "RECORD").write_text(record)
    distribution = read_installed([str(site)]).distributions["acme"]
    own = {path for path in distribution.files if ".dist-info" not in path}
    assert own == {"acme.py", "a,b.txt"}
    assert hashes_of(distribution)["acme.py"].startswith("sha256=")


def test_requirements_are_read_from_the_header_only(site: Path) -> None:
    info = install(site, "acme", {"acme.py": ""}, requires=["numpy>=2", 'x; extra == "y"'])
    with (info / "METADATA").open("a") as file:
        file.write("\nRequires-Dist: not-this\n")
    distribution = read_installed([str(site)]).distributions["acme"]
    assert requires_of(distribution) == ("numpy>=2", 'x; extra == "y"')


def test_what_several_distributions_claim_is_known_as_shared(site: Path) -> None:
    install(site, "one", {"google/__init__.py": "1", "google/one.py": ""})
    install(site, "two", {"google/__init__.py": "2", "google/two.py": ""})
    assert read_installed([str(site)]).shared == {"google/__init__.py"}
