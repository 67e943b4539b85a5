"""The one line that closes a run.

In: a summary, what the user wants. Out: a line on stderr, where it cannot mix with what a program prints. Must
not say anything to a pipe unless it is asked to.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphlambda.report.tally import Summary


def close(summary: Summary, wanted: bool | None) -> None:
    """Say what a run came to; `wanted` None says it to a person at a terminal only."""
    if wanted or (wanted is None and sys.stderr.isatty()):
        sys.stderr.write(f"{summary}\n")
