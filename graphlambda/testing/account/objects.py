"""What Lambda itself reads of S3: packages that a request names in place of carrying them.

In: bucket, key and version. Out: the object in a folder, where the local Lambda looks for it. Must not keep a part of one.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from graphlambda.local.answers import invalid
from graphlambda.local.packages import object_name
from graphlambda.runtime.bucket import Bucket
from graphlambda.runtime.faults import ValueStoreError

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.runtime.identity import Keys

ATTEMPTS = 2
"""Lambda tells its caller rather than to try for long."""


class Objects:
    """A folder of objects, and the S3 that they come from."""

    def __init__(self, folder: Path, endpoint: str, region: str, keys: Keys) -> None:
        """`endpoint` is S3's URL, below which buckets are paths."""
        self.folder = folder
        self._endpoint = endpoint
        self._region = region
        self._keys = keys

    def fetch(self, bucket: str, key: str, version: str) -> None:
        """Have an object ready.

        Raises:
            ServiceError: S3 does not give it.
        """
        query = f"versionId={quote(version, safe='')}" if version else ""
        source = Bucket(f"{self._endpoint}/{bucket}", "", region=self._region, keys=lambda: self._keys)
        try:
            content = source.ask("GET", key, query, attempts=ATTEMPTS).body
        except ValueStoreError as error:
            raise invalid(f"Error occurred while GetObject. {error}") from error
        whole = self.folder / object_name(bucket, key)
        fresh = whole.with_suffix(f".{threading.get_ident()}")
        fresh.write_bytes(content)
        fresh.replace(whole)
