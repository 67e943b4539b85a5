"""Decides what an execution environment sees: mounts for namespaces, allowed paths for Landlock.

In: settings and folders. Out: the specification that `guest.bootstrap` carries out. Must not start or mount anything;
it reads which paths exist.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.local.settings import Level

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/nix/store")
_ETC = (
    "ca-certificates", "ca-certificates.conf", "crypto-policies", "gai.conf", "group", "host.conf", "hosts",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "mime.types", "nsswitch.conf", "os-release", "passwd",
    "pki", "protocols", "resolv.conf", "services", "ssl", "timezone",
)  # fmt: skip
"""Names and certificates; not /etc itself, which holds secrets of the machine."""
_DEVICES = ("full", "null", "random", "urandom", "zero")
"""As on Lambda there is no /dev/shm: multiprocessing's locks fail here as they do there."""
_PROCESSORS = "/sys/devices/system/cpu"
"""Where libraries count processors."""
_TMP = Path("/tmp")  # noqa: S108 - the environment's own
CODE = "/var/code"
"""Where a parent sees the packages of all functions, and its children no longer do."""


_PARENT_TMP_MB = 16


def helpers(level: Level, *, forked: bool) -> int:
    """Return how many processes the guest puts above the function: see `guest.sandbox`."""
    return (1 if forked else 2) if level == "namespaces" else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an environment's files lie on the host."""

    task: Path
    """The unzipped deployment package."""

    opt: Path | None
    """The merged layers."""

    runtime: Path
    """What stands for /var/runtime."""

    tmp: Path
    """A private folder: /tmp, where nothing can be mounted."""

    root: Path
    """An empty folder that a new root is mounted on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What functions may see beside their own files, and what never."""

    visible: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()


def inside(path: Path, folder: Path) -> bool:
    """Return whether `path` is `folder` or below it."""
    return path.parts[: len(folder.parts)] == folder.parts


def seen(sight: Sight) -> tuple[Path, ...]:
    """Return the visible paths that are there and not hidden, resolved, outer ones first, each once."""
    hidden = [path.resolve() for path in sight.hidden]
    found = {path.resolve() for path in sight.visible if path.exists()}
    kept = [path for path in sorted(found) if not any(inside(path, folder) for folder in hidden)]
    return tuple(path for path in kept if not any(path != outer and inside(path, outer) for outer in kept))


def linked(sight: Sight) -> tuple[Path, ...]:
    """Return the visible paths that lead through a symbolic link: a function opens them as they were named."""
    named = sorted({path.absolute() for path in sight.visible if path.exists()})
    leading = [(path, there) for path in named if (there := path.resolve()) != path]
    shown = seen(sight) if leading else ()
    return tuple(path for path, there in leading if any(inside(there, folder) for folder in shown))


def masked(sight: Sight) -> tuple[Path, ...]:
    """Return the hidden paths that are there and inside of a visible one, resolved."""
    return _within(seen(sight), sight.hidden)


def _within(folders: Sequence[Path], paths: Iterable[Path]) -> tuple[Path, ...]:
    """Return those of some paths that are there and in one of the folders, resolved."""
    found = {path.resolve() for path in paths if path.exists()}
    return tuple(path for path in sorted(found) if any(inside(path, folder) for folder in folders))


def carved(folder: Path, holes: Sequence[Path]) -> list[Path]:
    """Return paths that cover `folder` but for the holes: Landlock can allow, and not take away."""
    if folder in holes:
        return []
    within = [hole for hole in holes if inside(hole, folder)]
    if not within:
        return [folder]
    return [
        path for child in sorted(folder.iterdir()) for path in carved(child, within) if not child.is_symlink()
    ]


def interpreter() -> Path:
    """Return the program that runs environments: the one below any virtual environment."""
    return Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()


def specification(
    level: Level, place: Place, sight: Sight, *, tmp_mb: int, client: str, token: str, network: bool = True
) -> dict[str, Any]:
    """Return what the guest's bootstrap reads."""
    common = {
        "parent": os.getpid(),
        "level": level,
        "client": client,
        "token": token,
        "network": network,
    }
    if level == "namespaces":
        inner = {"task": "/var/task", "opt": "/opt", "runtime": "/var/runtime"}
        mounts = [list(mount) for mount in root_mounts(place, sight, tmp_mb)]
        return {**common, **inner, "root": str(place.root), "mounts": mounts}
    outer = {"task": str(place.task), "opt": str(place.opt or place.root), "runtime": str(place.runtime)}
    readable, writable = allowed(place, sight) if level == "landlock" else ([], [])
    return {**common, **outer, "readable": readable, "writable": writable}


def parent_specification(
    level: Level, place: Place, sight: Sight, *, code: Path, tmp: Path, client: str, network: bool
) -> dict[str, Any]:
    """Return what the guest's parent reads.

    `place` holds no function, and the folder of all its children's private ones as /tmp; `code` holds the packages of
    all functions, `tmp` is the parent's own folder.
    """
    spec = specification(level, place, sight, tmp_mb=_PARENT_TMP_MB, client=client, token="", network=network)
    if level != "namespaces":
        return {**spec, "tmp": str(tmp), "readable": [*spec["readable"], str(code)]}
    more = [["bind", str(code), CODE, "ro"]]
    more += [["bind", f"{place.root}{path}", shown, "rw"] for shown, path in _shown_in_tmp(sight)]
    return {**spec, "tmp": str(_TMP), "mounts": [*spec["mounts"], *more]}


