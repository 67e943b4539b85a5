"""Where zips lie that are too large for a request: a bucket, each under the digest of its bytes.

In: a zip's path. Out: what CreateFunction and PublishLayerVersion take in its place; what lies there, for a sweep. Must not
upload what is there.
That what is there is what was meant is not known from here: the service says what it took, and that is compared.
"""

from __future__ import annotations

import base64
import hashlib
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from graphlambda.errors import DeployError, StoreError
from graphlambda.runtime.bucket import FIRST_ONLY
from graphlambda.store.base import translated
from graphlambda.store.listing import delete_objects, objects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from graphlambda.runtime.bucket import Bucket


_KEY = re.compile(r"[0-9a-f]{64}\.zip")


@dataclass(frozen=True, slots=True, kw_only=True)
class Zip:
    """A zip that lies on a shelf."""

    key: str
    """`<sha256>.zip`."""

    place: str
    """Its URL, for people."""

    size_bytes: int

    @property
    def code_sha256(self) -> str:
        """Base64, as Lambda reports what is made of it."""
        return code_sha256_of(self.key)


def code_sha256_of(key: str) -> str:
    """Return the digest in a zip's key, `<sha256>.zip`, as Lambda reports it: in base64."""
    return base64.b64encode(bytes.fromhex(key.removesuffix(".zip"))).decode()


class Shelf(Protocol):
    """A place from which the service reads zips. Safe for several threads at once."""

    def place(self, zip_path: Path) -> Mapping[str, str]:
        """Return the members of `Code` or `Content` that say where a zip's bytes lie, once they do.

        Raises:
            DeployError: they cannot be brought there.
        """

    def zips(self) -> list[Zip]:
        """Return what lies there.

        Raises:
            DeployError: the shelf is out of reach.
        """

    def drop(self, zips: Iterable[Zip]) -> None:
        """Delete zips; those that are not there are passed over. Raises as `zips` does."""


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
        with self._told(f"{zip_path.name} is too large for a request and cannot be laid into"):
            if self._objects.size(key) is None:
                self._objects.put(key, [content], FIRST_ONLY)
        return {"S3Bucket": self._name, "S3Key": self._objects.prefix + key}

    def zips(self) -> list[Zip]:
        """List the zips; what else somebody has put there is passed over."""
        with self._told("zips cannot be listed in"):
            return [
                Zip(key=each.key, place=self._url(each.key), size_bytes=each.size_bytes)
                for each in objects(self._objects, "")
                if _KEY.fullmatch(each.key)
            ]

    def drop(self, zips: Iterable[Zip]) -> None:
        """Delete zips."""
        with self._told("zips cannot be deleted in"):
            delete_objects(self._objects, [each.key for each in zips])

    def _url(self, key: str) -> str:
        return f"s3://{self._name}/{self._objects.prefix}{key}"

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        try:
            with translated():
                yield
        except StoreError as error:
            raise DeployError(f"{what} the bucket {self._name}: {error}") from error
