"""What was made for a deployment, said under its key before it is made: a manifest for each function and layer version.

In: what the service is to report; folders, and a key that functions never see. Out: whether somebody with that key made
what the service reports; who uses what now. Must not believe a name, a tag or a description: whoever may write to the
account can write those, and nobody without the key can write a manifest, nor guess where one would lie.

A manifest is never changed. It lies beside the deployment: in `state_dir`, or in the bucket where deployers alone write.
"""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING, Any

from graphlambda.deployer.threads import at_once
from graphlambda.errors import DeployError, StoreError
from graphlambda.store.claims import Owner, this_client
from graphlambda.store.keys import SealError, derive, open_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from graphlambda.deployer.functions import Configuration
    from graphlambda.store.folders import Folders

LEASE_S = 3600.0
"""How long a deploy keeps sweeps away from what it needs. A run has a lease of its own, and its folder names its functions."""

_MANIFEST, _LEASE = "manifest", "lease"
"""What is sealed for one purpose opens for no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """That somebody with the deployment's key was about to make this."""

    subject: str
    """Name of the function or layer."""

    reported: dict[str, Any]
    """What the service reports of it, if it is this one: see `of_function` and `of_layer`."""

    owner: str
    """The client that made it, for people."""

    made_s: float
    """Seconds since the epoch."""

    @property
    def said(self) -> str:
        """What tells it from all others."""
        return said(self.subject, self.reported)

    @property
    def code_sha256(self) -> str:
        """Base64, of the zip that a function or layer is made of."""
        return str(self.reported.get("configuration", self.reported)["code_sha256"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """That a client needs some functions and layers."""

    owner: Owner
    names: frozenset[str]
    since_s: float
    until_s: float
    """Seconds since the epoch, both."""

    folder: str
    """Where it lies."""

    def holds(self, now_s: float) -> bool:
        """Whether its client may still need them."""
        return self.until_s > now_s and not self.owner.is_dead()


def of_function(configuration: Configuration, layers: Iterable[str]) -> dict[str, Any]:
    """Return what proves a function: all that decides how it behaves, down to the ARNs of its layers' versions.

    What is behind such an ARN never changes, and its number is never given again.
    """
    return {"configuration": asdict(configuration), "layers": list(layers)}


def said(subject: str, reported: dict[str, Any]) -> str:
    """Return what tells a manifest from all others."""
    return json.dumps([subject, reported], sort_keys=True)


def of_layer(code_sha256: str) -> dict[str, Any]:
    """Return what proves a layer version: its bytes."""
    return {"code_sha256": code_sha256}


class Manifests:
    """The manifests and leases of one deployment; used from any thread."""

    def __init__(
        self,
        folders: Folders,
        leases: Folders,
        root: bytes,
        deployment: str,
        *,
        region: str = "",
        client: Callable[[], Owner] = this_client,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`folders` and `leases` are this deployment's alone; who only runs writes to the latter, and not to the former.

        What is said in one region of AWS says nothing in another that has the same bucket. `client` is asked each time: after a
        fork it is another.
        """
        self._client = client
        self._leases = leases
        self._folders = folders
        self._key = derive(root, f"manifests of {deployment} {region}")
        self._clock = clock
        self._proved: set[str] = set()
        self._held: dict[str, float] = {}
        self._lock = Lock()

    def vouch(self, subject: str, reported: dict[str, Any]) -> None:
        """Say that what the service will report so is ours. Said again, it changes nothing.

        Raises:
            DeployError: it cannot be written.
        """
        place = self._place(subject, reported)
        if place in self._proved:
            return
        told = Manifest(subject=subject, reported=reported, owner=str(self._client()), made_s=self._clock())
        content = seal(json.dumps(asdict(told)).encode(), self._key, _MANIFEST)
        with _translated(
            f"the manifest of {subject}, without which it is not made (who only runs writes none),"
        ):
            folder = self._folders.of(subject)
            folder.begin()
            folder.create(place, [content])
        self._proved.add(place)

    def proves(self, subject: str, reported: dict[str, Any]) -> bool:
        """Whether somebody with the key was about to make what the service reports. Raises as `vouch` does."""
        if self._place(subject, reported) in self._proved:
            return True
        return self.find(subject, reported) is not None

    def find(self, subject: str, reported: dict[str, Any]) -> Manifest | None:
        """Return the manifest of what the service reports; None where there is none, or it is not authentic.

        Raises:
            DeployError: the manifests are out of reach.
        """
        place = self._place(subject, reported)
        with _translated(f"the manifest of {subject}"):
            found = self._read(subject, place)
        if found is not None:
            self._proved.add(place)
        return found

    def all(self) -> list[Manifest]:
        """Return all that is authentic. Raises as `find` does."""
        with _translated("the manifests"):
            subjects = at_once(self._of, self._folders.runs())
            return [manifest for manifests in subjects for manifest in manifests]

    def forget(self, manifest: Manifest) -> None:
        """Delete what was said of something that is gone, and not what was said of others of its name. Raises as `vouch` does."""
        place = self._place(manifest.subject, manifest.reported)
        with _translated(f"the manifest of {manifest.subject}"):
            self._folders.of(manifest.subject).delete(place)
        self._proved.discard(place)

    def hold(self, names: Iterable[str]) -> None:
        """Keep sweeps away from functions and layers for at least half of `LEASE_S`. Raises as `vouch` does."""
        now_s = self._clock()
        with self._lock:
            wanted = {name for name in names if self._held.get(name, 0.0) < now_s + LEASE_S / 2}
        if not wanted:
            return
        told = {
            "owner": asdict(self._client()),
            "names": sorted(wanted),
            "since_s": now_s,
            "until_s": now_s + LEASE_S,
        }
        with _translated("a lease"):
            folder = self._leases.of(token_hex(8))
            folder.begin()
            folder.create(_LEASE, [seal(json.dumps(told).encode(), self._key, _LEASE)])
        with self._lock:
            self._held |= dict.fromkeys(wanted, now_s + LEASE_S)

    def leases(self) -> list[Lease]:
        """Return what clients said that they need, as far as it is authentic; some may be over. Raises as `vouch` does."""
        with _translated("the leases"):
            return [lease for lease in at_once(self._lease, self._leases.runs()) if lease]

    def is_mine(self, lease: Lease) -> bool:
        """Whether it is one of this process."""
        me = self._client()
        return (lease.owner.machine, lease.owner.process, lease.owner.started) == (
            me.machine,
            me.process,
            me.started,
        )

    def end(self, lease: Lease) -> None:
        """Delete a lease. Raises as `vouch` does."""
        with _translated("a lease"):
            self._leases.of(lease.folder).drop()

    def _of(self, subject: str) -> list[Manifest]:
        found = [self._read(subject, place) for place in self._folders.of(subject).names()]
        return [manifest for manifest in found if manifest]

    def _read(self, subject: str, place: str) -> Manifest | None:
        found = self._folders.of(subject).read(place)
        opened = None if found is None else self._opened(found.content, _MANIFEST)
        if opened is None or place != self._place(subject, opened["reported"]):
            return None
        return Manifest(**opened)

    def _lease(self, name: str) -> Lease | None:
        found = self._leases.of(name).read(_LEASE)
        said = None if found is None else self._opened(found.content, _LEASE)
        if said is None:
            return None
        said |= {"owner": Owner(**said["owner"]), "names": frozenset(said["names"])}
        return Lease(**said, folder=name)

    def _opened(self, content: bytes, purpose: str) -> dict[str, Any] | None:
        try:
            said: dict[str, Any] = json.loads(open_sealed(content, self._key, purpose))
        except SealError:
            return None
        return said

    def _place(self, subject: str, reported: dict[str, Any]) -> str:
        """Return an object's name: who has another key looks elsewhere."""
        told = said(subject, reported).encode()
        return blake2b(told, key=self._key, digest_size=32, person=b"graphlambda mani").hexdigest()


@contextmanager
def _translated(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        raise DeployError(f"{what} cannot be read or written: {error}") from error
