"""A user of this session's own in somebody's Valkey or Redis server: nobody's lasting password travels to functions.

In: what names a server, its owner's password in it. Out: the same for functions, with a name and a password that end with
the session. Must not give that user more than functions need: keys `gl:*`, and no command that looks at anything else.

Source: Valkey, "ACL" (topics/acl).
"""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from graphlambda.errors import ConfigError
from graphlambda.runtime.cluster import Cluster
from graphlambda.runtime.resp import Address, Refused, Server
from graphlambda.store.valkey import at_server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.runtime.resp import Command, Reply

_PREFIX = "graphlambda-"

LONGEST_S = 30 * 86_400.0
"""What a session that was killed left is deleted by a later one after so long."""

_RIGHTS = ("on", "~gl:*", "+@read", "+@write", "+@connection", "-@dangerous", "+asking", "+cluster|slots")


@dataclass(frozen=True, slots=True)
class Guest:
    """A user that was made for a session."""

    name: str
    """`graphlambda-`, seconds since the epoch, eight digits."""

    password: str = field(repr=False)
    owner: Mapping[str, Any] = field(repr=False)
    """What names the server, for whoever made the user."""

    process: int = field(default_factory=os.getpid)
    """Whose session it is."""

    def spec(self) -> dict[str, Any]:
        """Return what functions are told of the server."""
        return {**self.owner, "user": self.name, "password": self.password}

    def leave(self) -> None:
        """Delete the user; a server that is down then keeps it until a later session sweeps. In a fork, nothing happens."""
        if os.getpid() != self.process:
            return
        try:
            _everywhere(self.owner, [(b"ACL", b"DELUSER", self.name.encode())])
        except (OSError, Refused):
            return


def named(url: str, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what names a server to functions whose user stands in its URL: `?functions=name:password`; None for none."""
    told = parse_qs(urlsplit(url).query).get("functions")
    if not told:
        return None
    user, _, password = told[0].rpartition(":")
    return {**spec, "user": user, "password": password}


def invited(spec: Mapping[str, Any]) -> Guest | None:
    """Make a user for this session; None where there is no password to keep.

    Raises:
        ConfigError: the server makes no users, and functions are not sent the password that was given.
        StoreError: the server is out of reach.
    """
    if not spec["password"]:
        return None
    made = Guest(f"{_PREFIX}{int(time.time())}-{secrets.token_hex(4)}", secrets.token_hex(32), spec)
    rights = [*_RIGHTS, f">{made.password}"]
    command: Command = (b"ACL", b"SETUSER", made.name.encode(), *(right.encode() for right in rights))
    with at_server(Address(spec)):
        try:
            _everywhere(spec, [command])
        except Refused as refused:
            raise ConfigError(
                f"the Valkey store at {Address(spec)} makes no user for this session ({refused}), and functions are not sent "
                "the password in `store=`. Name a user for them, one with rights on the keys `gl:*` alone, at the URL's end: "
                "?functions=name:password"
            ) from refused
        _sweep(spec)
    return made


def _sweep(spec: Mapping[str, Any]) -> None:
    """Delete the users of sessions that were killed long ago."""
    names = {bytes(name).decode() for told in _everywhere(spec, [(b"ACL", b"USERS")]) for name in told[0]}
    stale = [name.encode() for name in sorted(names) if _is_stale(name)]
    if stale:
        _everywhere(spec, [(b"ACL", b"DELUSER", *stale)])


def _is_stale(name: str) -> bool:
    made = name.removeprefix(_PREFIX).partition("-")[0]
    return name.startswith(_PREFIX) and made.isdecimal() and time.time() - int(made) > LONGEST_S


def _everywhere(spec: Mapping[str, Any], commands: list[Command]) -> list[list[Reply]]:
    """Return what each node answers: users are a matter of each node alone.

    Raises:
        Refused: one says no.
    """
    server = Cluster(Address(spec)) if spec["cluster"] else Server(Address(spec))
    try:
        nodes = server.servers() if isinstance(server, Cluster) else [server]
        answers = [node.run(commands) for node in nodes]
    finally:
        server.close()
    for reply in (reply for replies in answers for reply in replies):
        if isinstance(reply, Refused):
            raise reply
    return answers
