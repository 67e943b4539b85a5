"""What the user has installed: distributions, their files, and which of them provides a module.

In: the folders of `sys.path`. Out: an `Installed`. Read from RECORD and direct_url.json, so that namespace
packages, import names that differ from the distribution's, and editable installs come out right. Must not
import anything that is installed, nor change a file.
https://packaging.python.org/en/latest/specifications/recording-installed-packages/
"""

from __future__ import annotations

import csv
import hashlib
import importlib.machinery
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from graphlambda.packager.machines import LINUX_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_SUFFIXES = (
    ".py",
    ".pyc",
    *dict.fromkeys(
        [
            *importlib.machinery.EXTENSION_SUFFIXES,
            *(f".{sys.implementation.cache_tag}-{machine}-linux-gnu.so" for machine in LINUX_NAMES.values()),
        ]
    ),
)
"""Of importable files: this interpreter's and, of the same minor version, Lambda's on either architecture."""


class Origin(Enum):
    """How a distribution came to be installed, as far as it decides whether its files may be copied."""

    WHEEL = "a wheel"
    EDITABLE = "an editable install"
    CONDA = "conda"
    UNRECORDED = "an installer that keeps no RECORD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One installed distribution."""

    name: str
    """Normalised: `scikit-learn`."""

    version: str
    info: Path
    """Its `.dist-info` folder, or the `.egg-info` of an installer that keeps no RECORD."""

    origin: Origin
    files: tuple[str, ...]
    """Relative to site-packages, sorted; without byte code and what lies outside, such as scripts."""

    record_digest: str
    """SHA-256 of RECORD: changes with any file of the distribution; of name and version where there is none."""

    @property
    def root(self) -> Path:
        """The site-packages folder that `files` are relative to."""
        return self.info.parent

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Installed:
    """Everything that is installed in the folders of one `sys.path`."""

    paths: tuple[str, ...]
    distributions: Mapping[str, Distribution]
    modules: Mapping[str, tuple[str, ...]]
    """By module that has a file, the names of the distributions that hold it."""

    namespaces: Mapping[str, tuple[str, ...]]
    """By package without an `__init__` of its own, the distributions that have a part in it."""

    shared: frozenset[str]
    """Paths that several distributions claim: whose content is there, no RECORD can tell."""

    def providers(self, module: str) -> tuple[str, ...]:
        """Return the names of the distributions that provide a module; none if nobody does."""
        if module in self.namespaces:
            return self.namespaces[module]
        while module:
            if module in self.modules:
                return self.modules[module]
            module = module.rpartition(".")[0]
        return ()


def read_installed(paths: Iterable[str] = ()) -> Installed:
    """Return what is installed in `paths` (default: `sys.path`); the first folder that has it wins.

    Cached by the state of each RECORD: repeating it takes about 2 ms for 130 distributions.
    """
    folders = tuple(dict.fromkeys(path for path in paths or sys.path if path))
    return _index(folders, tuple(_infos(folders)))


def module_of(path: str) -> str | None:
    """Return the dotted name of the module in a file, or None if it holds none."""
    if not path.endswith(_SUFFIXES):
        return None
    suffix = ".py" if path.endswith(".py") else next(filter(path.endswith, _by_length()))
    stem = path.removesuffix(suffix)
    if not all(map(str.isidentifier, stem.split("/"))):
        return None
    return stem.removesuffix("/__init__").replace("/", ".")


@lru_cache
def _by_length() -> tuple[str, ...]:
    return tuple(sorted(_SUFFIXES, key=len, reverse=True))


_Info = tuple[str, int, int]
"""A metadata folder, and size and time of its RECORD: what a cached reading stands on."""


def _infos(folders: Iterable[str]) -> Iterable[_Info]:
    for folder in folders:
        for info in _metadata_in(folder):
            try:
                state = os.stat(f"{info}/RECORD")  # noqa: PTH116  (each run comes here: 5x faster)
            except OSError:
                state = os.stat(info)  # noqa: PTH116
            yield info, state.st_mtime_ns, state.st_size


def _metadata_in(folder: str) -> list[str]:
    """Return the metadata folders in a folder, the `.dist-info` ones first; none where it is no folder."""
    try:
        with os.scandir(folder) as entries:
            paths = sorted(entry.path for entry in entries)
    except OSError:
        return []
    older = [path for path in paths if path.endswith(".egg-info") and "-" in path.rpartition("/")[2]]
    return [path for path in paths if path.endswith(".dist-info")] + older


