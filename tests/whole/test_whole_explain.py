"""`graphlambda explain`: why functions hold what they hold, without making one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import graphlambda

if TYPE_CHECKING:
    from pathlib import Path

    from tests.whole.conftest import Scripts

RUN_S = 240
SCRIPT = """
    import sys
    import dask
    import packaging.version
    import graphlambda

    def major(text):
        return packaging.version.Version(text).major

    print("before", *sys.argv[1:])
    try:
        graphlambda.compute(dask.delayed(major)("1.2"), requirements=["toolz"])
    except Exception:
        print("took it for an error")
    print("after")
"""


def explain(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "graphlambda", "explain", *arguments],
        cwd=folder,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )


def test_a_script_is_explained_up_to_its_first_program_and_nothing_runs(
    tmp_path: Path, scripts: Scripts
) -> None:
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    ended = explain(tmp_path, "script.py", "one", "--two")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0] == "before one --two"
    assert "      imports packaging (script.py:8 in major)" in lines
    assert "      named in requirements= as toolz" in lines
    assert not {"after", "took it for an error"} & set(lines)
    assert scripts.left() == []


def test_a_script_that_asks_for_nothing_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('done')\n")
    ended = explain(tmp_path, "script.py")
    assert (ended.returncode, ended.stdout) == (1, "done\n")
    assert "never asked graphlambda to compute" in ended.stderr


def test_a_saved_program_is_explained_as_it_explains_itself(tmp_path: Path) -> None:
    import dask
    import packaging.version

    program = graphlambda.compile(dask.delayed(packaging.version.parse)("1.2"))
    program.save(tmp_path / "saved.program")
    ended = explain(tmp_path, "saved.program")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{program.explain()}\n"
    assert "imports packaging.version (operation.py:3)" in ended.stdout
