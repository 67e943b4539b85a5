"""Which store a session has: `store=` says it.

In: a configuration. Out: a store, and what local functions must see to reach it. Must not look at a value.
"""

from __future__ import annotations

import atexit
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.api.caches import keys_at
from graphlambda.api.surroundings import AwsIdentity
from graphlambda.config import FILE, VALKEY, Config, tiers
from graphlambda.errors import StoreError
from graphlambda.scheduler.memory import free_bytes
from graphlambda.store.file import FileStore, default_root
from graphlambda.store.guests import invited, named
from graphlambda.store.leases import STALE_AFTER_S
from graphlambda.store.server import OwnServer, start
from graphlambda.store.tiered import TieredStore
from graphlambda.store.valkey import ValkeyStore, spec_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.api.surroundings import Identity
    from graphlambda.store.base import Store


@dataclass(frozen=True, slots=True)
class Opened:
    """A session's store."""

    store: Store
    visible: tuple[Path, ...] = ()
    """Paths that local functions need to reach it."""

    server: OwnServer | None = None
    """The server that was started for it, if one was; ends with this process."""

    identify: Callable[[], Identity] | None = None
    """Gives local functions the identity that the store asks for; None where it asks for none."""


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
    hot, bucket = tiers(config.store)
    if not bucket:
        return _hot(hot, config)
    from graphlambda.api.buckets import (  # noqa: PLC0415  (boto3, for who uses S3)
        bucket_store,
        identity_for,
        place_at,
    )

    place, cold = place_at(bucket, config), bucket_store(bucket, config)
    trusted = (Path(place.ca),) if place.ca else ()
    identify = partial(identity_for, place, AwsIdentity(config.region))
    if not hot:
        return Opened(cold, trusted, identify=identify)
    found = _hot(hot, config)
    return replace(
        found,
        store=TieredStore(found.store, cold),
        visible=(*found.visible, *trusted),
        identify=identify,
    )


def left_by(config: Config) -> Store | None:
    """Return the store in which a client that is gone left a run's values; None where it went with that client.

    Raises:
        StoreError: it is out of reach.
    """
    hot, bucket = tiers(config.store)
    warm: Store | None = None
    if hot == FILE:
        warm = FileStore(default_root(config.cache_dir))
    elif hot not in {"", VALKEY}:
        keys = keys_at(hot)
        warm = ValkeyStore(spec_of(hot, keys), keys=keys)
    if not bucket:
        return warm
    from graphlambda.api.buckets import bucket_store  # noqa: PLC0415  (boto3, for who uses S3)

    cold = bucket_store(bucket, config)
    return TieredStore(warm, cold) if warm else cold


def _hot(name: str, config: Config) -> Opened:
    if name == FILE:
        root = default_root(config.cache_dir)
        root.mkdir(
            mode=0o700, parents=True, exist_ok=True
        )  # a function sees only what is there when it starts
        return Opened(FileStore(root), (root,))
    if name != VALKEY:
        return _at(name, config)
    server = start(config.cache_dir, free_bytes() // 2)
    atexit.register(server.close)
    store = ValkeyStore(spec_of(server.url))
    return Opened(store, (server.folder,), server)


def _at(url: str, config: Config) -> Opened:
    keys = keys_at(url)
    try:
        spec = spec_of(url, keys)
    except StoreError as error:
        raise StoreError(
            f"{error}. Nothing ran: a run begins, and renews its lease, from here. Where functions alone reach that server, "
            "run the client beside them or through a tunnel, or let values lie in a bucket (store='s3://…')"
        ) from error
    if keys is not None:
        return Opened(ValkeyStore(spec, keys=keys), identify=AwsIdentity(config.region))
    told = named(url, spec)
    if told is None and (guest := invited(spec)) is not None:
        atexit.register(guest.leave)
        told = guest.spec()
    store = ValkeyStore(spec, told=told)
    return Opened(store, (Path(spec["path"]).parent,) if "path" in spec else ())
