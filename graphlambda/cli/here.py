"""Commands about this machine: `local` serves, `explain` says why, `cache` shows what is kept.

In: parsed arguments. Out: text and an exit code. Must not decide anything: `api` does.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from graphlambda import config as settings
from graphlambda.account.doctor import is_well
from graphlambda.api import caching
from graphlambda.api.doctor import diagnose
from graphlambda.api.endpoints import local_settings
from graphlambda.api.explain import explain as explained
from graphlambda.cli.deploying import A_PROGRAM, program_in
from graphlambda.cli.table import PLACE, Command, given
from graphlambda.local import Credentials, serve
from graphlambda.store.file import default_root

if TYPE_CHECKING:
    import argparse

_LAST_PORT = 65_535


def local(options: argparse.Namespace) -> int:
    """Be the local Lambda until Ctrl-C; functions see the working directory's store and nothing else."""
    config = settings.load()
    visible = (default_root(config.cache_dir), *config.paths)
    serve(local_settings(config, visible), port=options.port, ready=_say_how)
    return 0


def _port(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > _LAST_PORT:
        raise ArgumentTypeError(f"a port is a whole number from 0 to {_LAST_PORT}, not {text!r}")
    return int(text)


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
    print(explained(*program_in(options.what, options.arguments)))
    return 0


def doctor(options: argparse.Namespace) -> int:
    """Print a line for each thing that runs stand on; 1 if anything is to be done."""
    lines = diagnose(settings.load(given(options)))
    for line in lines:
        print(line)
    return 0 if is_well(lines) else 1


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


COMMANDS = {
    "local": Command(
        run=local,
        help="serve the local Lambda in the foreground",
        more="Functions see the store and the folders in GRAPHLAMBDA_PATHS.",
        arguments={
            "--port": {"type": _port, "default": 0, "help": "the port on loopback; 0 takes a free one"}
        },
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
        arguments=A_PROGRAM,
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
    "doctor": Command(
        run=doctor,
        help="look at all that runs stand on, and say what is to be done",
        more=(
            "Credentials, quotas, role, bucket, cache, clock, this machine; at last one tiny function is made and writes and "
            "reads where values lie. Settings come from GRAPHLAMBDA_* variables, but for those given here. The exit code is "
            "1 where anything is to be done."
        ),
        arguments=PLACE,
    ),
}