def inner_mounts(task: Path, sight: Sight, tmp_mb: int) -> list[tuple[str, str, str, str]]:
    """Return the steps that make the world of a parent that of its child: what is in /tmp is hidden by the child's."""
    shown = _shown_in_tmp(sight)
    steps = [
        ("bind", f"{CODE}/{task.name}", "/var/task", "ro"),
        ("hide", "", CODE, ""),
        ("tmpfs", "tmpfs", str(_TMP), f"mode=1777,size={tmp_mb}m"),
        ("proc", "proc", "/proc", ""),
    ]
    steps += [("bind", kept, str(path), "rw") for kept, path in shown]
    steps += [("link", str(path.resolve()), str(path), "") for path in linked(sight) if inside(path, _TMP)]
    steps += [("hide", "", kept, "") for kept, _ in shown]
    return steps


def _shown_in_tmp(sight: Sight) -> list[tuple[str, Path]]:
    """Return the visible paths in /tmp, each with the place where a parent keeps it for its children."""
    return [
        (f"/var/shown/{number}", path)
        for number, path in enumerate(path for path in seen(sight) if inside(path, _TMP))
    ]


def root_mounts(place: Place, sight: Sight, tmp_mb: int) -> list[tuple[str, str, str, str]]:
    """Return the steps that build a root, as (kind, source, target, option), in order."""
    steps = [_system(path) for path in _SYSTEM if Path(path).exists()]
    steps += [
        ("bind", str(Path("/etc", name).resolve()), f"/etc/{name}", "ro")
        for name in _ETC
        if Path("/etc", name).exists()
    ]
    steps += [("bind", f"/dev/{name}", f"/dev/{name}", "rw") for name in _DEVICES]
    steps += [("bind", _PROCESSORS, _PROCESSORS, "ro")] if Path(_PROCESSORS).exists() else []
    steps += [("proc", "proc", "/proc", ""), ("link", "/proc/self/fd", "/dev/fd", "")]
    steps.append(("tmpfs", "tmpfs", "/tmp", f"mode=1777,size={tmp_mb}m"))  # noqa: S108 - the environment's own
    prefix = Path(sys.base_prefix).resolve()
    if not any(inside(prefix, Path(path).resolve()) for path in _SYSTEM):
        steps.append(("bind", str(prefix), str(prefix), "ro"))
    steps += [("tmpfs", "tmpfs", str(path), "mode=555,size=4k") for path in _site_packages(prefix)]
    shown = seen(sight)
    steps += [("bind", str(path), str(path), "rw") for path in shown]
    steps += [("link", str(path.resolve()), str(path), "") for path in linked(sight)]
    steps += [_mask(path) for path in _within(shown, sight.hidden)]
    steps += [
        ("bind", str(place.task), "/var/task", "ro"),
        ("bind", str(place.runtime), "/var/runtime", "ro"),
    ]
    steps.append(("bind", str(place.opt or place.root), "/opt", "ro"))
    return steps


def allowed(place: Place, sight: Sight) -> tuple[list[str], list[str]]:
    """Return the paths that Landlock lets be read, and those it lets be changed too."""
    system = [Path(path) for path in _SYSTEM] + [Path("/etc", name) for name in _ETC]
    system += [Path(_PROCESSORS), Path("/proc"), Path(sys.base_prefix)]
    own = [place.task, place.runtime, place.root, *((place.opt,) if place.opt else ())]
    devices = [Path("/dev", name) for name in _DEVICES]
    shown = seen(sight)
    holes = _within(shown, sight.hidden)
    writable = [path for folder in shown for path in carved(folder, holes)]
    return _there([*system, *own]), _there([*devices, place.tmp, *writable])


def _there(paths: Iterable[Path]) -> list[str]:
    return list(dict.fromkeys(str(path) for path in paths if path.exists()))


def _system(path: str) -> tuple[str, str, str, str]:
    if Path(path).is_symlink():
        return "link", str(Path(path).readlink()), path, ""
    return "bind", path, path, "ro"


def _mask(path: Path) -> tuple[str, str, str, str]:
    if path.is_dir():
        return "tmpfs", "tmpfs", str(path), "mode=555,size=4k"
    return "bind", "/dev/null", str(path), "ro"


def _site_packages(prefix: Path) -> list[Path]:
    """Return the folders of installed distributions that a system folder or the interpreter's own would show."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    places = [prefix / "lib" / version / "site-packages", Path("/usr/lib/python3/dist-packages")]
    places += [Path("/usr/local/lib", version, kind) for kind in ("site-packages", "dist-packages")]
    places += [Path("/usr/lib", version, kind) for kind in ("site-packages", "dist-packages")]
    return [path for path in dict.fromkeys(places) if path.is_dir()]
