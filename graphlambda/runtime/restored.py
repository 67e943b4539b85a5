"""What a copy of a snapshot does before it takes its first request: AWS has restored it, perhaps beside many others.

In: the environment, what says which secrets it has. Out: an environment with a name, random numbers, connections and
credentials of its own. Must not import what the process does not use, nor take long: Lambda waits ten seconds for all hooks.

Keys of the function's role are read from the environment for each signature (see `identity`): they are new by themselves.
"""

from __future__ import annotations

import sys
import time

from .afresh import afresh

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .environment import Environment

_CONNECTED = (("s3", "_clients"), ("valkey", "_kept"))
"""Modules that keep clients from one request to the next, and where: their servers have long hung up."""


def restored(environment: Environment, secrets: str | None) -> None:
    """Make all that the snapshot's copies would share this copy's own."""
    began_s = time.perf_counter()
    afresh()
    for module, kept in _CONNECTED:
        if (found := sys.modules.get(f"{__package__}.{module}")) is not None:
            getattr(found, kept).clear()
    environment.rename()
    if secrets is not None:
        from .secret_values import read_secrets  # noqa: PLC0415  (few functions have any)

        read_secrets(secrets, anew=True)
    environment.init_s = time.perf_counter() - began_s