@lru_cache(maxsize=8)
def _index(folders: tuple[str, ...], infos: tuple[_Info, ...]) -> Installed:
    distributions: dict[str, Distribution] = {}
    for info in infos:
        distribution = _read(*info)
        distributions.setdefault(distribution.name, distribution)
    modules: dict[str, list[str]] = {}
    claims = Counter(chain.from_iterable(each.files for each in distributions.values()))
    for distribution in distributions.values():
        for path in distribution.files:
            if module := module_of(path):
                modules.setdefault(module, []).append(distribution.name)
    return Installed(
        paths=folders,
        distributions=distributions,
        modules=_sorted(modules),
        namespaces=_sorted(_namespaces(modules)),
        shared=frozenset(path for path, count in claims.items() if count > 1),
    )


def _namespaces(modules: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for module, names in modules.items():
        parent = module.rpartition(".")[0]
        while parent and parent not in modules:
            found.setdefault(parent, []).extend(names)
            parent = parent.rpartition(".")[0]
    return found


def _sorted(found: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(sorted({*names})) if len(names) > 1 else tuple(names) for key, names in found.items()}


@lru_cache(maxsize=4096)
def _read(info: str, _time_ns: int, _size: int) -> Distribution:
    folder = Path(info)
    name, version = _name_and_version(folder)
    text = _text(folder / "RECORD")
    return Distribution(
        name=canonicalize_name(name),
        version=version,
        info=folder,
        origin=_origin(folder, text),
        files=tuple(sorted(path for path in _paths(text) if _travels(path))) if text else _unrecorded(folder),
        record_digest=hashlib.sha256((text or f"{name} {version}").encode()).hexdigest(),
    )


def _name_and_version(info: Path) -> tuple[str, str]:
    """Read them from the folder's name; Debian's `numpy-1.24.2-py3.egg-info` has the Python behind them.

    An `.egg-info` without a version lies in a source tree: that is the user's code.
    """
    name, _, version = info.stem.partition("-")
    return name, version.partition("-py")[0] if info.suffix == ".egg-info" else version


def _unrecorded(info: Path) -> tuple[str, ...]:
    """Return what lies below the top-level names of a distribution that does not say which files are its own."""
    named = _text(info / "top_level.txt").split() or [info.stem.partition("-")[0]]
    found: list[Path] = []
    for name in named:
        found += (info.parent / name).rglob("*")
        found += info.parent.glob(f"{name}.*")
    paths = (path.relative_to(info.parent).as_posix() for path in found if path.is_file())
    return tuple(sorted(path for path in paths if _travels(path)))


def _origin(info: Path, record: str) -> Origin:
    if _text(info / "INSTALLER").strip() == "conda":
        return Origin.CONDA
    if json.loads(_text(info / "direct_url.json") or "{}").get("dir_info", {}).get("editable"):
        return Origin.EDITABLE
    return Origin.WHEEL if record else Origin.UNRECORDED


def _paths(record: str) -> list[str]:
    if '"' in record:
        return [row[0] for row in csv.reader(record.splitlines()) if row]
    return [line.rsplit(",", 2)[0] for line in record.splitlines() if line]


def _travels(path: str) -> bool:
    """Scripts (`../../../bin/f2py`) and byte code of this machine do not."""
    return not path.startswith(("..", "/")) and "__pycache__/" not in path


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (
        FileNotFoundError,
        NotADirectoryError,
    ):  # distutils wrote an `.egg-info` file, which is the metadata
        return ""


def hashes_of(distribution: Distribution) -> dict[str, str]:
    """Return, by path, what RECORD says of a file: `sha256=<base64>`, or nothing."""
    rows = csv.reader(_text(distribution.info / "RECORD").splitlines())
    return {row[0]: row[1] if len(row) > 1 else "" for row in rows if row}


def requires_of(distribution: Distribution) -> tuple[str, ...]:
    """Return the `Requires-Dist` lines of a distribution's metadata."""
    return _requires(str(distribution.info), distribution.record_digest)


@lru_cache(maxsize=4096)
def _requires(info: str, _record_digest: str) -> tuple[str, ...]:
    return _headers(Path(info), "METADATA", "Requires-Dist:") or _headers(
        Path(info), "PKG-INFO", "Requires-Dist:"
    )


def tags_of(distribution: Distribution) -> tuple[str, ...]:
    """Return the tags of the wheel that a distribution came as, such as `cp311-cp311-manylinux_2_28_x86_64`."""
    return _headers(distribution.info, "WHEEL", "Tag:")


def _headers(info: Path, file: str, prefix: str) -> tuple[str, ...]:
    header = _text(info / file).partition("\n\n")[0]
    return tuple(line[len(prefix) :].strip() for line in header.splitlines() if line.startswith(prefix))
