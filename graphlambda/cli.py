"""The command line: `local` serves, `explain` says why, `cache` shows what is kept; `runs`, `resume`, `cancel` see to runs.

In: arguments. Out: text and an exit code. The only module that prints on its own account.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda import config as settings
from graphlambda.api import caching, load_program
from graphlambda.api import cancel as cancelled
from graphlambda.api import resume as resumed
from graphlambda.api import runs as waiting
from graphlambda.api.explain import explain as explained
from graphlambda.api.script import first_program
from graphlambda.errors import ConfigError, GraphlambdaError
from graphlambda.local import Credentials, LocalSettings, serve
from graphlambda.report.units import duration
from graphlambda.store.file import default_root

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command of the table below."""

    run: Callable[[argparse.Namespace], int]
    """Returns the exit code; errors of ours and of files become a message and 1."""

    help: str
    more: str
    """What `--help` says beside that."""

    arguments: Mapping[str, Mapping[str, object]]
    """By name or flag, what argparse wants to know of it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 1 after a message on stderr."""
    options = _parser().parse_args(arguments)
    try:
        return COMMANDS[options.command].run(options)
    except (GraphlambdaError, OSError) as error:
        print(f"graphlambda: {error}", file=sys.stderr)
        return 1


def local(options: argparse.Namespace) -> int:
    """Be the local Lambda until Ctrl-C; functions see the working directory's store and nothing else."""
    config = settings.load()
    visible = (default_root(config.cache_dir), *config.paths)
    state = LocalSettings(state=config.cache_dir / "local", visible=visible)
    serve(state, port=options.port, ready=_say_how)
    return 0


def _say_how(endpoint: str, credentials: Credentials) -> None:
    print(
        f"The local Lambda serves at {endpoint}. In another terminal:\n"
        f"  export AWS_ACCESS_KEY_ID={credentials.access_key} AWS_DEFAULT_REGION={settings.REGION}\n"
        f"  export AWS_SECRET_ACCESS_KEY={credentials.secret_key}\n"
        f"  aws --endpoint-url {endpoint} lambda list-functions\n"
        "Ctrl-C stops it.",
        flush=True,
    )


def explain(options: argparse.Namespace) -> int:
    """Print why the functions of a program hold what they hold."""
    if not options.what.endswith(".py"):
        print(explained(load_program(options.what), settings.load()))
        return 0
    found = first_program(options.what, options.arguments)
    if found is None:
        raise ConfigError(
            f"{options.what} ended and never asked graphlambda to compute, persist, deploy or run anything"
        )
    print(explained(*found))
    return 0


def cache(options: argparse.Namespace) -> int:
    """Show what the cache holds, or clear it."""
    config = settings.load()
    if options.action == "clear":
        freed = caching.clear(config) if options.to is None else caching.trim(config, options.to * 1_000_000)
        print(f"{freed / 1e6:,.1f} MB are gone from {config.cache_dir}.")
        return 0
    kinds = caching.cached(config)
    total = sum(kind.size_bytes for kind in kinds.values())
    print(f"{config.cache_dir} holds {total / 1e6:,.1f} MB of at most {config.cache_mb:,} (cache_mb=):")
    for name, kind in kinds.items():
        print(f"  {name:<14}{kind.entries:>8,}{kind.size_bytes / 1e6:>14,.1f} MB")
    return 0


def runs(options: argparse.Namespace) -> int:
    """Print the runs that have not ended: what `resume` and `cancel` take, and which of them cannot be read, and why."""
    found = waiting(**_where(options))
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
    for value in resumed(options.run, **_where(options)):
        print(repr(value))
    return 0


def cancel(options: argparse.Namespace) -> int:
    """End a run, whoever goes on with it."""
    cancelled(options.run, **_where(options))
    print(f"Run {options.run} has ended; nothing is left of it.")
    return 0


def _where(options: argparse.Namespace) -> dict[str, str]:
    return {} if options.store is None else {"store": options.store}


_STORE: Mapping[str, object] = {
    "metavar": "STORE",
    "help": "as `store=`: where the runs' folders are, if that is a bucket",
}
_RUN: Mapping[str, object] = {"metavar": "ID", "help": "as `runs` lists it"}

COMMANDS = {
    "local": Command(
        run=local,
        help="serve the local Lambda in the foreground",
        more="Functions see the store and the folders in GRAPHLAMBDA_PATHS.",
        arguments={"--port": {"type": int, "default": 0, "help": "the port on loopback; 0 takes a free one"}},
    ),
    "explain": Command(
        run=explain,
        help="say what each function is packed with, and why",
        more=(
            "A script is run as Python would run it, up to the first program that it hands to compute, persist, deploy, "
            "run or the scheduler `graphlambda`; that is explained in place of being run, and the script ends there. "
            "Artifacts are built, from the cache where they are; no function is made or invoked. Settings come from the "
            "call that is reached, and from GRAPHLAMBDA_* variables."
        ),
        arguments={
            "what": {
                "metavar": "SCRIPT_OR_PROGRAM",
                "help": "a script (*.py), or the file of a saved program",
            },
            "arguments": {"nargs": argparse.REMAINDER, "help": "the script's own arguments"},
        },
    ),
    "cache": Command(
        run=cache,
        help="show or clear what builds and the local Lambda keep",
        more="All of it can be made again.",
        arguments={
            "action": {
                "nargs": "?",
                "choices": ["list", "clear"],
                "default": "list",
                "help": "the default is list",
            },
            "--to": {
                "type": int,
                "metavar": "MB",
                "help": "with clear: only what was used least recently, down to MB",
            },
        },
    ),
    "runs": Command(
        run=runs,
        help="list the runs that wait or go on",
        more="A run waits for a day after it failed or its client died.",
        arguments={"--store": _STORE},
    ),
    "resume": Command(
        run=resume,
        help="go on with a run whose client died, or that failed, and print its values",
        more="What is committed does not run again.",
        arguments={"run": _RUN, "--store": _STORE},
    ),
    "cancel": Command(
        run=cancel,
        help="end a run, wherever its client is",
        more="Its client stops within some seconds; where that is dead, what it left is deleted here.",
        arguments={"run": _RUN, "--store": _STORE},
    ),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="graphlambda", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, command in COMMANDS.items():
        own = commands.add_parser(
            name, help=command.help, description=f"{command.help.capitalize()}. {command.more}"
        )
        for argument, wanted in command.arguments.items():
            own.add_argument(argument, **wanted)  # type: ignore[arg-type]
    return parser
