"""Run folders in a bucket: `<prefix>/<run>/<name>`, for clients of any machine.

In: a run, names, bytes. Out: the same bytes. Must not take a lost answer for a lost race: who finds its own content
where it was to be made has made it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphlambda.errors import StoreError
from graphlambda.runtime.bucket import FIRST_ONLY
from graphlambda.runtime.files import checked, is_name
from graphlambda.store.base import translated
from graphlambda.store.folders import Folder, Folders, Found
from graphlambda.store.listing import delete_objects, objects

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphlambda.runtime.bucket import Bucket
    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Traffic

_ROUNDS = 5
"""How often a folder is listed again, before somebody who writes to it is taken for endless."""


class S3Folders(Folders):
    """Folders below the prefix of a bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def of(self, run: str) -> S3Folder:
        """Return a run's folder, which need not be there."""
        return S3Folder(self._bucket, checked(run))

    def runs(self) -> dict[str, float]:
        """Return the runs that have a folder, and the age of what was written last, by the server's clock."""
        newest_s: dict[str, float] = {}
        with translated():
            for each in objects(self._bucket, ""):
                run, slash, _ = each.key.partition("/")
                if slash and is_name(run):  # others may write here, and end no sweep by a name
                    newest_s[run] = max(newest_s.get(run, 0.0), each.changed_s)
            now_s = self._bucket.now_s()
        return {run: now_s - at_s for run, at_s in newest_s.items()}


class S3Folder(Folder):
    """A run's folder. It is there as soon as something is in it."""

    def __init__(self, bucket: Bucket, run: str) -> None:
        self.run = run
        self._bucket = bucket

    def begin(self) -> None:
        """Do nothing: S3 has no folders."""

    def create(self, name: str, parts: Sequence[Buffer]) -> bool:
        """Make an object, unless it is there."""
        return self._put(name, parts, FIRST_ONLY) is not None

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Replace an object if it is still the one of that tag."""
        return self._put(name, [content], {"If-Match": tag})

    def read(self, name: str) -> Found | None:
        """Return an object; None where there is none."""
        with translated():
            found = self._bucket.get(self._key(name))
        return None if found is None else Found(bytes(found[0]), found[1])

    def delete(self, name: str) -> None:
        """Delete an object."""
        with translated():
            delete_objects(self._bucket, [self._key(name)])

    def names(self) -> list[str]:
        """Return the names of the objects, sorted."""
        with translated():
            return sorted(found.key.partition("/")[2] for found in objects(self._bucket, f"{self.run}/"))

    def drop(self) -> None:
        """Delete the objects, and those that somebody wrote meanwhile."""
        with translated():
            for _ in range(_ROUNDS):
                keys = [found.key for found in objects(self._bucket, f"{self.run}/")]
                if not keys:
                    return
                delete_objects(self._bucket, keys)
        raise StoreError(f"the folder of run {self.run} in {self._bucket.url} is still written to")

    def traffic(self) -> Traffic:
        """Return what the bucket was asked so far, for the folders of all runs."""
        return self._bucket.writes, self._bucket.reads, 0

    def _put(self, name: str, parts: Sequence[Buffer], condition: Mapping[str, str]) -> str | None:
        with translated():
            tag = self._bucket.put(self._key(name), parts, condition)
        if tag is None and (found := self.read(name)) is not None and found.content == b"".join(parts):
            return found.tag
        return tag

    def _key(self, name: str) -> str:
        return f"{self.run}/{checked(name)}"
