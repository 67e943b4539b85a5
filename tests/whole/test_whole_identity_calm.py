"""Identity is never nervous: what decides no result deploys nothing, and what is shipped names no place."""

from __future__ import annotations

import re
import types
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.whole.identity import FILES, Outcome, Project, make_project, shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

SOURCES = [path for path in FILES if path.endswith(".py")]

_OURS = {"python", "graphlambda_runtime"}
"""Folders of layers and of our runtime."""

_LONG = 12
"""Bytes of a line table that are no accident."""


def _commented(text: str) -> str:
    """Add a comment and blank lines above each line that begins a statement of the module."""
    return re.sub(
        r"^(?=(def|class|import|from|@|[A-Z]+ =))",
        "\n\n# A word on what follows.\n",
        text,
        flags=re.MULTILINE,
    )


def _quoted(text: str) -> str:
    """Write calls, texts and definitions as another formatter would."""
    return (
        text.replace('"one", "two", "three"', "'one',\n 'two',\n    'three',\n")
        .replace("def with_default(x, by=3):", "def with_default(\n    x,\n    by = 3,\n):")
        .replace("return x + captured", "return (\n            x\n            + captured\n        )")
        .replace("if x > 100 and x < 200:", "if (\n        x > 100\n        and x < 200\n    ):")
        .replace("return x * 10", "return (x*10)")
    )


def _reordered(text: str) -> str:
    """Move the first function of the script behind those that have nothing to do with it."""
    start, end = text.index("def closure_of"), text.index("def with_global")
    later = text.index("class Scale")
    return text[:start] + text[end:later] + text[start:end] + text[later:]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return make_project(tmp_path_factory.mktemp("calm"))


@pytest.fixture(scope="module")
def before(project: Project) -> dict[str, Outcome]:
    return project.run("--deploy", variables={"PYTHONHASHSEED": "1"})


@pytest.fixture
def restored(project: Project) -> Iterator[None]:
    yield
    for path, text in FILES.items():
        project.file(path).write_text(text)


def _functions(outcomes: dict[str, Outcome]) -> dict[str, list[str]]:
    return {name: outcome.functions for name, outcome in outcomes.items()}


def _made(outcomes: dict[str, Outcome]) -> list[str]:
    return sorted(name for outcome in outcomes.values() for name in outcome.created)


def test_another_hash_seed_deploys_nothing(project: Project, before: dict[str, Outcome]) -> None:
    after = project.run("--deploy", variables={"PYTHONHASHSEED": "2"})
    assert (_made(after), _functions(after)) == ([], _functions(before))


@pytest.mark.usefixtures("restored")
def test_comments_and_blank_lines_deploy_nothing(project: Project, before: dict[str, Outcome]) -> None:
    for path in SOURCES:
        project.file(path).write_text(_commented(FILES[path]))
    after = project.run("--deploy")
    assert (_made(after), _functions(after)) == ([], _functions(before))


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("change", [_quoted, _reordered])
def test_another_layout_or_order_of_functions_deploys_nothing(
    project: Project, before: dict[str, Outcome], change: Callable[[str], str]
) -> None:
    text = project.file("project/script.py").read_text()
    assert change(text) != text
    project.file("project/script.py").write_text(change(text))
    after = project.run("--deploy")
    assert (_made(after), _functions(after)) == ([], _functions(before))


@pytest.mark.usefixtures("restored")
def test_unrelated_names_in_the_script_deploy_nothing(project: Project, before: dict[str, Outcome]) -> None:
    """Names that a local module has, too, are one object with them in memory: that must not show."""
    script = project.file("project/script.py")
    script.write_text(script.read_text().replace("FACTOR = 2", "of_no_other = FACTOR = 2"))
    after = project.run("--deploy")
    assert (_made(after), _functions(after)) == ([], _functions(before))


def test_a_project_that_moves_deploys_nothing_and_its_errors_show_where_it_is_now(
    project: Project, before: dict[str, Outcome]
) -> None:
    project.file("project").rename(project.file("moved"))
    script = project.file("moved/script.py")
    script.write_text("\n\n# Moved.\n" + script.read_text())
    line = script.read_text().splitlines().index("    return 1 // (x - x)  # the user's own line") + 1
    try:
        after = project.run("--deploy", folder="moved")
        failed = project.run("failing", folder="moved")["failing"]
    finally:
        project.file("moved").rename(project.file("project"))
    assert (_made(after), _functions(after)) == ([], _functions(before))
    assert failed.notes is not None
    assert f'File "{script}", line {line}, in failing' in "\n".join(failed.notes)
    assert "return 1 // (x - x)  # the user's own line" in "\n".join(failed.notes)


def test_what_is_shipped_names_no_file_of_the_user_and_holds_no_line_table(
    project: Project, before: dict[str, Outcome]
) -> None:
    functions = [name for outcome in before.values() for name in outcome.functions]
    own = [file for name in functions for file in shipped(name) if _OURS.isdisjoint(file.parts)]
    layers = {file for name in functions for file in shipped(name) if "python" in file.parts}
    assert len(own) > len(functions)
    assert layers
    names = [Path(path).name.encode() for path in SOURCES if not path.endswith("__init__.py")]
    root = str(project.root).encode()
    assert _holding([root, *names], own) == []
    assert _holding([root], layers) == []
    tables = {code.co_linetable for path in SOURCES for code in _codes(compile(FILES[path], path, "exec"))}
    assert _holding([table for table in tables if len(table) > _LONG], own) == []


def _holding(texts: Iterable[bytes], files: Iterable[Path]) -> list[tuple[str, bytes]]:
    found = re.compile(b"|".join(map(re.escape, texts)))
    contents = ((file, found.search(file.read_bytes())) for file in files)
    return [(str(file), match.group()) for file, match in contents if match]


def _codes(code: types.CodeType) -> list[types.CodeType]:
    inner = [const for const in code.co_consts if isinstance(const, types.CodeType)]
    return [code, *(each for const in inner for each in _codes(const))]
