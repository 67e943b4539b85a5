"""Values by run and name: what only the client needs of them. Functions use `graphlambda.runtime`."""

from graphlambda.store.base import Store
from graphlambda.store.file import FileStore, default_root
from graphlambda.store.leases import STALE_AFTER_S, Lease
from graphlambda.store.s3 import Location, S3Store
from graphlambda.store.tiered import TieredStore

__all__ = [
    "STALE_AFTER_S",
    "FileStore",
    "Lease",
    "Location",
    "S3Store",
    "Store",
    "TieredStore",
    "default_root",
]
