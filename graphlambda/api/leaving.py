"""What comes before a program runs: whether it may leave this machine, and whether anyone only wanted to see it.

In: a program and its settings. Out: nothing, a refusal, or the program itself for whoever looks. Must not run it.
"""

from __future__ import annotations

from contextlib import contextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from graphlambda import config as settings
from graphlambda.compiler.refuse import KEY_REMEDY
from graphlambda.compiler.secrecy import secret_in
from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from graphlambda.compiler import Program
    from graphlambda.config import Config

_lookers: list[Callable[[Program, Config], None]] = []


class Seen(BaseException):
    """A program was about to be deployed or run, and whoever looks has seen enough: no error, so no Exception."""


@contextmanager
def shown_to(look: Callable[[Program, Config], None]) -> Iterator[None]:
    """Within, a program that would be deployed or run is handed to `look` instead, and `Seen` is raised."""
    _lookers.append(look)
    try:
        yield
    finally:
        _lookers.remove(look)


def leave(program: Program, config: Config) -> None:
    """Say that a program is about to be deployed or run.

    Raises:
        RefusedError: it would leave this machine, and holds a secret.
        Seen: somebody only wanted to see it.
    """
    refuse_secrets(program, config)
    for look in _lookers:
        look(program, config)
    if _lookers:
        raise Seen


def refuse_secrets(program: Program, config: Config) -> None:
    """Refuse a program with a secret in it where its functions are not on this machine.

    Raises:
        RefusedError: says where the secret is, and the remedy.
    """
    if leaves_this_machine(config.endpoint):
        refuse_any_secret(program)


def refuse_any_secret(program: Program) -> None:
    """Refuse a program with a secret in it.

    Raises:
        RefusedError: says where the secret is, and the remedy.
    """
    if (what := secret_in(program, settings.secret_values())) is not None:
        raise RefusedError(what, KEY_REMEDY)


def leaves_this_machine(endpoint: str) -> bool:
    """Tell whether functions at an endpoint are on another machine."""
    if not endpoint:
        return False
    host = urlsplit(endpoint).hostname or ""
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return host != "localhost"
