"""Commands about functions: `deploy` makes a program's, or says what it would do; `export` writes them down; `aws sweep` deletes.

In: parsed arguments. Out: text and an exit code. Asks before anything is deleted. Must not decide anything: `api` does.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda import config as settings
from graphlambda.account.export import FORMATS, TERRAFORM, ZIPS
from graphlambda.api import load_program
from graphlambda.api.calls import deploy_by, plan_by
from graphlambda.api.exporting import DOCUMENTS, export_by
from graphlambda.api.script import first_program
from graphlambda.api.sweeping import place_of, sweep_agreed, would_sweep
from graphlambda.cli.asking import agreed, refuse_nobody
from graphlambda.cli.table import WHERE, Command, given
from graphlambda.deployer.sweep import DAY_S
from graphlambda.errors import ConfigError

if TYPE_CHECKING:
    from graphlambda.account.export import Wanted
    from graphlambda.compiler import Program


def deploy(options: argparse.Namespace) -> int:
    """Make the functions of a program, or print the calls that would."""
    program, config = program_in(options.what, options.arguments)
    if options.dry_run:
        print(plan_by(program, config))
        return 0
    made = deploy_by(program, config)
    print(f"{made.endpoint}: {len(made.created)} functions were made, {len(made.functions)} are there:")
    for name in sorted(set(made.functions.values())):
        print(f"  {name}")
    return 0


def program_in(what: str, arguments: list[str]) -> tuple[Program, settings.Config]:
    """Return the program in a file, or the first that a script wants deployed or run, and its settings.

    Raises:
        ConfigError: the script wanted none.
        ProgramFileError: the file is damaged, or was sealed by another key.
    """
    if not what.endswith(".py"):
        return load_program(what), settings.load()
    found = first_program(what, arguments)
    if found is None:
        raise ConfigError(
            f"{what} ended and never asked graphlambda to compute, persist, deploy or run anything"
        )
    return found


def export(options: argparse.Namespace) -> int:
    """Write a program's functions as infrastructure code, and say how it is applied."""
    program, config = program_in(options.what, options.arguments)
    folder = Path(options.to)
    wanted = export_by(program, config, options.format, folder)
    print(
        f"{folder / DOCUMENTS[options.format]}: {len(wanted.calls)} functions and layers; their zips are in {folder / ZIPS}"
    )
    for line in _applied(options.format, folder, wanted):
        print(f"  {line}")
    return 0


def _applied(kind: str, folder: Path, wanted: Wanted) -> list[str]:
    """Return the commands that apply a document."""
    if kind == TERRAFORM:
        return [f"terraform -chdir={folder} init", f"terraform -chdir={folder} apply"]
    upload = f"aws s3 cp --recursive {folder / ZIPS} s3://{wanted.bucket}/{wanted.prefix}"
    flags = {
        "--template-file": folder / DOCUMENTS[kind],
        "--stack-name": f"graphlambda-{wanted.deployment}-functions",
        "--region": wanted.region,
        "--s3-bucket": wanted.bucket,
        "--s3-prefix": wanted.prefix.rstrip("/"),
        "--capabilities": "CAPABILITY_NAMED_IAM",
    }
    return [
        upload,
        " ".join(["aws cloudformation deploy", *(f"{name} {value}" for name, value in flags.items())]),
    ]


def sweep(options: argparse.Namespace) -> int:
    """Show what nobody needs, and delete it when that is agreed to."""
    config = settings.load({"endpoint": settings.AWS, **given(options)})
    if not options.dry_run:
        refuse_nobody(yes=options.yes)
    older_than_s = options.older_than * DAY_S
    found = would_sweep(config, older_than_s)
    print(f"Deployment {config.deployment_id} in {place_of(config).strip(':')}:")
    for piece, why in found.stays:
        print(f"  stays   {piece.arn}  {why}")
    for piece in found.gone:
        print(f"  delete  {piece.arn}")
    for each in found.zips:
        print(f"  delete  {each.place}  {each.size_bytes / 1e6:,.1f} MB")
    if found.manifests:
        print(f"  delete  {len(found.manifests)} manifests of what is not there then")
    shown = len(found.gone) + len(found.zips)
    if options.dry_run or found.is_empty:
        print("Nothing is to be deleted." if found.is_empty else f"{shown} would be deleted.")
        return 0
    if not agreed(f"Delete these {shown}?", yes=options.yes):
        return 1
    gone = sum(1 for _ in sweep_agreed(config, found, older_than_s))
    kept = shown - gone
    print(f"{gone} are deleted." + (f" {kept} stay: somebody has begun to need them." if kept else ""))
    return 0


A_PROGRAM = {
    "what": {"metavar": "SCRIPT_OR_PROGRAM", "help": "a script (*.py), or the file of a saved program"},
    "arguments": {"nargs": argparse.REMAINDER, "help": "the script's own arguments"},
}
"""The arguments that `program_in` takes: last of a command's, since a script's own follow."""

COMMANDS = {
    "deploy": Command(
        run=deploy,
        help="make the functions of a program, or say what would be made",
        more=(
            "A script is run as Python would run it, up to the first program that it hands to compute, persist, deploy, run "
            "or the scheduler `graphlambda`; that is deployed in place of being run. Settings come from the call that is "
            "reached, and from GRAPHLAMBDA_* variables."
        ),
        arguments={
            "--dry-run": {
                "action": "store_true",
                "help": "print the calls that would change something, and make none",
            },
            **A_PROGRAM,
        },
    ),
    "export": Command(
        run=export,
        help="write a program's functions as infrastructure code",
        more=(
            "Functions, layers and the policy of whoever runs them, for the deployment's account; zips lie beside the document. Once "
            "it is applied, `deploy` finds all of it, proves it by its bytes, and makes nothing. Which program: as with `deploy`."
        ),
        arguments={
            "--format": {"choices": FORMATS, "required": True, "help": "what is to apply it"},
            "--to": {
                "metavar": "FOLDER",
                "default": "export",
                "help": "where it is written; the default is ./export",
            },
            **A_PROGRAM,
        },
    ),
    "aws sweep": Command(
        run=sweep,
        help="delete functions, layers and zips that nobody needs",
        more=(
            "Deleted is what a manifest under the deployment's key proves to be its own, what no client needs now, no run may "
            "still invoke, and nobody has deployed for so long. The next deploy makes again what it needs. All of it is shown "
            "before anything is deleted."
        ),
        arguments={
            "--older-than": {
                "type": float,
                "default": 7.0,
                "metavar": "DAYS",
                "help": "unused for so long; the default is 7",
            },
            "--dry-run": {"action": "store_true", "help": "show it, and delete nothing"},
            "--yes": {"action": "store_true", "help": "do not ask"},
            **WHERE,
        },
    ),
}
