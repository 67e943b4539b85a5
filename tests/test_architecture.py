"""The house rules that no linter knows: a machine reads every module and says which rule it breaks."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "graphlambda"
STAGES = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

FILE_LINES = 400
FUNCTION_LINES = 40

LONG_FUNCTIONS: dict[str, str] = {}
"""Functions over 40 lines, as `file::name`, each with its reason; none is over 60."""

WITHOUT_IN_AND_OUT = {
    "graphlambda/errors.py": "its docstring is the tree itself",
    "graphlambda/runtime/wire.py": "its docstring is the shapes themselves",
}

LAZY_IN_THE_RUNTIME = {
    "snapshot_restore_py": "where AWS restores snapshots: its own runtime brings it along",
    "cloudpickle": "where pickle fails, and only then: the packager ships it where evidence says so",
    "zstandard": "where distributions come as an archive: the packager ships it with the archive",
}

ENVIRONMENT_READERS = {
    "graphlambda/config.py": "the edge",
    "graphlambda/runtime/": "reads what Lambda sets",
    "graphlambda/local/guest/": "sets, and reads, what Lambda sets: it runs inside an execution environment",
}

PRINTERS = ("graphlambda/cli/", "graphlambda/__main__.py")


def modules(folder: Path = PACKAGE) -> list[Path]:
    """Return our modules, sorted."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


every_module = pytest.mark.parametrize("path", modules(), ids=name_of)


def test_imports_point_one_way() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@every_module
def test_a_module_says_what_comes_in_and_what_goes_out(path: Path) -> None:
    docstring = ast.get_docstring(tree_of(path)) or ""
    assert docstring, "a module begins with what it is"
    if path.name not in {"__init__.py", "__main__.py"} and name_of(path) not in WITHOUT_IN_AND_OUT:
        assert re.search(r"\bIn\b[^:]*:.*\bOut\b[^:]*:", docstring, re.DOTALL), docstring


@every_module
def test_a_file_is_short_and_so_are_its_functions(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES
    lengths = {
        f"{name_of(path)}::{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    long = {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES}
    assert set(long) <= set(LONG_FUNCTIONS), long
    assert all(lines <= 60 for lines in long.values()), long


def test_every_listed_exception_is_still_one() -> None:
    names = {
        f"{name_of(path)}::{node.name}"
        for path in modules()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert set(LONG_FUNCTIONS) <= names
    assert all((ROOT / name).exists() for name in (*WITHOUT_IN_AND_OUT, *ENVIRONMENT_READERS))


def imports_of(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield (module, level) of each import below `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


@pytest.mark.parametrize("path", modules(PACKAGE / "runtime"), ids=name_of)
def test_our_runtime_imports_the_standard_library_and_itself_only(path: Path) -> None:
    depth = len(path.relative_to(PACKAGE / "runtime").parts)
    foreign = {
        module
        for module, level in imports_of(tree_of(path))
        if level > depth or (level == 0 and module.partition(".")[0] not in sys.stdlib_module_names)
    }
    assert foreign <= set(LAZY_IN_THE_RUNTIME)
    at_import = {
        module
        for node in tree_of(path).body
        for module, level in imports_of(node)
        if level == 0 and isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert not at_import & set(LAZY_IN_THE_RUNTIME)


@every_module
def test_only_the_edge_reads_the_environment(path: Path) -> None:
    if name_of(path).startswith(tuple(ENVIRONMENT_READERS)):
        return
    reads = [
        f"{name_of(path)}:{node.lineno}"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]
    assert reads == []


@every_module
def test_only_the_command_line_prints(path: Path) -> None:
    if name_of(path).startswith(PRINTERS):
        return
    prints = [
        f"{name_of(path)}:{node.lineno}"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert prints == []


@pytest.mark.parametrize("stage", STAGES)
def test_what_a_stage_exports_is_a_list_that_someone_keeps(stage: str) -> None:
    tree = tree_of(PACKAGE / stage / "__init__.py")
    listed: list[str] = [
        name
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
        for name in ast.literal_eval(node.value)
    ]
    imported = [
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.module != "__future__"
        for alias in node.names
    ]
    assert sorted(listed) == sorted(imported)
    assert listed == sorted(listed, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


def test_no_two_test_files_share_a_name() -> None:
    names = Counter(path.name for path in modules(ROOT / "tests") if path.name.startswith("test_"))
    assert [name for name, times in names.items() if times > 1] == []


def test_nothing_names_the_machine_that_it_was_written_on() -> None:
    folders = re.compile(r"(?<![\w.}/])/(?:work|root|farm)/[\w.]")
    text = ("graphlambda", "tests", "benchmarks", "demo", "layers", ".ci")
    files = [path for folder in text for path in (ROOT / folder).rglob("*") if path.is_file()]
    files += [path for path in ROOT.iterdir() if path.suffix in {".md", ".toml"} or path.name == "Makefile"]
    found = [
        f"{name_of(path)}: {match.group()}"
        for path in files
        if "__pycache__" not in path.parts and path.suffix not in {".zip", ".gz", ".parquet"}
        for match in folders.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []
