"""A user's script, run up to the first program that it wants deployed or run.

In: a script and its arguments. Out: that program and its settings. No function is made or invoked.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.api.leaving import Seen, shown_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphlambda.compiler import Program
    from graphlambda.config import Config


def first_program(script: str, arguments: Sequence[str]) -> tuple[Program, Config] | None:
    """Run a script as Python would, up to its first program and its settings; None if it ended without one.

    The script may catch what stops it, and go on: every later program stops it again.
    """
    found: list[tuple[Program, Config]] = []
    arguments_before, path_before = sys.argv, list(sys.path)
    sys.argv = [script, *arguments]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        with shown_to(lambda program, config: found.append((program, config))):
            runpy.run_path(script, run_name="__main__")
    except (Seen, SystemExit):
        return found[0] if found else None
    finally:
        sys.argv, sys.path[:] = arguments_before, path_before
    return found[0] if found else None
