"""A run's folder: named objects, each written whole, of which another client can go on with the run.

In: a run, names, bytes. Out: the same bytes. Must not know what is in them, nor write an object twice but where it
is still the one that was read: S3's conditional writes can do no more, and no less is needed.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from secrets import token_hex
from typing import TYPE_CHECKING

from graphlambda.errors import StoreError
from graphlambda.runtime.files import checked, is_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graphlambda.runtime.frame import Buffer
    from graphlambda.runtime.values import Traffic

_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Found:
    """An object as it was read."""

    content: bytes
    tag: str
    """Changes with the content; for `replace`."""


class Folder(ABC):
    """One run's folder; used from any thread. Every method may raise `errors.StoreError` where it is unavailable.

    Objects are named by 1 to 128 ASCII letters, digits, `-` and `_`.
    """

    run: str

    @abstractmethod
    def begin(self) -> None:
        """Make the folder, if it is not there."""

    @abstractmethod
    def create(self, name: str, parts: Sequence[Buffer]) -> bool:
        """Make an object, whole or not at all; False where it is there: of two makers one wins."""

    @abstractmethod
    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Replace an object if it is still the one of that tag; return the new one's tag, or None where it is not."""

    @abstractmethod
    def read(self, name: str) -> Found | None:
        """Return an object; None where there is none."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Delete an object; one that is not there is passed over."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the objects, sorted; none where there is no folder."""

    @abstractmethod
    def drop(self) -> None:
        """Delete the folder; one that is not there is passed over."""

    def traffic(self) -> Traffic:
        """Return what was asked so far, as AWS bills it; see `runtime.values.Client`."""
        return 0, 0, 0


class Folders(ABC):
    """The folders of all runs that another client may go on with."""

    @abstractmethod
    def of(self, run: str) -> Folder:
        """Return a run's folder, which need not be there."""

    @abstractmethod
    def runs(self) -> dict[str, float]:
        """Return the runs that have a folder, by name: seconds since it last changed."""

    def sweep(self, older_than_s: float) -> tuple[str, ...]:
        """Drop the folders that nobody has changed for that long; return their runs."""
        stale = tuple(run for run, age_s in sorted(self.runs().items()) if age_s > older_than_s)
        for run in stale:
            self.of(run).drop()
        return stale


class DiskFolders(Folders):
    """Folders of mode 0700 below one of the owner's own, for clients of one machine or of one shared disk."""

    def __init__(self, root: Path, *, lock_wait_s: float = 5.0) -> None:
        """`lock_wait_s` bounds how long another client's change of an object is waited for."""
        self.root = root
        self._lock_wait_s = lock_wait_s

    def of(self, run: str) -> DiskFolder:
        """Return a run's folder, which need not be there."""
        return DiskFolder(self.root, checked(run), self._lock_wait_s)

    def runs(self) -> dict[str, float]:
        """Return the runs that have a folder, and each one's age."""
        with _translated():
            if not self.root.is_dir():
                return {}
            changed_s = {path.name: _changed_s(path) for path in self.root.iterdir()}
        return {
            name: time.time() - at_s for name, at_s in changed_s.items() if at_s is not None and is_name(name)
        }

    def sweep(self, older_than_s: float) -> tuple[str, ...]:
        """Drop stale folders, and what a client left that died while it dropped one."""
        stale = super().sweep(older_than_s)
        with _translated():
            for buried in self.root.glob(".*"):
                if time.time() - (_changed_s(buried) or 0.0) > older_than_s:
                    shutil.rmtree(buried, ignore_errors=True)
        return stale


class DiskFolder(Folder):
    """A run's folder on disk. What is written is on the disk before it gets its name."""

    def __init__(self, root: Path, run: str, lock_wait_s: float) -> None:
        self.run = run
        self._lock_wait_s = lock_wait_s
        self._root = root
        self._path = root / run

    def begin(self) -> None:
        """Make the folder."""
        with _translated():
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.mkdir(mode=0o700, exist_ok=True)

    def create(self, name: str, parts: Sequence[Buffer]) -> bool:
        """Make a file, unless it is there."""
        with _translated(), self._unnamed(name, parts) as made:
            try:
                (self._path / checked(name)).hardlink_to(made)
            except FileExistsError:
                return False
        return True

    def replace(self, name: str, content: bytes, tag: str) -> str | None:
        """Replace a file, under a lock that ends with the process that holds it."""
        with _translated(), self._locked():
            found = self.read(name)
            if found is None or found.tag != tag:
                return None
            with self._unnamed(name, [content]) as made:
                made.replace(self._path / checked(name))
        return _tag(content)

    def read(self, name: str) -> Found | None:
        """Return a file's content; None where there is none."""
        with _translated():
            try:
                content = (self._path / checked(name)).read_bytes()
            except FileNotFoundError:
                return None
        return Found(content, _tag(content))

    def delete(self, name: str) -> None:
        """Delete a file."""
        with _translated():
            (self._path / checked(name)).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Return the names of the files, sorted."""
        with _translated():
            try:
                return sorted(path.name for path in self._path.iterdir() if not path.name.startswith("."))
            except FileNotFoundError:
                return []

    def drop(self) -> None:
        """Delete the folder, at once out of its writers' reach."""
        buried = self._root / f".{self.run}.{token_hex(8)}"
        with _translated():
            try:
                self._path.rename(buried)
            except FileNotFoundError:
                return
            shutil.rmtree(buried)

    @contextmanager
    def _unnamed(self, name: str, parts: Sequence[Buffer]) -> Iterator[Path]:
        """Write a file under a name that nobody looks for; at the end that name is gone."""
        made = self._path / f".{checked(name)}.{token_hex(8)}"
        try:
            descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines(parts)
                file.flush()
                os.fsync(descriptor)
            yield made
        finally:
            made.unlink(missing_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        """Lock a file; whoever holds it writes a few bytes and lets go."""
        until_s = time.monotonic() + self._lock_wait_s
        while True:
            try:
                return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() > until_s:
                    what = f"the folder of run {self.run} has been locked for {self._lock_wait_s:g} s"
                    raise StoreError(f"{what}: is a client of it stopped?") from error
            time.sleep(0.002)


def _tag(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()


def _changed_s(path: Path) -> float | None:
    """Return when a folder changed; None where it went away meanwhile."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the folder of a run cannot be used: {error}") from error
