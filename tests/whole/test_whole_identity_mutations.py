"""Identity is never stale: whatever decides a result is changed alone, and the next run uses it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any

import pytest

from tests.whole.identity import Outcome, Project, changed, make_project, manifest_of

EXPECTED = {
    "closure": 2,
    "global": 2,
    "default": 4,
    "keyword default": 5,
    "function of a function": 11,
    "global of a method": 5,
    "class attribute": 7,
    "bound method": 7,
    "helper of a method": 302,
    "enum": 2,
    "dataclass": ["one", "three", "two"],
    "abstract class": [10, 20, 1010],
    "cache": 23416728348467685,
    "direct": 201,
    "module": 101,
    "helper of a helper": 2002,
    "direct helper of a helper": 2002,
    "class of a module": 3,
    "relative import": 11,
    "package": 11,
    "lazy import": 2,
    "lazy import of a package": 3,
    "editable": 4,
    "lazy editable": 5,
    "data file": "beside",
    "data file of a function": "beside",
    "data file in a folder": "below",
    "input": "1",
    "lines": ["1"],
    "distribution": 11,
    "function of a distribution": 11,
    "failing": None,
}
"""What the features give before anything is changed."""

SCRIPT = "project/script.py"
HELPERS = "project/helpers.py"

MUTATIONS: list[tuple[str, str, str, dict[str, Any]]] = [
    (SCRIPT, "closure_of(1)", "closure_of(2)", {"closure": 3}),
    (SCRIPT, "FACTOR = 2", "FACTOR = 3", {"global": 3}),
    (SCRIPT, "by=3", "by=5", {"default": 6}),
    (SCRIPT, "*, by=4", "*, by=5", {"keyword default": 6}),
    (SCRIPT, "return x * 10", "return x * 20", {"function of a function": 21}),
    (SCRIPT, "LIMIT = 5", "LIMIT = 6", {"global of a method": 6}),
    (SCRIPT, "step = 7", "step = 8", {"class attribute": 8, "bound method": 8}),
    (SCRIPT, "BLUE = 2", "BLUE = 3", {"enum": 3}),
    (SCRIPT, "unit = Pair(1)", "unit = Pair(2)", {"abstract class": [11, 22, 1011]}),
    (SCRIPT, "n if n < 2", "2 * n if n < 2", {"cache": 46833456696935370}),
    (HELPERS, "return x + 200", "return x + 201", {"direct": 202, "helper of a method": 303}),
    (HELPERS, "return x + 100", "return x + 101", {"module": 102, "helper of a method": 303}),
    (HELPERS, "bias = 0", "bias = 1", {"class of a module": 4}),
    (
        "project/deeper.py",
        "1000",
        "1001",
        {"helper of a helper": 2004, "direct helper of a helper": 2004},
    ),
    ("project/shelf/low/base.py", "5", "6", {"relative import": 13, "package": 13}),
    ("project/lazy.py", "1", "2", {"lazy import": 3}),
    ("project/parcel/more.py", "2", "3", {"lazy import of a package": 4}),
    ("edited/edited/__init__.py", "3", "5", {"editable": 6}),
    ("edited/edited/later.py", "4", "5", {"lazy editable": 6}),
    (
        "project/beside.txt",
        "beside",
        "another",
        {"data file": "another", "data file of a function": "another"},
    ),
    ("project/data/below.txt", "below", "another", {"data file in a folder": "another"}),
    ("project/numbers.txt", "1", "2", {"input": "2", "lines": ["2"]}),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("mutated"))


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Outcome]:
    return project.run()


def _values(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    return {name: outcome.value for name, outcome in outcomes.items()}


def test_all_of_a_project_is_reached(before: dict[str, Outcome]) -> None:
    assert _values(before) == EXPECTED


@pytest.mark.parametrize(("path", "old", "new", "expected"), MUTATIONS, ids=lambda value: str(value)[:40])
def test_the_next_run_uses_what_was_changed(
    project: Project, before: dict[str, Outcome], path: str, old: str, new: str, expected: dict[str, Any]
) -> None:
    unchanged = next(name for name in ("global", "closure") if name not in expected)
    with contextmanager(changed)(project.file(path), old, new):
        after = project.run(*expected, unchanged)
    assert {name: before[name].value for name in expected} != expected
    assert _values(after) == {**expected, unchanged: EXPECTED[unchanged]}
    assert (after[unchanged].created, after[unchanged].functions) == ([], before[unchanged].functions)


def test_the_next_run_uses_a_distributions_new_version(project: Project, before: dict[str, Outcome]) -> None:
    features = ["distribution", "function of a distribution"]
    project.install("2.0", 20)
    after = project.run(*features)
    project.install("1.0", 10)
    back = project.run(*features)
    assert _values(after) == dict.fromkeys(features, 21)
    assert _values(back) == dict.fromkeys(features, 11)
    assert {name: (back[name].created, back[name].functions) for name in features} == {
        name: ([], before[name].functions) for name in features
    }


def test_the_next_run_uses_a_distribution_that_hides_another(
    project: Project, before: dict[str, Outcome]
) -> None:
    """What `pip install --target` put into a folder is installed: it is no code of the user's."""
    vendored = project.file("vendored")
    project.install("3.0", 30, vendored)
    after = project.run("distribution", "global", variables={"PYTHONPATH": str(vendored)})
    assert _values(after) == {"distribution": 31, "global": EXPECTED["global"]}
    assert after["global"].functions == before["global"].functions
    (function,) = after["distribution"].functions
    assert manifest_of(function)["requirements"] == ["tiny==3.0"]
