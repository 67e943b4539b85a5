"""What was left out stands in the manifest, in short; what travels still answers `importlib.metadata`."""

from __future__ import annotations

import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from graphlambda.packager import Artifact, Target, build, read_installed
from graphlambda.packager.absence import FOLDERS, SUFFIXES, UNASKED, left_out
from graphlambda.packager.recipes import Part, Recipe
from graphlambda.testing.distributions import install, operation_of, run_isolated, unpack

if TYPE_CHECKING:
    from pathlib import Path

RECIPE = Recipe(
    folders=frozenset({"tests"}),
    suffixes=(".h", ".pyi"),
    keep=(),
    parts=(Part(files=("acme/build/*", "acme/quick.*"), unless=("acme.build",), reason="needs a compiler"),),
    proof=(),
    checks=(),
)
ACME = {
    "acme/__init__.py": "",
    "acme/tests/__init__.py": "",
    "acme/acme.h": "",
    "acme/plugin.py": "def plugged():\n    return 'in'\n",
    "acme-1.0.dist-info/entry_points.txt": "[acme.plugins]\nfirst = acme.plugin:plugged\n",
    "acme-1.0.dist-info/top_level.txt": "acme\n",
}


@pytest.fixture
def acme(site: Path, target: Target, cache: Path, runtime: Path) -> Artifact:
    install(site, "base", {"base.py": ""})
    install(site, "acme", ACME, requires=["base>=0.5", 'absent; extra == "more"'])
    operation = operation_of("import acme\n\n\ndef operation(p0):\n    return p0\n", imports=["acme"])
    installed = read_installed([str(site)])
    (artifact,) = build([operation], target, cache=cache, runtime=runtime, installed=installed)
    return artifact


def test_a_folder_of_which_nothing_travels_stands_for_its_files_and_an_ending_for_its_own() -> None:
    gone = [
        "acme/build/__init__.py",
        "acme/build/tests/a.py",
        "acme/build/b.h",
        "acme/quick.so",
        "acme/tests/a.py",
        "acme/sub/tests/deep/a.h",
        "acme/sub/c.h",
        "acme/sub/d.pyi",
        "acme/odd.txt",
    ]
    assert left_out(gone, {"acme/__init__.py", "acme/sub/__init__.py"}, RECIPE) == (
        ("needs a compiler", ("acme/build", "acme/quick.so")),
        (UNASKED, ("acme/odd.txt",)),
        (SUFFIXES, ("*.h", "*.pyi")),
        (FOLDERS, ("acme/sub/tests", "acme/tests")),
    )


def test_metadata_and_sources_whose_byte_code_stays_are_not_missed() -> None:
    gone = ["acme/__init__.py", "acme-1.0.dist-info/LICENSE"]
    assert left_out(gone, {"acme/__init__.pyc"}, RECIPE) == ()


def test_the_manifest_says_what_was_left_out_of_which_distribution_and_why(acme: Artifact) -> None:
    with zipfile.ZipFile(acme.zip_path) as archive:
        manifest = json.loads(archive.read("manifest.json"))
    assert manifest["left_out"] == {"acme": {SUFFIXES: ["*.h"], FOLDERS: ["acme/tests"]}}


def test_the_runtime_finds_a_reason_for_what_the_manifest_names(acme: Artifact, tmp_path: Path) -> None:
    task, opt = unpack(acme, tmp_path)
    statements = (
        f"import sys\nfrom graphlambda_runtime.absent import Absent\nsys.meta_path.append(Absent({str(task)!r}))\n"
        "try:\n    import acme.tests\nexcept ModuleNotFoundError as error:\n    print(error.name, error)"
    )
    assert run_isolated(task, opt, statements).startswith(
        "acme.tests acme.tests was left out of this function"
    )


def test_metadata_answers_in_a_function_as_where_everything_is_installed(
    acme: Artifact, tmp_path: Path
) -> None:
    task, opt = unpack(acme, tmp_path)
    statements = """
import importlib.metadata as m
(entry,) = m.entry_points(group="acme.plugins")
assert (entry.name, entry.load()()) == ("first", "in")
assert (m.version("acme"), m.metadata("acme")["Name"]) == ("1.0", "acme")
assert m.requires("acme") == ["base>=0.5", 'absent; extra == "more"'], m.requires("acme")
names = {str(path) for path in m.files("acme")}
assert all(path.locate().exists() for path in m.files("acme"))
assert {"acme/__init__.py", "acme/plugin.py"} < names and "acme/acme.h" not in names, names
assert m.packages_distributions() == {"acme": ["acme"], "base": ["base"]}, m.packages_distributions()
assert sorted(each.name for each in m.distributions()) == ["acme", "base"]
print("as ever")
"""
    assert run_isolated(task, opt, statements) == "as ever"
