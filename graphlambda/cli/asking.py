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
            "nobody is there to be asked: see first what there is (`graphlambda aws status`), then say --yes"
        )


def agreed(question: str, *, yes: bool) -> bool:
    """Return whether somebody said yes."""
    if yes:
        return True
    print(f"{question} [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}  # the end of the input is silence
