"""Which store a session has: `store=` says it.

In: a configuration. Out: a store, and what local functions must see to reach it. Must not look at a value.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.config import FILE, VALKEY, Config
from graphlambda.scheduler.memory import free_bytes
from graphlambda.store.file import FileStore, default_root
from graphlambda.store.leases import STALE_AFTER_S
from graphlambda.store.server import OwnServer, start
from graphlambda.store.valkey import ValkeyStore, spec_of

if TYPE_CHECKING:
    from graphlambda.store.base import Store


@dataclass(frozen=True, slots=True)
class Opened:
    """A session's store."""

    store: Store
    visible: tuple[Path, ...] = ()
    """Folders that local functions need to reach it."""

    server: OwnServer | None = None
    """The server that was started for it, if one was; ends with this process."""


def opened(config: Config) -> Opened:
    """Return the store that a configuration names, without the runs whose clients are gone.

    Raises:
        ConfigError: there is no server to start.
        StoreError: it is out of reach.
    """
    found = _opened(config)
    found.store.sweep(STALE_AFTER_S)
    return found


def _opened(config: Config) -> Opened:
    if config.store == FILE:
        root = default_root(config.cache_dir)
        return Opened(FileStore(root), (root,))
    if config.store != VALKEY:
        return _at(config.store)
    server = start(config.cache_dir, free_bytes() // 2)
    atexit.register(server.close)
    store = ValkeyStore(spec_of(server.url))
    return Opened(store, (server.folder,), server)


def _at(url: str) -> Opened:
    spec = spec_of(url)
    return Opened(ValkeyStore(spec), (Path(spec["path"]).parent,) if "path" in spec else ())
