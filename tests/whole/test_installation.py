"""Installing graphlambda changes no package of an environment with a current IPython."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
RESOLVE_S = 120

NO_INDEX = re.compile(
    r"(dns error|failed to lookup|Connection refused|error sending request|Could not connect|Network is unreachable"
    r"|tcp connect error|timed out|network connectivity is disabled)",
    re.IGNORECASE,
)


def uv(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ended = subprocess.run(
        [str(UV), *arguments],
        cwd=cwd,
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=RESOLVE_S,
        check=False,
    )
    if ended.returncode and NO_INDEX.search(ended.stderr):
        pytest.skip(f"no package index is reachable: {ended.stderr.splitlines()[-1]:.200}")
    return ended


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^\s;]+)", text, re.MULTILINE))


def test_requirements_join_a_current_ipython_without_moving_anything(tmp_path: Path) -> None:
    """Resolve IPython alone, then both with those versions as constraints: any conflict would be an error."""
    (tmp_path / "before.in").write_text("ipython\n")
    alone = uv("pip", "compile", "-q", "--no-header", "before.in", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    before = pins(alone.stdout)
    assert int(before["ipython"].split(".")[0]) >= 9

    ours = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (tmp_path / "before.txt").write_text(alone.stdout)
    (tmp_path / "after.in").write_text("\n".join(["ipython", *ours]))
    together = uv("pip", "compile", "-q", "--no-header", "-c", "before.txt", "after.in", cwd=tmp_path)
    assert together.returncode == 0, together.stderr[-2000:]
    after = pins(together.stdout)
    assert {name: after[name] for name in before} == before
    assert {"dask", "boto3", "networkx", "cloudpickle", "pipreqs"} <= set(after)


def test_the_newest_pipreqs_would_move_ipython_which_is_why_it_is_left_out(tmp_path: Path) -> None:
    """The bound in pyproject.toml has a reason: once this fails, the bound can go."""
    (tmp_path / "a.in").write_text("ipython>=9\npipreqs>=0.5\n")
    assert uv("pip", "compile", "-q", "a.in", cwd=tmp_path).returncode != 0
