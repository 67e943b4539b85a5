"""What a command is.

In: a function, texts, arguments. Out: what `main` makes a parser of. Must not run anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command."""

    run: Callable[[argparse.Namespace], int]
    """Returns the exit code; errors of ours and of files become a message and 1."""

    help: str
    more: str
    """What `--help` says beside that."""

    arguments: Mapping[str, Mapping[str, object]]
    """By name or flag, what argparse wants to know of it."""
