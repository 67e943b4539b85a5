"""A content-addressed folder cache: what is in it is complete, never changes, and goes when it is not used.

In: a kind, a key and how to fill a fresh folder or file. Out: the path of the finished one. Safe for
several processes and threads at once: each fills a folder of its own, then renames it into place; the first
one wins. Whoever uses entries holds a lease, a shared lock; nothing is removed while anybody has one.
Must not know what is cached.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.errors import PackageError
from graphlambda.packager.measure import Usage, entries_of, superfluous, usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_LEFTOVER_S = 24 * 3600
"""A scratch folder of this age belongs to a process that was killed."""

_RECENT_S = 600.0
"""What was used so lately is not removed unasked: whoever built an artifact may still be uploading it."""

_SCRATCH, _LOCK, _ALTERED, _BOUNDED = "scratch", "in-use", "altered", "bounded"


@dataclass(frozen=True, slots=True)
class Cache:
    """Finished folders and files by kind and key."""

    root: Path
    """Made on demand, the owner's alone; lies on one file system, so that renaming is atomic."""

    def path(self, kind: str, key: str) -> Path:
        """Return where the entry is, or would be."""
        return self.root / kind / key

    def folder(
        self,
        kind: str,
        key: str,
        fill: Callable[[Path], None],
        is_whole: Callable[[Path], bool] = Path.is_dir,
    ) -> Path:
        """Return the entry's folder, filled before anyone sees it; a damaged one is made again.

        Raises PackageError on a full disk.
        """
        final = self.path(kind, key)
        if final.is_dir() and is_whole(final):
            touch(final)
        else:
            with self.scratch() as scratch:
                made = scratch / "made"
                made.mkdir(mode=0o700)
                fill(made)
                if final.is_dir() and not is_whole(final):
                    final.rename(scratch / "damaged")
                _publish(made, final)
        return final

    def file(
        self,
        kind: str,
        key: str,
        fill: Callable[[Path], None],
        is_whole: Callable[[Path], bool] = Path.is_file,
    ) -> Path:
        """Return the entry's file, written before anyone sees it; a damaged one is made again.

        Raises PackageError on a full disk.
        """
        final = self.path(kind, key)
        if final.is_file() and is_whole(final):
            touch(final)
        else:
            with self.scratch() as scratch:
                fill(scratch / "made")
                _publish(scratch / "made", final)
        return final

    def get(self, kind: str, key: str) -> bytes | None:
        """Return the content of a note, or None if there is none."""
        try:
            content = self.path(kind, key).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        touch(self.path(kind, key))
        return content

    def put(self, kind: str, key: str, content: bytes) -> None:
        """Write a note, the one kind of entry that may be written again. Raises PackageError on a full disk."""
        with self.scratch() as scratch:
            (scratch / "made").write_bytes(content)
            self.path(kind, key).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (scratch / "made").replace(self.path(kind, key))

    def alter(self, kind: str, key: str, altered: Callable[[bytes | None], bytes]) -> None:
        """Write a note from what it is (None: not there), while nobody else alters one. Raises as `put` does."""
        descriptor = self._locked(fcntl.LOCK_EX, _ALTERED)
        try:
            self.put(kind, key, altered(self.get(kind, key)))
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Lend a private folder on the cache's file system; it is gone afterwards."""
        parent = self.root / _SCRATCH
        with _full_disk_explained(self.root), self.lease():
            parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = Path(tempfile.mkdtemp(dir=parent))
            try:
                yield path
            finally:
                shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def lease(self) -> Iterator[None]:
        """Keep all entries in place: nobody removes any as long as it lasts. Leases may overlap."""
        descriptor = self._locked(fcntl.LOCK_SH)
        try:
            yield
        finally:
            os.close(descriptor)

    def usage(self) -> Mapping[str, Usage]:
        """Return how many entries of each kind there are and what they take, by kind, sorted."""
        return usage_of(entries_of(self.root))

    def trim(self, most_bytes: int, *, recent_s: float = 0.0) -> int:
        """Remove what was used least recently until no more than `most_bytes` are left; return how many went.

        What was used in the last `recent_s` seconds stays. Raises PackageError while anybody has a lease.
        """
        freed = self._trimmed(most_bytes, recent_s)
        if freed is None:
            raise PackageError(
                f"The package cache in {self.root} is in use by a build, here or in another process. "
                "Try again when it has ended."
            )
        return freed

    def clear(self) -> int:
        """Remove all entries; return how many bytes went. Raises PackageError while anybody has a lease."""
        return self.trim(-1)  # below nothing: empty entries go, too

    def bound(self, most_bytes: int) -> None:
        """Trim if nobody is at it and it was not looked at lately: looking takes some 10 ms a thousand files."""
        stamp = self.path(_SCRATCH, _BOUNDED)
        if age_s(stamp) > _RECENT_S and self._trimmed(most_bytes, _RECENT_S) is not None:
            stamp.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            stamp.touch()

    def tidy(self) -> None:
        """Remove the scratch folders that killed processes left behind."""
        with contextlib.suppress(FileNotFoundError):
            for path in (self.root / _SCRATCH).iterdir():
                if path.is_dir() and age_s(path) > _LEFTOVER_S:
                    shutil.rmtree(path, ignore_errors=True)

    def _trimmed(self, most_bytes: int, recent_s: float) -> int | None:
        """Take entries out at once, while nobody has a lease, and delete them afterwards; None: somebody has."""
        try:
            descriptor = self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return None
        (self.root / _SCRATCH).mkdir(mode=0o700, exist_ok=True)
        grave = Path(tempfile.mkdtemp(dir=self.root / _SCRATCH))
        try:
            gone = superfluous(entries_of(self.root), most_bytes, time.time() - recent_s)
            for number, entry in enumerate(gone):
                entry.path.rename(grave / str(number))
        finally:
            os.close(descriptor)
            shutil.rmtree(grave, ignore_errors=True)
        return sum(entry.size_bytes for entry in gone)

    def _locked(self, how: int, name: str = _LOCK) -> int:
        """Return the descriptor that holds the lock; closing it, or ending however, gives it up."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.root / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, how)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor


def touch(path: Path) -> None:
    """Note that an entry was used: its time of change says when, since it does not change."""
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)


def age_s(path: Path) -> float:
    """Return how long ago something was changed or touched; what is not there is infinitely old."""
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")


def _publish(made: Path, final: Path) -> None:
    final.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        os.rename(made, final)  # noqa: PTH104 - Path.rename would do the same; this names the system call
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise  # else another process was faster, and its entry is as good


@contextlib.contextmanager
def _full_disk_explained(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise PackageError(
            f"No space is left for the package cache in {root}. Free some, or choose another cache folder."
        ) from error
