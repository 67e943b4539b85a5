"""Who may talk to the service: the user who owns its secret, from this machine, and no web page.

In: heads and requests. Out: nothing, or a refusal. Must not know what is asked for.
"""

from __future__ import annotations

import os
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from graphlambda.local import limits
from graphlambda.local.answers import ServiceError
from graphlambda.local.settings import Credentials
from graphlambda.local.sigv4 import verify

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.local.http import Head, Request

ACCESS_KEY = "graphlambda"


class Gate:
    """Checks each request of one port."""

    def __init__(self, credentials: Credentials, port: int) -> None:
        self._credentials = credentials
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    def admit(self, head: Head) -> None:
        """Refuse what comes through a browser or under another name, before its body is read.

        Raises:
            ServiceError: 403.
        """
        if head.headers.get("host") not in self._hosts:
            raise ServiceError(403, "AccessDeniedException", "This Host is not the local Lambda's")
        if "origin" in head.headers:
            raise ServiceError(403, "AccessDeniedException", "Web pages may not talk to the local Lambda")

    def check(self, request: Request) -> None:
        """Refuse what was not signed with the secret.

        Raises:
            ServiceError: 403, with AWS's name of the reason.
        """
        verify(request, self._credentials, service="lambda", now=datetime.now(UTC))


class Guarded:
    """What any App of a port does whose every request is checked by a gate."""

    body_bytes = limits.CONTROL_BYTES
    answers_together = False
    _gate: Gate
    """Set once the port is known."""

    def accepts(self, peer: tuple[str, int]) -> bool:
        """Take any connection of loopback: its requests are checked."""
        del peer
        return True

    def admit(self, head: Head) -> None:
        """Refuse strangers by their head."""
        self._gate.admit(head)


def credentials(state: Path) -> Credentials:
    """Return the user's credentials, made at first use; the file is the owner's alone.

    Raises:
        ServiceError: the file can be read by others, so the secret is none.
    """
    path = state / "secret"
    fresh = state / f".secret-{secrets.token_hex(8)}"
    if not path.exists():
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
        try:
            path.hardlink_to(fresh)
        except FileExistsError:
            pass  # another service was first: its secret is ours
        finally:
            fresh.unlink()
    if path.stat().st_mode & 0o077:
        raise ServiceError(
            500, "ServiceException", f"{path} can be read by others; delete it, a new one will be made"
        )
    return Credentials(ACCESS_KEY, path.read_text(encoding="ascii"))
