"""The functions and layers of one user, on disk.

In: records. Out: the same records, to every service on the same folder, now and after a restart.
Must not know HTTP or processes. Each record is a JSON file that is replaced whole; changes take a lock.

    functions/<name>.json     layers/<name>/<version>.json      (an empty file: that version was deleted)
    started                   (its time is when a service began last)
    code/<digest>/            opt/<digest>/                     (see `unpack`)
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any

from graphlambda.local.answers import ServiceError, not_found
from graphlambda.local.names import FIRST, LATEST, function_arn, layer_arn
from graphlambda.local.records import Code, Function, LayerVersion, Mount
from graphlambda.local.retention import Claim, affordable
from graphlambda.local.unpack import merge, merged_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator


class Catalogue:
    """Reads and changes what a state folder holds. Safe for several processes."""

    def __init__(self, state: Path) -> None:
        self.code = state / "code"
        self._opt = state / "opt"
        self._functions = state / "functions"
        self._folder = str(self._functions)
        self._layers = state / "layers"
        self._lock = state / "lock"
        self._started = state / "started"
        self._read: dict[str, tuple[tuple[int, int], Function]] = {}
        for folder in (state, self.code, self._opt, self._functions, self._layers):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def function(self, name: str) -> Function:
        """Return a function, as it is on disk now: the same object for as long as nothing of it has changed.

        Raises:
            ServiceError: there is none of this name.
        """
        path = f"{self._folder}/{name}.json"
        try:
            status = os.stat(path)  # noqa: PTH116 - asked at each invocation: a Path takes twice as long
            stamp = status.st_ino, status.st_mtime_ns
            known = self._read.get(name)
            if known is None or known[0] != stamp:
                read = _function(Path(path).read_bytes())
                known = self._read[name] = stamp, _newest(known and known[1], read)
        except FileNotFoundError:
            self._read.pop(name, None)
            raise not_found(f"Function not found: {function_arn(name)}") from None
        return known[1]

    def version(self, name: str, version: str) -> Function:
        """Return a function of which there is this version.

        Raises:
            ServiceError: there is none.
        """
        function = self.function(name)
        if version != LATEST and not (version == FIRST and function.published):
            raise not_found(f"Function not found: {function_arn(name)}:{version}")
        return function

    def functions(self) -> list[Function]:
        """Return all functions by name."""
        found = []
        for path in sorted(self._functions.glob("*.json")):
            with suppress(ServiceError):  # another service has just deleted it
                found.append(self.function(path.stem))
        return found

    def used_before(self, most: int) -> list[Function]:
        """Return the functions that were used since this was asked last, in order: those of the service before."""
        since_ns = self._started.stat().st_mtime_ns if self._started.exists() else 0
        self._started.touch()
        found = []
        for path in self._functions.glob("*.json"):
            with suppress(ServiceError, FileNotFoundError):  # another service has just deleted it
                if (used_ns := path.stat().st_mtime_ns) >= since_ns:
                    found.append((used_ns, self.function(path.stem)))
        found.sort(key=lambda each: each[0])
        return [function for _, function in found[-most:]]

    def add_function(self, function: Function) -> None:
        """Keep a new function.

        Raises:
            ServiceError: there is one of this name.
        """
        if not _create(self._functions / f"{function.name}.json", asdict(function)):
            raise ServiceError(409, "ResourceConflictException", f"Function already exist: {function.name}")

    def change_function(self, name: str, change: Callable[[Function], Function]) -> Function:
        """Replace a function by what `change` makes of it, and return that.

        Raises:
            ServiceError: there is none of this name, or `change` refuses.
        """
        with self.locked():
            changed = change(self.function(name))
            _replace(self._functions / f"{name}.json", asdict(changed))
        return changed

    def remove_function(self, name: str) -> None:
        """Forget a function.

        Raises:
            ServiceError: there is none of this name.
        """
        try:
            (self._functions / f"{name}.json").unlink()
        except FileNotFoundError:
            raise not_found(f"Function not found: {function_arn(name)}") from None

    def layer(self, name: str, version: int) -> LayerVersion:
        """Return a layer version.

        Raises:
            ServiceError: there is none, or it was deleted.
        """
        try:
            content = (self._layers / name / f"{version}.json").read_bytes()
        except FileNotFoundError:
            content = b""
        if not content:
            raise not_found(f"The resource you requested does not exist: {layer_arn(name)}:{version}")
        return _layer(content)

    def versions(self, name: str) -> list[LayerVersion]:
        """Return the versions of a layer, the newest first."""
        numbers = [
            number
            for number in self._numbers(name)
            if (self._layers / name / f"{number}.json").stat().st_size
        ]
        return [self.layer(name, number) for number in sorted(numbers, reverse=True)]

    def layers(self) -> dict[str, LayerVersion]:
        """Return the newest version of each layer by name."""
        found = {path.name: self.versions(path.name) for path in sorted(self._layers.iterdir())}
        return {name: versions[0] for name, versions in found.items() if versions}

    def add_layer(self, make: Callable[[int], LayerVersion], name: str) -> LayerVersion:
        """Keep a new version of a layer, made with the next number, and return it."""
        with self.locked():
            version = make(max(self._numbers(name), default=0) + 1)
            (self._layers / name).mkdir(mode=0o700, exist_ok=True)
            _create(self._layers / name / f"{version.version}.json", asdict(version))
        return version

    def remove_layer(self, name: str, version: int) -> None:
        """Forget a layer version; its number is never given again. One that is not there is no error, as on AWS."""
        path = self._layers / name / f"{version}.json"
        with self.locked():
            if path.exists():
                path.write_bytes(b"")

    def opt(self, function: Function) -> Path | None:
        """Return the folder that a function sees as /opt, or None without layers."""
        folders = [self.code / layer.digest for layer in function.layers]
        return merge(folders, self._opt) if folders else None

    def used(self, function: Function) -> None:
        """Note that a function is used: what was used least recently is deleted first."""
        with suppress(FileNotFoundError):  # deleted in the meantime
            os.utime(self._functions / f"{function.name}.json")

    def usage(self) -> tuple[int, int]:
        """Return how many functions and layer versions there are, and the unzipped bytes of them all."""
        claims = list(self._claims(self.functions(), self._versions()))
        held = {digest: size for claim in claims for digest, size in claim.needs.items()}
        return len(claims), sum(held.values())

    def sweep(self, most_bytes: int) -> None:
        """Delete what was used least recently until the rest fits, and the folders that nothing needs.

        Call it only while no service uses the state.
        """
        functions = self.functions()
        versions = self._versions()
        stay = affordable(self._claims(functions, versions), most_bytes)
        for version in versions:
            if version.arn not in stay:
                self.remove_layer(version.name, version.version)
        for function in functions:
            if function.name not in stay:
                self.remove_function(function.name)
        kept = [function for function in functions if function.name in stay]
        needed = {version.code.digest for version in versions if version.arn in stay}
        needed |= {digest for function in kept for digest in _digests(function)}
        _keep(self.code, needed)
        _keep(self._opt, {merged_name(_digests(function)[1:]) for function in kept})

    def _versions(self) -> list[LayerVersion]:
        return [version for path in self._layers.iterdir() for version in self.versions(path.name)]

    def _claims(self, functions: Iterable[Function], versions: Iterable[LayerVersion]) -> Iterator[Claim]:
        """Yield what each holds; a layer version that was deleted is small change beside those that were not."""
        size_bytes = {version.code.digest: version.code.unzipped_bytes for version in versions}
        for function in functions:
            needs = {digest: size_bytes.get(digest, 0) for digest in _digests(function)[1:]}
            needs[function.code.digest] = function.code.unzipped_bytes
            yield Claim(function.name, (self._functions / f"{function.name}.json").stat().st_mtime, needs)
        for version in versions:
            path = self._layers / version.name / f"{version.version}.json"
            needs = {version.code.digest: version.code.unzipped_bytes}
            yield Claim(version.arn, path.stat().st_mtime, needs)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock of all changes that read before they write."""
        descriptor = os.open(self._lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _numbers(self, name: str) -> list[int]:
        return [int(path.stem) for path in (self._layers / name).glob("*.json")]


def _digests(function: Function) -> list[str]:
    """Return the folders that a function needs: its own, then its layers' in mount order."""
    return [function.code.digest, *(layer.digest for layer in function.layers)]


def _keep(folder: Path, names: Collection[str]) -> None:
    for path in folder.iterdir():
        if path.name not in names:
            shutil.rmtree(path, ignore_errors=True)


def _newest(known: Function | None, read: Function) -> Function:
    """Return what was known if it is what was read: a use touches the file, and warm environments know the object."""
    return known if known == read else read


def _function(content: bytes) -> Function:
    record = json.loads(content)
    record |= {"code": Code(**record["code"]), "layers": tuple(Mount(**layer) for layer in record["layers"])}
    return Function(**record)


def _layer(content: bytes) -> LayerVersion:
    record = json.loads(content)
    lists = {name: tuple(record[name]) for name in ("runtimes", "architectures")}
    return LayerVersion(**(record | lists | {"code": Code(**record["code"])}))


def _written(path: Path, record: dict[str, Any]) -> Path:
    """Return a fresh file beside `path` with the record in it, readable by the owner alone."""
    descriptor, name = mkstemp(prefix=".new-", dir=path.parent)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(record, file)
    return Path(name)


def _create(path: Path, record: dict[str, Any]) -> bool:
    """Write a record under a new name; return False if the name is taken."""
    fresh = _written(path, record)
    try:
        path.hardlink_to(fresh)
    except FileExistsError:
        return False
    finally:
        fresh.unlink()
    return True


def _replace(path: Path, record: dict[str, Any]) -> None:
    _written(path, record).replace(path)
