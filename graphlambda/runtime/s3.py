"""The S3 client: values as objects `<prefix>/<run>/<name>`, for functions and clients anywhere.

In: names and frames. Out: objects that appear whole or not at all. Must not know frames' content.

A run is there while its lease is, the object `<run>/.lease`: JSON with `renewed_s`, by the server's clock, and
`ended`, why the run does not go on. Who drops a run deletes its lease first and its values after; who writes a value
looks for the lease after that, at most once in `ALIVE_S`, and takes back what came too late. So of a dropped run
nothing stays but what was written in its last second, and that the next sweep finds.
"""

from __future__ import annotations

import json
import os
from time import monotonic

from .bucket import FIRST_ONLY, TRUSTED, Bucket
from .faults import LostValueError, ValueStoreError
from .files import checked
from .identity import function_keys
from .values import CLIENT_LOST, DROPPED, LEASE_S, at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .frame import Buffer
    from .values import Traffic

LEASE = ".lease"
"""Not a value's name, so that no value can take its place."""

ALIVE_S = 1.0
"""How long a run whose lease was seen is taken to be there."""

_MOST_SEEN = 64

_clients: dict[str, S3Client] = {}
"""By spec: an environment keeps its connections from one invocation to the next."""


class S3Client:
    """Reads and writes values below one URL; used from any thread."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._seen_s: dict[str, float] = {}

    @classmethod
    def of(cls, spec: dict[str, Any]) -> S3Client:
        """Return the client that a request's `store` describes; it signs with the function's own keys, and trusts whom it trusts."""
        wanted = json.dumps(spec, sort_keys=True)
        if wanted not in _clients:
            where = {name: spec[name] for name in ("url", "prefix", "region", "owner")}
            _clients[wanted] = cls(Bucket(**where, keys=function_keys, ca=os.environ.get(TRUSTED)))
        return _clients[wanted]

    def read(self, run: str, name: str) -> memoryview:
        """Return a value's frame in private, writable memory.

        Raises:
            LostValueError: it is not there.
            ValueStoreError: the store refuses, or is unavailable.
        """
        found = self.bucket.get(f"{checked(run)}/{checked(name)}")
        if found is None:
            message = f"cannot read value {name} of run {run}: {self.bucket.url} does not hold it"
            raise LostValueError(message, run, name)
        return found[0]

    def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
        """Return several values' frames, in order; raises as `read` does."""
        return at_once(self.read, run, names)

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Make a value out of a frame's parts, unless it is there: the first writer of a name wins.

        Raises:
            ValueStoreError: the run is gone, the store refuses, or is unavailable.
        """
        key = f"{checked(run)}/{checked(name)}"
        self.bucket.put(key, parts, FIRST_ONLY)
        if not self._is_alive(run):
            self.bucket.delete(key)
            raise ValueStoreError(
                f"cannot write value {name} of run {run}: the run is not in {self.bucket.url}"
            )

    def size(self, run: str, name: str) -> int | None:
        """Return how many bytes a value's frame has; None where there is no such value.

        Raises:
            ValueStoreError: the store refuses, or is unavailable.
        """
        return self.bucket.size(f"{checked(run)}/{checked(name)}")

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over.

        Raises:
            ValueStoreError: the store refuses, or is unavailable.
        """
        for name in names:
            self.bucket.delete(f"{checked(run)}/{checked(name)}")

    def ended(self, run: str) -> str:
        """Return why a run does not go on: cancelled, dropped, or its client is lost; empty while it does."""
        if self._was_seen(run):
            return ""
        try:
            found = self.bucket.get(f"{checked(run)}/{LEASE}", attempts=1)
            if found is None:
                return DROPPED
            lease = json.loads(bytes(found[0]))
            is_stale = self.bucket.now_s() - lease["renewed_s"] > LEASE_S
            return lease["ended"] or (CLIENT_LOST if is_stale else self._saw(run))
        except (ValueStoreError, ValueError, KeyError):  # reading and writing values will say what is wrong
            return ""

    def traffic(self) -> Traffic:
        """Return what the bucket was asked so far."""
        return self.bucket.writes, self.bucket.reads, 0

    def forget(self, run: str) -> None:
        """Look for a run's lease again before anything is taken for granted."""
        self._seen_s.pop(run, None)

    def _is_alive(self, run: str) -> bool:
        if not self._was_seen(run):
            if self.bucket.size(f"{checked(run)}/{LEASE}") is None:  # sooner answered than a get
                return False
            self._saw(run)
        return True

    def _was_seen(self, run: str) -> bool:
        return monotonic() - self._seen_s.get(run, -ALIVE_S) < ALIVE_S

    def _saw(self, run: str) -> str:
        if len(self._seen_s) >= _MOST_SEEN:
            self._seen_s.clear()
        self._seen_s[run] = monotonic()
        return ""
