"""Commands about runs: `runs` lists them, `resume` goes on with one, `cancel` ends one.

In: parsed arguments. Out: text and an exit code. Must not decide anything: `api` does.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from graphlambda.api import cancel as cancelled
from graphlambda.api import resume as resumed
from graphlambda.api import runs as waiting
from graphlambda.cli.table import PLACE, Command, given
from graphlambda.report.units import duration

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping


def runs(options: argparse.Namespace) -> int:
    """Print the runs that have not ended: what `resume` and `cancel` take, and which of them cannot be read, and why."""
    found = waiting(**given(options, "store"))
    rows = [("run", "state", "tasks done", "age", "lease holder")]
    for run in found:
        age = duration(time.time() - run.started_s)
        done = "unknown" if run.unreadable else f"{run.done:,} of {run.tasks:,}"
        rows.append((run.id, run.state, done, age, run.unreadable or run.holder or "nobody"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if found else [("No run waits or goes on.",)]:
        print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
    return 0


def resume(options: argparse.Namespace) -> int:
    """Go on with a run and print its values."""
    for value in resumed(options.run, **given(options, "store")):
        print(repr(value))
    return 0


def cancel(options: argparse.Namespace) -> int:
    """End a run, whoever goes on with it."""
    cancelled(options.run, **given(options, "store"))
    print(f"Run {options.run} has ended; nothing is left of it.")
    return 0


_PLACE: Mapping[str, Mapping[str, object]] = {
    "--store": {"metavar": "STORE", "help": "as `store=`, where that is a server or a bucket"},
    **PLACE,
}
_RUN: Mapping[str, object] = {"metavar": "ID", "help": "as `runs` lists it"}

COMMANDS = {
    "runs": Command(
        run=runs,
        help="list the runs that wait or go on",
        more="A run waits for a day after it failed or its client died.",
        arguments=_PLACE,
    ),
    "resume": Command(
        run=resume,
        help="go on with a run whose client died, or that failed, and print its values",
        more="What is committed does not run again.",
        arguments={"run": _RUN, **_PLACE},
    ),
    "cancel": Command(
        run=cancel,
        help="end a run, wherever its client is",
        more="Its client stops within some seconds; where that is dead, what it left is deleted here.",
        arguments={"run": _RUN, **_PLACE},
    ),
}
