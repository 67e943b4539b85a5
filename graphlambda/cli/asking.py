"""How a command asks before it deletes.

In: whether `--yes` was said, a question. Out: the answer. Must not take silence for agreement.
"""

from __future__ import annotations

import sys

from graphlambda.errors import ConfigError


def refuse_nobody(*, yes: bool) -> None:
    """Refuse to go on where nobody can be asked.

    Raises:
        ConfigError: the input is no terminal, and --yes was not said.
    """
    if not yes and not sys.stdin.isatty():
        raise ConfigError(
            "nobody is there to be asked: look at the list first (`graphlambda aws status`, --dry-run), then say --yes"
        )


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether somebody said yes."""
    return yes or input(f"{question} [y/N] ").strip().lower() in {"y", "yes"}
