"""Where scenarios are played: what holds the values, and what holds the runs' folders.

In: a folder, or nothing. Out: a `Ground`. Must not know what is played there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from graphlambda.runtime.s3 import S3Client
from graphlambda.runtime.values import client_of
from graphlambda.store.file import FileStore
from graphlambda.store.s3 import S3Store
from graphlambda.testing.chaos import Fault
from graphlambda.testing.s3_memory import KEYS, MemoryS3
from graphlambda.testing.stores import ELSEWHERE
from graphlambda.testing.troubled import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from random import Random

    from graphlambda.runtime.answer import Clients
    from graphlambda.store.base import Store

OF_TROUBLE: Mapping[Trouble, Fault] = {
    Trouble.SLOW_DOWN: Fault.S3_BUSY,
    Trouble.UNREACHED: Fault.S3_RESET,
    Trouble.ANSWER_LOST: Fault.S3_LOST,
    Trouble.TRUNCATED: Fault.S3_CUT,
    Trouble.SILENT: Fault.S3_SILENT,
}
TROUBLED = 0.15
"""The share of exchanges with a bucket that something befalls."""

IN_A_ROW = 4
"""The most exchanges that something befalls one after the other: fewer than a client tries."""

_VALUES = "values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """Where scenarios are played."""

    store: Callable[[Callable[[], float]], Store]
    """Makes an empty store that goes by a clock."""

    left: Callable[[], list[str]]
    """Names all that lies in it."""

    clients: Clients = client_of
    """Makes what a function uses of it."""

    folders: MemoryS3 = field(default_factory=MemoryS3)
    """Where runs have their folders."""

    incidents: Mapping[Fault, Callable[[], None]] = field(default_factory=dict)
    """Does what befalls a server."""

    troubles: Callable[[], Mapping[Trouble, int]] = dict
    """Says what befell single exchanges with it."""


def on_disk(folder: Path) -> Ground:
    """Return a ground whose store is an empty folder."""
    return Ground(
        store=lambda clock: FileStore(folder, clock=clock, owner=lambda: ELSEWHERE),
        left=lambda: sorted(path.name for path in folder.rglob("*")),
    )


def in_bucket(random: Random) -> Ground:
    """Return a ground whose store, and whose runs' folders, are a bucket behind a bad connection."""
    server = MemoryS3(Unrest(random))

    def store(_clock: Callable[[], float]) -> Store:
        return S3Store(server.location(_VALUES), lambda: KEYS, pause=lambda _seconds: None, http=server)

    def client(_spec: Mapping[str, Any]) -> S3Client:
        """Return a client that has seen no run yet, so that it looks for the run's lease."""
        return S3Client(server.bucket(_VALUES))

    return Ground(store=store, left=server.keys, clients=client, folders=server, troubles=lambda: server.seen)


class Unrest:
    """Draws what befalls each exchange."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._in_a_row = 0

    def __call__(self) -> Trouble:
        """Return what befalls the next one."""
        if self._in_a_row == IN_A_ROW or self._random.random() >= TROUBLED:
            self._in_a_row = 0
            return Trouble.NONE
        self._in_a_row += 1
        return self._random.choice(list(OF_TROUBLE))
