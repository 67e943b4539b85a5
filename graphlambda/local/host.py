"""What the host gives to environments: the folder that stands for /var/runtime, and which isolation works.

In: the state folder. Out: a folder with AWS's runtime client and our guest, made once; the level that was tried.
Must not run a function.
"""

from __future__ import annotations

import compileall
import hashlib
import importlib.util
import json
import os
import platform
import py_compile
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, cast

from graphlambda.errors import LocalLambdaError
from graphlambda.local.plan import Place, Sight, interpreter, specification
from graphlambda.local.settings import LEVELS
from graphlambda.local.unpack import once

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.local.settings import Level, LocalSettings

_TRANSPORT = "runtime_client"
"""The part of awslambdaric that speaks HTTP."""
_CLIENT_MODULES = ("awslambdaric", _TRANSPORT, "simplejson", "snapshot_restore_py")
_BEFORE_THE_CLIENT = {
    "awslambdaric": (
        "awslambdaric.lambda_context",
        "awslambdaric.lambda_runtime_marshaller",
        "http",
        "logging",
        "snapshot_restore_py",
    ),
    "pipelined": ("awslambdaric.__main__", "http", "snapshot_restore_py"),
    "pure": ("graphlambda_guest.pure_client",),
}
_GUEST = "graphlambda_guest"
AFRESH = "graphlambda_afresh"
_AFRESH_SOURCE = Path(__file__).parents[1] / "runtime" / "afresh.py"
"""What our runtime does after AWS restored a snapshot, the guest does after a fork."""
_PROBE_S = 20.0


def architecture() -> str:
    """Return Lambda's name of this machine's architecture."""
    return "arm64" if platform.machine() in {"aarch64", "arm64"} else "x86_64"


def client_kind(wanted: str) -> str:
    """Return which runtime client will be used: AWS's where it is installed and its peer can be known.

    Raises:
        LocalLambdaError: it was asked for by name and is not there.
    """
    usable = sys.platform == "linux" and all(importlib.util.find_spec(name) for name in _CLIENT_MODULES)
    if wanted in {"awslambdaric", "pipelined"} and not usable:
        raise LocalLambdaError(
            "awslambdaric is not installed, or this is not Linux: use client='pure' or 'auto'"
        )
    if wanted == "auto":
        return "pipelined" if usable else "pure"
    return wanted


def client_modules(client: str) -> tuple[str, ...]:
    """Return what a runtime client imports, but for what reads the function's variables when it is imported."""
    return tuple(
        name for name in _BEFORE_THE_CLIENT[client] if client == "pure" or importlib.util.find_spec(name)
    )


def runtime_folder(state: Path, client: str) -> Path:
    """Return a folder with the guest and, if it is used, AWS's client, made unless it is there."""
    guest = Path(__file__).parent / "guest"
    sources = [_module(name) for name in _CLIENT_MODULES if client != "pure"]
    folder = state / "runtime" / _digest(guest, client)

    def fill(into: Path) -> None:
        _copy(guest, into / _GUEST)
        _copy(_AFRESH_SOURCE, into / f"{AFRESH}.py")
        for source in sources:
            if client == "awslambdaric" or not source.name.startswith(_TRANSPORT):
                _copy(source, into / source.name)
        if client == "pipelined":
            _copy(guest / "pipelined.py", into / f"{_TRANSPORT}.py")
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        compileall.compile_dir(into, quiet=2, stripdir=str(into), invalidation_mode=mode)

    once(folder, fill)
    return folder


def command(runtime: Path, module: str = "bootstrap") -> list[str]:
    """Return what starts a module of the guest: an interpreter that sees the standard library and the guest alone.

    Not isolated (`-I`) in name, yet in effect: its variables are the function's own, and PYTHONHASHSEED among
    them must count, or two functions would hash alike keys to different partitions.
    """
    start = f"import sys; sys.path.append(sys.argv[1]); from {_GUEST}.{module} import main; main()"
    return [str(interpreter()), "-P", "-s", "-S", "-B", "-c", start, str(runtime)]


def isolation(settings: LocalSettings, runtime: Path) -> Level:
    """Return the level that is asked for, or the strongest that works here; each is tried.

    Raises:
        LocalLambdaError: the level asked for does not work here, or cannot cut functions off the network.
    """
    levels = LEVELS if settings.isolation == "auto" else (settings.isolation,)
    if not settings.network:
        levels = tuple(level for level in levels if level == "namespaces")
        if not levels:
            raise LocalLambdaError(f"network=False needs isolation='namespaces', not {settings.isolation!r}")
    reasons = []
    for level in levels:
        reason = _why_not(level, settings.state, runtime)
        if not reason:
            return level
        reasons.append(f"{level}: {reason}")
    raise LocalLambdaError(
        f"No isolation of {', '.join(levels)} works on this machine ({'; '.join(reasons)})"
        + ("" if settings.network else "; network=False needs it")
    )


def _why_not(level: Level, state: Path, runtime: Path) -> str:
    """Return why a level does not work here, or nothing if it does."""
    if level != "plain" and sys.platform != "linux":
        return "needs Linux"
    with TemporaryDirectory(dir=state, prefix=".probe-") as name:
        folder = Path(name)
        place = Place(task=folder, opt=None, runtime=runtime, tmp=folder, root=folder)
        spec = specification(level, place, Sight(), tmp_mb=1, client="", token="")
        try:
            done = subprocess.run(
                command(runtime),
                input=json.dumps({**spec, "probe": True}).encode(),
                capture_output=True,
                timeout=_PROBE_S,
                check=False,
                env={},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.decode(errors="replace").strip().splitlines() or [f"exit status {done.returncode}"])[
        -1
    ]


def _module(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    assert spec is not None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(cast("str", spec.origin))


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "tests"))
    else:
        shutil.copy2(source, target)


def _digest(guest: Path, client: str) -> str:
    """Return a name for the folder's contents: our files, AWS's versions, the interpreter's."""
    hashed = hashlib.sha256(f"{sys.version}\n{client}\n{os.uname().machine}".encode())
    for path in (*sorted(guest.glob("*.py")), _AFRESH_SOURCE):
        hashed.update(path.name.encode() + b"\0" + path.read_bytes())
    for line in _versions(("awslambdaric", "simplejson", "snapshot-restore-py")):
        hashed.update(line.encode())
    return hashed.hexdigest()[:32]


def _versions(distributions: Iterable[str]) -> Iterable[str]:
    for name in distributions:
        try:
            yield f"{name}=={version(name)}"
        except PackageNotFoundError:
            yield f"{name}: absent"
