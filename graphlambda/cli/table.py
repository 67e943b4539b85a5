"""What a command is, and the arguments that several have.

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


WHERE: Mapping[str, Mapping[str, object]] = {
    "--region": {"help": "as `region=`"},
    "--deployment": {
        "metavar": "ID",
        "dest": "deployment_id",
        "help": "as `deployment_id=`; the default is your own",
    },
}
"""Arguments that say where on AWS: their values have the names of settings."""

PLACE = {"--endpoint": {"help": "`aws`, or a URL; else the local Lambda"}, **WHERE}
"""Those that say where at all."""


def given(options: argparse.Namespace, *names: str) -> dict[str, str]:
    """Return which settings of these names, and of a place, a command was given."""
    found = {name: getattr(options, name, None) for name in ("endpoint", "region", "deployment_id", *names)}
    return {name: value for name, value in found.items() if value is not None}
