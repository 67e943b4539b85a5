"""The file client: values as files `root/<run>/<name>`, for functions and clients of one machine.

In: names and frames. Out: files of mode 0600 that appear whole or not at all. Must not know frames' content.

A run's folder is made by the client only (`FileStore.touch`): what a function writes after its run was
dropped fails, so nothing comes back from the dead.
"""

from __future__ import annotations

# Importing pathlib would add 4 ms to every cold start.
# ruff: noqa: PTH108, PTH110, PTH116, PTH118
import os
import time

from .faults import LostValueError, ValueStoreError
from .frame import HEAD_BYTES, allocate, pickle_end
from .scatter import pour
from .values import CANCELLED, CLIENT_LOST, DROPPED, LEASE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from .frame import Buffer
    from .values import Traffic

CANCEL, LEASE = ".cancel", ".lease"
"""Files of a run's folder that are not values' names, so that no value can take their place."""

_NAME_LENGTH = 128
_MAPPED_BYTES = 1 << 18  # a smaller value is read in less time than it is mapped and its pages are found


class FileClient:
    """Reads and writes values below one folder."""

    __slots__ = ("_reads", "_writes", "root")

    def __init__(self, root: str) -> None:
        self.root = root
        self._writes = self._reads = 0

    @classmethod
    def of(cls, spec: dict[str, Any]) -> FileClient:
        """Return the client that a request's `store` describes."""
        return cls(spec["root"])

    def read(self, run: str, name: str) -> memoryview:
        """Return a value's frame in private, writable memory.

        A large one is mapped, unless most of it is its pickle: a page is copied when it is first written to.

        Raises:
            LostValueError: it is not there.
            ValueStoreError: it cannot be read.
        """
        self._reads += 1
        try:
            descriptor = os.open(self.path(run, name), os.O_RDONLY)
            try:
                return _read(descriptor, os.fstat(descriptor))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _fault("read", run, name, error) from error

    def read_all(self, run: str, names: Sequence[str]) -> Iterable[memoryview]:
        """Return several frames, in order; raises as `read` does."""
        return (self.read(run, name) for name in names)

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Make a value out of a frame's parts, unless it is there: the first writer of a name wins.

        Raises:
            ValueStoreError: the run is gone, or the disk is full.
        """
        self._writes += 1
        path = self.path(run, name)
        made = f"{path[: -len(name)]}.{name}.{os.urandom(8).hex()}"
        try:
            _create(made, parts)
            try:
                os.link(made, path)
            except FileExistsError:
                pass
            finally:
                os.unlink(made)
        except OSError as error:
            raise _fault("write", run, name, error) from error

    def size(self, run: str, name: str) -> int | None:
        """Return how many bytes a value's frame has; None where there is no such value.

        Raises:
            ValueStoreError: the folder cannot be read.
        """
        try:
            return os.stat(self.path(run, name)).st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _fault("look up", run, name, error) from error

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over.

        Raises:
            ValueStoreError: one cannot be deleted.
        """
        for name in names:
            try:
                os.unlink(self.path(run, name))
            except FileNotFoundError:
                continue
            except OSError as error:
                raise _fault("delete", run, name, error) from error

    def ended(self, run: str) -> str:
        """Return why a run does not go on: cancelled, dropped, or its client is lost; empty while it does."""
        folder = os.path.join(self.root, checked(run))
        if os.path.exists(os.path.join(folder, CANCEL)):
            return CANCELLED
        try:
            renewed_s = os.stat(os.path.join(folder, LEASE)).st_mtime
        except FileNotFoundError:
            return DROPPED
        except OSError:  # reading and writing values will say what is wrong
            return ""
        return CLIENT_LOST if time.time() - renewed_s > LEASE_S else ""

    def traffic(self) -> Traffic:
        """Return what S3 would have been asked so far."""
        return self._writes, self._reads, 0

    def path(self, run: str, name: str) -> str:
        """Return where a value lies.

        Raises:
            ValueError: the run or the name is not a plain word, and might lead elsewhere.
        """
        return f"{self.root}/{checked(run)}/{checked(name)}"


def checked(name: str) -> str:
    """Return a run's or value's name if it is 1 to 128 ASCII letters, digits, `-` and `_`.

    Raises:
        ValueError: it is not.
    """
    if is_name(name):
        return name
    raise ValueError(f"{name!r} is not a name of 1 to {_NAME_LENGTH} letters, digits, '-' and '_'")


def is_name(text: str) -> bool:
    """Whether a run or a value may have this name."""
    return text.isascii() and text.replace("-", "").replace("_", "").isalnum() and len(text) <= _NAME_LENGTH


def _create(path: str, parts: Sequence[Buffer]) -> None:
    """Write a new file of mode 0600; none is left where that fails."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        pour(lambda some: os.writev(descriptor, some), parts)
    except BaseException:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)


def _read(descriptor: int, told: os.stat_result) -> memoryview:
    if not _is_mapped(descriptor, told.st_size):
        return _filled(descriptor, told.st_size)
    from .mapped import mapped  # noqa: PLC0415  (few operations need it)

    return mapped(descriptor, told)


def _is_mapped(descriptor: int, size: int) -> bool:
    """Whether mapping a value costs less than reading it: a mapped pickle is copied all the same, see `settled`."""
    return size >= _MAPPED_BYTES and size > 2 * pickle_end(os.pread(descriptor, HEAD_BYTES, 0))


def _filled(descriptor: int, size: int) -> memoryview:
    memory = allocate(size)
    at = 0
    while at < len(memory) and (count := os.readv(descriptor, [memory[at:]])):
        at += count
    return memory[:at]  # of a file that somebody cut short, what is there: its signature does not verify


def _fault(verb: str, run: str, name: str, error: OSError) -> ValueStoreError:
    message = f"cannot {verb} value {name} of run {run}: {error.strerror or error}"
    if verb == "read" and isinstance(error, FileNotFoundError):
        return LostValueError(message, run, name)
    return ValueStoreError(message)
