"""The file store: one folder a run, one file a value, shared with functions of the same machine.

In: frames. Out: files. Built on `runtime.files`, which functions use themselves; what only a client needs
(leases, listing, choice of folder) is here.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from graphlambda.errors import StoreError
from graphlambda.runtime.files import CANCEL, LEASE, FileClient, checked, is_name
from graphlambda.store.base import ClientStore, translated
from graphlambda.store.claims import Owner, this_client
from graphlambda.store.namespaces import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108  (ours below it is 0700 and checked)
_ROOM_BYTES = 1 << 30


class FileStore(ClientStore):
    """Values below one folder of mode 0700. A lease holds whose it is, for whom a sweep on the same machine looks."""

    _client: FileClient

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], float] = time.time,
        owner: Callable[[], Owner] = this_client,
    ) -> None:
        self.root = root
        self._clock = clock
        self._owner = owner
        self._named: set[tuple[int, str]] = set()
        """Processes and the runs whose leases they have written; a forked one has the other's."""
        self._client = FileClient(str(root))

    def __repr__(self) -> str:
        return f"FileStore({str(self.root)!r})"

    @property
    def address(self) -> str:
        """Return `file:` and the folder."""
        return f"file:{self.root}"

    def spec(self) -> dict[str, Any]:
        """Return what a request says of the store."""
        return {"kind": "file", "root": str(self.root)}

    def touch(self, run: str) -> None:
        """Make the run's folder and its lease, or renew the lease."""
        lease = self.root / checked(run) / LEASE
        with _translated():
            try:
                self._renew(run, lease)
            except FileNotFoundError:
                self._named.discard((os.getpid(), run))
                self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
                lease.parent.mkdir(mode=0o700, exist_ok=True)
                self._renew(run, lease)

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over."""
        with _translated():
            self._client.delete(run, names)

    def values(self, run: str) -> dict[str, Held]:
        """Return the files of a run's folder, by name."""
        folder, now_s = self.root / checked(run), self._clock()
        with _translated(), suppress(FileNotFoundError), os.scandir(folder) as entries:
            named = [entry for entry in entries if not entry.name.startswith(".")]
            found = [(entry.name, _stat(entry)) for entry in named]
            return {name: Held(told.st_size, now_s - told.st_mtime) for name, told in found if told}
        return {}

    def use(self, run: str, names: Iterable[str]) -> None:
        """Date the files of values anew."""
        now_s = self._clock()
        with _translated():
            for name in names:
                with suppress(FileNotFoundError):
                    os.utime(self._client.path(run, name), (now_s, now_s))

    def cancel(self, run: str) -> None:
        """Set the run's cancel marker."""
        folder = self.root / checked(run)
        with _translated(), suppress(FileNotFoundError):
            (folder / CANCEL).touch(mode=0o600)

    def drop(self, run: str) -> None:
        """Delete a run's folder, at once out of its writers' reach."""
        folder = self.root / checked(run)
        buried = self.root / f".{run}.{token_hex(8)}"
        self._named.discard((os.getpid(), run))
        with _translated():
            try:
                folder.rename(buried)
            except FileNotFoundError:
                return
            shutil.rmtree(buried)

    def room_bytes(self) -> int | None:
        """Return what is free on the folder's file system."""
        with _translated():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return shutil.disk_usage(self.root).free

    def runs(self) -> dict[str, float]:
        """Return the age of each run's lease."""
        with _translated():
            if not self.root.is_dir():
                return {}
            return self._ages(folder for folder in self.root.iterdir() if is_name(folder.name))

    def is_held(self, run: str) -> bool:
        """Whether the client that a run's lease names lives."""
        owner = self.owner(run)
        return owner is not None and owner.lives()

    def owner(self, run: str) -> Owner | None:
        """Return the client that began a run, or went on with it last; None where the lease names none."""
        lease = self.root / checked(run) / LEASE
        with _translated(), suppress(FileNotFoundError, ValueError, TypeError):
            return Owner(**json.loads(lease.read_bytes()))
        return None

    def sweep(self, older_than_s: float) -> tuple[str, ...]:
        """Drop stale runs, and what a client left that died while it dropped one."""
        stale = super().sweep(older_than_s)
        with _translated():
            buried = self._ages(self.root.glob(".*"))
            for name, age_s in buried.items():
                if age_s > older_than_s:
                    shutil.rmtree(self.root / name, ignore_errors=True)
        return stale

    def _renew(self, run: str, lease: Path) -> None:
        """Date a lease anew; the first time, write who this is: a run that is gone on with has another client's."""
        if (os.getpid(), run) not in self._named:
            descriptor = os.open(lease, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(asdict(self._owner()), file)
            self._named.add((os.getpid(), run))
        os.utime(lease, (self._clock(),) * 2)

    def _ages(self, folders: Iterable[Path]) -> dict[str, float]:
        now_s = self._clock()
        renewed_s = {folder.name: _renewed_s(folder) for folder in folders}
        return {name: now_s - at_s for name, at_s in renewed_s.items() if at_s is not None}


def default_root(cache: Path) -> Path:
    """Return where a file store keeps values: in a memory file system with room for them, else in `cache`."""
    folder = _MEMORY_FOLDER / f"graphlambda-{os.getuid()}"
    if _has_room(_MEMORY_FOLDER) and _is_ours(folder):
        return folder
    return cache / "values"


def _has_room(folder: Path) -> bool:
    try:
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= _ROOM_BYTES
    except OSError:
        return False


def _is_ours(folder: Path) -> bool:
    """Make the folder, or check that nobody else did: its parent is everybody's."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        made = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(made.st_mode) and made.st_uid == os.getuid() and stat.S_IMODE(made.st_mode) == 0o700


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """Return what is known of a file; None when it went away meanwhile."""
    try:
        return entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None


def _renewed_s(folder: Path) -> float | None:
    """Return when a run's lease was renewed; None when the run went away meanwhile."""
    for path in (folder / LEASE, folder):
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            continue
    return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        with translated():
            yield
    except OSError as error:
        raise StoreError(f"the file store failed: {error}") from error
