"""Where a deployment's manifests and large zips are: beside its functions.

In: a configuration, the root key. Out: `Manifests`, a `Shelf`. Must not
read or write any of it, but drop what the local Lambda has long forgotten, too.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

from graphlambda.api.account import stack_of
from graphlambda.config import AWS, tiers
from graphlambda.deployer.manifests import Manifests
from graphlambda.deployer.names import ARTIFACTS, LEASES, MANIFESTS
from graphlambda.deployer.shelf import BucketShelf, Shelf
from graphlambda.store.folders import DiskFolders
from graphlambda.store.s3_folders import S3Folders

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.account import Stack
    from graphlambda.api.buckets import BucketPlace
    from graphlambda.config import Config
    from graphlambda.store.folders import Folders

_FORGOTTEN_S = 30 * 86_400.0
"""A manifest or lease on disk stays so long: without its manifest, a function is proved by its bytes, and gets another."""


def manifests_of(config: Config, root: bytes) -> Manifests:
    """Return the manifests of a configuration's deployment; in one process the same ones."""
    region = config.region if config.endpoint == AWS else ""
    return _manifests(config.state_dir, config.deployment_id, root, region, _place(config))


def manifests_in(stack: Stack, config: Config, root: bytes) -> Manifests:
    """Return the manifests that lie in a stack's bucket."""
    from graphlambda.api.buckets import place_at  # noqa: PLC0415  (boto3, for who uses S3)

    place = place_at(stack.store, replace(config, role=stack.role_arn))
    return _manifests(config.state_dir, stack.names.deployment, root, stack.names.region, place)


def shelf_of(config: Config) -> Shelf | None:
    """Return where large zips lie; None where the deployment has no bucket."""
    place = _place(config)
    if place is None:
        return None
    return BucketShelf(place.location.bucket, place.objects(ARTIFACTS))


def _place(config: Config) -> BucketPlace | None:
    """Return the deployment's own part of a bucket: its stack's, else the store's."""
    if config.endpoint != AWS:
        return None
    from graphlambda.api.buckets import place_at  # noqa: PLC0415  (boto3, for who uses S3)

    stack = stack_of(config)
    url = stack.store if stack else tiers(config.store)[1]
    return place_at(url, config) if url else None


@lru_cache(maxsize=16)
def _manifests(
    state_dir: Path, deployment: str, root: bytes, region: str, place: BucketPlace | None
) -> Manifests:
    manifests, leases = (_folders(part, state_dir / part / deployment, place) for part in (MANIFESTS, LEASES))
    return Manifests(manifests, leases, root, deployment, region=region)


def _folders(part: str, path: Path, place: BucketPlace | None) -> Folders:
    if place is not None:
        return S3Folders(place.objects(part))
    on_disk = DiskFolders(path)
    on_disk.sweep(_FORGOTTEN_S)
    return on_disk
