"""What of a distribution travels, decided on paths and a few sources."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphlambda.packager.prune import kept, left_out, spared
from graphlambda.packager.recipes import Part, Recipe, read_recipes, recipes_folder

RECIPE = read_recipes(recipes_folder()).default

TREE = {
    "acme/__init__.py": "",
    "acme/core.so": "",
    "acme/core.pyi": "",
    "acme/include/acme.h": "",
    "acme/testing.py": "from acme.tests import _natype",
    "acme/tests/__init__.py": "",
    "acme/tests/_natype.py": "from . import helper",
    "acme/tests/helper.py": "",
    "acme/tests/test_core.py": "",
    "acme/tests/data.csv": "",
    "tests/top.py": "",
    "acme-1.0.dist-info/METADATA": "",
    "acme-1.0.dist-info/entry_points.txt": "",
    "acme-1.0.dist-info/LICENSE": "",
    "acme-1.0.dist-info/licenses/LICENSE": "",
}


def keep(tree: dict[str, str], recipe: Recipe = RECIPE, wanted: tuple[str, ...] = ()) -> set[str]:
    return set(kept(sorted(tree), recipe, wanted, lambda path: tree[path].encode()))


def test_tests_headers_and_licences_stay_behind_but_a_tests_module_that_others_import_travels() -> None:
    assert keep(TREE) == {
        "acme/__init__.py",
        "acme/core.so",
        "acme/testing.py",
        "acme/tests/__init__.py",
        "acme/tests/_natype.py",
        "acme/tests/helper.py",
        "tests/top.py",
        "acme-1.0.dist-info/METADATA",
        "acme-1.0.dist-info/entry_points.txt",
    }


@pytest.mark.parametrize(
    "statement",
    [
        "from acme.tests import _natype",
        "import acme.tests._natype",
        "from .tests import _natype",
        "from .tests._natype import x",
        "def later():\n    from acme.tests._natype import (\n        x,\n    )",
    ],
)
def test_every_form_of_import_saves_a_module(statement: str) -> None:
    assert "acme/tests/_natype.py" in keep({**TREE, "acme/testing.py": statement})


def test_a_comment_that_mentions_tests_saves_nothing() -> None:
    tree = {**TREE, "acme/testing.py": "# see acme.tests._natype, or import tests\nx = 'import acme.tests'"}
    assert not {path for path in keep(tree) if path.startswith("acme/tests/")}


def test_a_file_that_does_not_parse_is_passed_over() -> None:
    tree = {**TREE, "acme/template.py": "import acme.tests.helper\n{% python 2 %}", "acme/testing.py": ""}
    assert "acme/tests/helper.py" not in keep(tree)


def test_a_module_that_evidence_names_travels() -> None:
    assert "acme/tests/test_core.py" in keep(TREE, wanted=("acme.tests.test_core",))


def test_evidence_spares_what_it_names_and_nothing_else() -> None:
    paths = tuple(sorted(TREE))
    assert spared(paths, RECIPE, ["acme", "numpy"]) == ()
    assert spared(paths, RECIPE, ["acme.tests.test_core", "acme"]) == ("acme.tests.test_core",)


def test_a_part_is_left_out_unless_a_module_of_it_is_needed() -> None:
    part = Part(files=("acme/core*",), unless=("acme.core",), reason="large")
    recipe = replace(RECIPE, parts=(part,))
    assert "acme/core.so" not in keep(TREE, recipe)
    wanted = spared(tuple(sorted(TREE)), recipe, ["acme.core.deep"])
    assert wanted == ("acme.core",)
    assert "acme/core.so" in keep(TREE, recipe, wanted)


def test_patterns_to_keep_win_over_folders_and_endings() -> None:
    recipe = replace(RECIPE, keep=("acme/include/*",))
    assert "acme/include/acme.h" not in left_out(sorted(TREE), recipe)
    assert "acme/include/acme.h" in keep(TREE, recipe)
