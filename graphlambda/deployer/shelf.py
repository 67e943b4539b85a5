"""Where zips lie that are too large for a request: a bucket, each under the digest of its bytes.

In: a zip's path. Out: what CreateFunction and PublishLayerVersion take in its place. Must not upload what is there.
That what is there is what was meant is not known from here: the service says what it took, and that is compared.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from graphlambda.errors import DeployError
from graphlambda.runtime.bucket import FIRST_ONLY
from graphlambda.runtime.faults import ValueStoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphlambda.runtime.bucket import Bucket


class Shelf(Protocol):
    """A place from which the service reads zips. Safe for several threads at once."""

    def place(self, zip_path: Path) -> Mapping[str, str]:
        """Return the members of `Code` or `Content` that say where a zip's bytes lie, once they do.

        Raises:
            DeployError: they cannot be brought there.
        """


class BucketShelf:
    """Zips as `<sha256>.zip` below a prefix of a bucket."""

    def __init__(self, name: str, objects: Bucket) -> None:
        """`name` is the bucket's; `objects` are those below the prefix: of the account that must own the bucket."""
        self._name = name
        self._objects = objects

    def place(self, zip_path: Path) -> Mapping[str, str]:
        """Upload a zip unless its like is there; of two that upload it at once one wins."""
        content = zip_path.read_bytes()
        key = f"{hashlib.sha256(content).hexdigest()}.zip"
        try:
            if self._objects.size(key) is None:
                self._objects.put(key, [content], FIRST_ONLY)
        except ValueStoreError as error:
            raise DeployError(
                f"{zip_path.name} is too large for a request and cannot be laid into the bucket {self._name}: {error}"
            ) from error
        return {"S3Bucket": self._name, "S3Key": self._objects.prefix + key}
