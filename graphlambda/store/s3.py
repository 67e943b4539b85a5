"""The S3 store: one prefix a run, one object a value, shared with functions anywhere.

In: frames. Out: objects. Built on `runtime.s3`, which functions use themselves; what only a client needs (leases,
listing, sweeping) is here. A bucket's lifecycle rule may delete what is older than the longest run, as a last resort.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphlambda.errors import StoreError
from graphlambda.runtime.bucket import FIRST_ONLY, Bucket
from graphlambda.runtime.files import checked, is_name
from graphlambda.runtime.s3 import LEASE, S3Client
from graphlambda.runtime.values import CANCELLED
from graphlambda.store.base import ClientStore, translated
from graphlambda.store.listing import abort_uploads, delete_objects, folders, objects
from graphlambda.store.namespaces import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from graphlambda.runtime.http1 import Http
    from graphlambda.runtime.identity import Keys

_NEW: Mapping[str, Any] = {"renewed_s": 0.0, "ended": ""}

_ROUNDS = 5
"""How often a lease is changed, or a run listed again, before others that do so are taken for endless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where an S3 store keeps values."""

    bucket: str

    prefix: str = ""
    """Of every key; without slashes at its ends."""

    region: str

    endpoint: str = ""
    """URL of a server that speaks S3; empty: AWS's own in the region."""

    owner: str = ""
    """AWS account that must own the bucket; empty: whoever does."""

    @property
    def url(self) -> str:
        """Return the bucket's URL: by its name where AWS is, by its path at other servers."""
        if self.endpoint:
            return f"{self.endpoint}/{self.bucket}"
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        if "." in self.bucket:  # no certificate is for such a name
            return f"https://s3.{self.region}.{domain}/{self.bucket}"
        return f"https://{self.bucket}.s3.{self.region}.{domain}"

    def objects(
        self,
        keys: Callable[[], Keys],
        *,
        ca: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        http: Http | None = None,
    ) -> Bucket:
        """Return the objects there.

        `keys` is asked at each request, so they may change; `ca` is a file of certificates, None: the system's;
        `http` has the connections, None: new ones.
        """
        return Bucket(**self.told(), keys=keys, ca=ca, pause=pause, http=http)

    def told(self) -> dict[str, Any]:
        """Return what a request says of it."""
        prefix = f"{self.prefix}/" if self.prefix else ""
        return {"url": self.url, "prefix": prefix, "region": self.region, "owner": self.owner}

    def __str__(self) -> str:
        name = "/".join(part for part in (f"s3://{self.bucket}", self.prefix) if part)
        return f"{name} at {self.endpoint}" if self.endpoint else name


class S3Store(ClientStore):
    """Values below one prefix of a bucket."""

    _client: S3Client

    def __init__(
        self,
        location: Location,
        keys: Callable[[], Keys],
        *,
        ca: str | None = None,
        pause: Callable[[float], None] = time.sleep,
        http: Http | None = None,
    ) -> None:
        """Take the arguments of `Location.objects`."""
        self.location = location
        self._bucket = location.objects(keys, ca=ca, pause=pause, http=http)
        self._client = S3Client(self._bucket)

    def __repr__(self) -> str:
        return f"S3Store({str(self.location)!r})"

    @property
    def address(self) -> str:
        """Return `s3://bucket/prefix`."""
        return str(self.location)

    def spec(self) -> dict[str, Any]:
        """Return what a request says of the store; functions sign with their own keys."""
        return {"kind": "s3", **self.location.told()}

    def touch(self, run: str) -> None:
        """Make the run's lease, or renew it."""
        with translated():
            self._change_lease(run, "", begin=True)

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over."""
        with translated():
            delete_objects(self._bucket, [f"{checked(run)}/{checked(name)}" for name in names])

    def values(self, run: str) -> dict[str, Held]:
        """Return the objects of a run, by name; their dates are of when they were written."""
        below = f"{checked(run)}/"
        with translated():
            found = [each for each in objects(self._bucket, below) if each.key != below + LEASE]
            now_s = self._bucket.now_s() if found else 0.0
        return {each.key.removeprefix(below): Held(each.size_bytes, now_s - each.changed_s) for each in found}

    def cancel(self, run: str) -> None:
        """Write into the run's lease that it was cancelled."""
        with translated():
            self._change_lease(run, CANCELLED, begin=False)

    def drop(self, run: str) -> None:
        """Delete a run's lease and then its values; who writes one meanwhile takes it back (see `runtime.s3`)."""
        below = f"{checked(run)}/"
        self._client.forget(run)
        with translated():
            self._bucket.delete(below + LEASE)
            abort_uploads(self._bucket, below)
            for _ in range(_ROUNDS):
                if not (keys := [found.key for found in objects(self._bucket, below)]):
                    return
                delete_objects(self._bucket, keys)
        raise StoreError(
            f"run {run} in {self.address} is still written to after {_ROUNDS} rounds of deleting"
        )

    def runs(self) -> dict[str, float]:
        """Return the age of each run's lease; where there is none, that of its newest value.

        What functions wrote elsewhere is in no run: it stays for the bucket's lifecycle rule.
        """
        with translated():
            renewed_s = {run: self._renewed_s(run) for run in folders(self._bucket) if is_name(run)}
            now_s = self._bucket.now_s()
        return {run: now_s - at_s for run, at_s in renewed_s.items() if at_s is not None}

    def _renewed_s(self, run: str) -> float | None:
        """Return when a run was renewed; None when it went away meanwhile."""
        found = self._bucket.get(f"{run}/{LEASE}")
        if found is not None:
            return float(json.loads(bytes(found[0]))["renewed_s"])
        return max((each.changed_s for each in objects(self._bucket, f"{run}/")), default=None)

    def _change_lease(self, run: str, ended: str, *, begin: bool) -> None:
        """Renew a run's lease and say why it ended; one that is not there is made only to begin the run."""
        key = f"{checked(run)}/{LEASE}"
        began_s = 0.0
        for _ in range(_ROUNDS):
            found = self._bucket.get(key)
            if found is None and not begin:
                return
            held = _NEW if found is None else json.loads(bytes(found[0]))
            now_s = self._bucket.now_s()
            began_s = began_s or now_s
            if begin and held["renewed_s"] >= began_s:  # somebody else renewed it meanwhile
                return
            lease = {"renewed_s": now_s if begin else held["renewed_s"], "ended": held["ended"] or ended}
            condition = FIRST_ONLY if found is None else {"If-Match": found[1]}
            if self._bucket.put(key, [json.dumps(lease).encode()], condition) is not None:
                return
        raise StoreError(f"the lease of run {run} in {self.address} is changed by others all the time")
