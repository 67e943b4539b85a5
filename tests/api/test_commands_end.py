"""However a command ends, it says why in a line, what was noted of it below, and returns a code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.cli import main

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("raised", "code", "told"),
    [
        ("ConfigError('it is wrong')", 1, "graphlambda: it is wrong\nresume it\n"),
        ("KeyboardInterrupt()", 130, "graphlambda: stopped\nresume it\n"),
    ],
)
def test_a_command_ends_with_a_message_its_notes_and_a_code(
    raised: str, code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"from graphlambda.errors import ConfigError\nerror = {raised}\nerror.add_note('resume it')\nraise error\n"
    )
    assert main(["deploy", str(script)]) == code
    assert capsys.readouterr().err == told
