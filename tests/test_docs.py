"""What the pages show is run: Python blocks in order in one process, commands against the Makefile."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "benchmarks/*.md", "docs/*.md")
    for path in ROOT.glob(pattern)
)

NEEDS_OTHER_GLIBC = "ignore:This runs in the local Lambda, but AWS"
"""What is said where this machine's C library is newer than the managed runtime's."""

RUN_S = 240


def blocks(page: str, language: str) -> list[str]:
    """Return the fenced blocks of a language on a page."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def placed(page: str) -> str:
    """Return a page's Python blocks as one program in which each line stands where it stands on the page."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    inside, program = False, []
    for line in lines:
        fence = line.startswith("```")
        program.append(line if inside and not fence else "")
        inside = line == "```python" or (inside and not fence)
    return "\n".join(program)


def test_every_block_says_its_language() -> None:
    for page in PAGES:
        fences = re.findall(r"^```(.*)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert set(fences[1::2]) <= {""}, page
        assert set(fences[0::2]) <= {"python", "console", ""}, page


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_every_python_block_runs(page: str, tmp_path: Path) -> None:
    program = placed(page)
    for block in blocks(page, "python"):
        assert block.strip() in program
    (tmp_path / "page.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-W", NEEDS_OTHER_GLIBC, "page.py"],
        cwd=tmp_path,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def commands(page: str) -> list[str]:
    shown = [line for block in blocks(page, "console") for line in block.splitlines()]
    return [line.removeprefix("$ ").partition("#")[0].strip() for line in shown if line.startswith("$ ")]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "console")])
def test_every_make_command_that_is_shown_has_its_target(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    made = [command.split()[1] for command in commands(page) if command.startswith("make ")]
    assert set(made) <= targets


def test_every_module_that_a_page_says_to_run_is_there() -> None:
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for module in re.findall(r"python -m ([a-z_.]+)", text):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), f"{page}: {module}"


def test_the_settings_that_pages_name_exist() -> None:
    from dataclasses import fields

    from graphlambda.config import Config

    known = {field.name for field in fields(Config)}
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        variables = {name.lower() for name in re.findall(r"GRAPHLAMBDA_([A-Z_]+)", text)}
        assert variables <= known, f"{page}: {variables - known}"
