"""The command line: which command, and how it ends.

In: arguments. Out: an exit code, after a message on stderr where it is not 0. Must not know what a command does.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from graphlambda.account.remedies import remedy
from graphlambda.cli import aws, deploying, here, runs
from graphlambda.errors import CloudError, GraphlambdaError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.cli.table import Command

COMMANDS: Mapping[str, Command] = {**here.COMMANDS, **runs.COMMANDS, **deploying.COMMANDS, **aws.COMMANDS}
"""By name; a name of two words is a command of a group."""

GROUPS: Mapping[str, str] = {"aws": aws.ABOUT}
"""By the first word, what the commands of a group are about."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0, or 1 after a message on stderr; 130 after Ctrl-C, as shells have it."""
    options = _parser().parse_args(arguments)
    try:
        return options.verb(options)  # type: ignore[no-any-return]
    except CloudError as error:
        return _ended(1, f"{error}. {remedy(error)}", error)
    except (GraphlambdaError, OSError) as error:
        return _ended(1, str(error), error)
    except KeyboardInterrupt as stop:
        return _ended(130, "stopped", stop)


def _ended(code: int, told: str, error: BaseException) -> int:
    """Say why a command ends, and what was noted of it: the task, its log, how to go on."""
    print("\n".join([f"graphlambda: {told}", *getattr(error, "__notes__", ())]), file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    told = "Dask collections on AWS Lambda: serve it locally, say why, see to runs, keep an account"
    parser = argparse.ArgumentParser(prog="graphlambda", description=told)
    commands = {"": parser.add_subparsers(dest="command", required=True)}
    for group, about in GROUPS.items():
        inside = commands[""].add_parser(group, help=about, description=f"{about.capitalize()}.")
        commands[group] = inside.add_subparsers(dest="subcommand", required=True)
    for name, command in COMMANDS.items():
        group, _, own_name = name.rpartition(" ")
        _add(commands[group], own_name, command)
    return parser


def _add(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, command: Command) -> None:
    about = f"{command.help.capitalize()}. {command.more}"
    own = commands.add_parser(name, help=command.help, description=about)
    own.set_defaults(verb=command.run)  # no argument of a command has this name
    for argument, wanted in command.arguments.items():
        own.add_argument(argument, **wanted)  # type: ignore[arg-type]
