"""Which client goes on with a run: one at a time, by a lease in the run's folder.

In: a folder and an owner. Out: a claim, which its owner renews; or an error that says who holds the run, until when.
Must not trust clocks alone: what a client writes whose claim was taken meanwhile fails, as the lease is replaced only
by who read it last, and a segment of the journal is made by one.

Neither the lease nor the mark that cancels a run is authenticated: who can forge one can delete the folder.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from secrets import token_hex
from threading import Lock
from typing import TYPE_CHECKING

from graphlambda.errors import RunCancelledError, RunHeldError, RunLostError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.store.folders import Folder, Found

LEASE = "lease"
"""The object's name."""

CANCEL = "cancel"
"""The object that says, by being there, that the run does not go on; it holds who cancelled it."""

CLAIM_S = 10.0
"""How long a claim lasts that is not renewed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A client, as the lease names it."""

    nonce: str
    """Tells two clients of one process apart."""

    process: int
    host: str
    machine: str = ""
    """Equal where process numbers mean the same: the boot and the process namespace; empty where nobody can tell."""

    started: str = ""
    """When the process started, in the kernel's own unit: a number that is used again is another process."""

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"

    def is_dead(self) -> bool:
        """Whether that client is known to have ended; False where it may live."""
        return self._is_here() and _started(self.process) != self.started

    def lives(self) -> bool:
        """Whether that client is known to live, be it asleep; False where it may have ended."""
        return self._is_here() and _started(self.process) == self.started

    def _is_here(self) -> bool:
        return bool(self.machine) and self.machine == _machine()


def this_client() -> Owner:
    """Return an owner for something that this process does."""
    return Owner(
        nonce=token_hex(8),
        process=os.getpid(),
        host=socket.gethostname(),
        machine=_machine(),
        started=_started(os.getpid()),
    )


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds a run, until when."""

    owner: Owner
    renewed_s: float
    until_s: float
    """Seconds since the epoch, both."""

    def content(self) -> bytes:
        """Return what lies in the folder."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def of(cls, content: bytes, run: str) -> Lease:
        """Return the lease that lies in a folder."""
        try:
            read = json.loads(content)
            return cls(Owner(**read["owner"]), float(read["renewed_s"]), float(read["until_s"]))
        except (ValueError, TypeError, KeyError) as error:
            raise StoreError(
                f"the lease of run {run} is damaged: {error!r}. Nobody can go on with it, and it goes a day after its last change"
            ) from error

    def holds(self, now_s: float) -> bool:
        """Whether its owner may still go on with the run."""
        return self.until_s > now_s and not self.owner.is_dead()


class Claim:
    """A client's hold on a run; used from any thread."""

    def __init__(
        self, folder: Folder, lease: Lease, tag: str, clock: Callable[[], float], before_s: float
    ) -> None:
        """`before_s` is until when the client before this one may have sent something; 0 where this is the first."""
        self.folder = folder
        self.before_s = before_s
        self._lease = lease
        self._tag = tag
        self._clock = clock
        self._changing = Lock()

    def renew(self) -> None:
        """Hold the run for another `CLAIM_S`.

        Raises:
            RunLostError: another client has taken it.
            RunCancelledError: it is not to go on; says who said so.
        """
        refuse_cancelled(self.folder)
        self._become(self._clock() + CLAIM_S)

    def confirm(self) -> None:
        """Make sure, before the last thing that is done, that nobody else has taken the run. Raises as `renew` does."""
        if self._clock() > self._lease.until_s - CLAIM_S / 2:
            self.renew()

    def release(self) -> None:
        """Let another client take the run at once. Raises as `renew` does."""
        self._become(0.0)

    def _become(self, until_s: float) -> None:
        with self._changing:
            lease = replace(self._lease, renewed_s=self._clock(), until_s=until_s)
            tag = self.folder.replace(LEASE, lease.content(), self._tag)
            if tag is None and (found := self._found()):  # ours: the answer to a renewal before was lost
                tag = self.folder.replace(LEASE, lease.content(), found.tag)
            if tag is None:
                raise lost(self.folder)
            self._lease, self._tag = lease, tag

    def _found(self) -> Found | None:
        """Return the lease that lies in the folder, if it is this client's."""
        found = self.folder.read(LEASE)
        mine = found is not None and Lease.of(found.content, self.folder.run).owner == self._lease.owner
        return found if mine else None


def take(folder: Folder, owner: Owner, clock: Callable[[], float] = time.time) -> Claim:
    """Claim a run that nobody holds.

    Raises:
        RunHeldError: a client holds it, or took it at this moment.
    """
    mine, before_s = Lease(owner, clock(), clock() + CLAIM_S), 0.0
    found = folder.read(LEASE)
    if found is None:
        folder.create(LEASE, [mine.content()])
    elif (held := Lease.of(found.content, folder.run)).holds(clock()):
        raise _held(folder.run, held)
    else:
        before_s = max(held.renewed_s, min(held.until_s, clock()))  # it sent on until it died
        folder.replace(LEASE, mine.content(), found.tag)
    now = folder.read(LEASE)
    if now is None:
        raise StoreError(f"the folder of run {folder.run} went away while it was claimed")
    if now.content != mine.content():
        raise _held(folder.run, Lease.of(now.content, folder.run))
    return Claim(folder, mine, now.tag, clock, before_s)


def cancel(folder: Folder, owner: Owner) -> None:
    """Mark a run as one that does not go on: whoever holds it sees that when it renews its lease."""
    folder.create(CANCEL, [str(owner).encode()])


def canceller(folder: Folder) -> str:
    """Return who cancelled a run, for people; empty where nobody has."""
    found = folder.read(CANCEL)
    return "" if found is None else found.content.decode(errors="replace")


def refuse_cancelled(folder: Folder) -> None:
    """Refuse to go on with a run that was cancelled.

    Raises:
        RunCancelledError: it was; says by whom.
    """
    if who := canceller(folder):
        raise RunCancelledError(f"run {folder.run} was cancelled by {who}")


def lost(folder: Folder) -> RunLostError:
    """Return the error of a client whose run was taken: it says by whom, if that can be read."""
    try:
        found = folder.read(LEASE)
        by = "deleted" if found is None else f"taken by {Lease.of(found.content, folder.run).owner}"
    except StoreError:
        by = "taken by another client"
    return RunLostError(f"run {folder.run} was {by}: this client stopped, and touched nothing of it since")


def holder(folder: Folder, clock: Callable[[], float] = time.time) -> Owner | None:
    """Return the client that goes on with a run at this moment; None where nobody does."""
    found = folder.read(LEASE)
    lease = None if found is None else Lease.of(found.content, folder.run)
    return lease.owner if lease is not None and lease.holds(clock()) else None


def _held(run: str, lease: Lease) -> RunHeldError:
    return RunHeldError(run, str(lease.owner), lease.until_s)


def _machine() -> str:
    """Return what tells machines and process namespaces apart; empty where the kernel does not say."""
    if sys.platform != "linux":
        return ""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{Path('/proc/self/ns/pid').readlink()}"


def _started(process: int) -> str:
    """Return when a process started, in ticks since the boot; empty where there is none."""
    try:
        told = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    state, *_, started = told.rpartition(")")[2].split()[:20]
    return "" if state in "ZX" else started  # a zombie has ended; its parent has not looked yet
