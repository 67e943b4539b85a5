"""The user's own uv and pip: they fetch wheels from the user's own indexes, and say which versions have one.

In: a name and version, a target. Out: a folder like site-packages, or why there is none. Must not open a
connection of its own, choose an index, nor build from source.

uv knows nothing of pip's configuration, so what pip would use is passed on: in environment variables, since an
index's address may hold a password. https://docs.astral.sh/uv/pip/compatibility/
"""

from __future__ import annotations

import ast
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from graphlambda.packager.machines import LINUX_NAMES, numbers, platform_tags
from graphlambda.packager.wheels import unpack_wheel

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from graphlambda.packager.artifact import Target

_FETCH_S = 600
"""A wheel of a gigabyte over a slow line."""

_ASK_S = 90
_UV_GLIBC_MINORS = (17, 28, *range(31, 41))
"""Of glibc 2.x, the platforms that uv has a name for; a wheel for one between is left to pip."""

_PASSED_ON = {
    "index-url": ("UV_DEFAULT_INDEX", ("UV_INDEX_URL",)),
    "extra-index-url": ("UV_INDEX", ("UV_EXTRA_INDEX_URL",)),
    "find-links": ("UV_FIND_LINKS", ()),
    "trusted-host": ("UV_INSECURE_HOST", ()),
    "cert": ("SSL_CERT_FILE", ()),
    "proxy": ("ALL_PROXY", ()),
    "timeout": ("UV_HTTP_TIMEOUT", ("UV_REQUEST_TIMEOUT",)),
    "default-timeout": ("UV_HTTP_TIMEOUT", ("UV_REQUEST_TIMEOUT",)),
}
"""By setting of pip, uv's variable, and older names of it. Whoever has set those has told uv already."""

_YES = {"1", "true", "yes", "on", "y", "t"}
_NO_ANSWER = re.compile(
    r"Retrying \(|Could not fetch|Failed to fetch|error sending request|network was disabled|no answer in|HTTP error"
)
_RELEASE = re.compile(r"[\d.!]+(\.post\d+)?(\+[\w.]+)?")
"""What is no pre-release."""

_PASSWORD = re.compile(r"://[^/@\s]+@")


@dataclass(frozen=True, slots=True)
class Installers:
    """The commands that fetch wheels, and what they are run with."""

    uv: tuple[str, ...] = ()
    """Empty if there is none."""

    pip: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the user's session: settings of indexes, and perhaps their passwords."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came of an attempt to fetch a wheel."""

    site: Path | None
    """A folder like site-packages that holds one distribution; None if it could not be had."""

    reason: str = ""
    answered: bool = True
    """False: nobody could be asked, so nothing is known of what there is."""


NO_INSTALLERS = Installers()
"""Nothing is fetched: what the installed files cannot give is an error."""


def user_installers(environment: Mapping[str, str]) -> Installers:
    """Return the user's installers: modules of this interpreter, or programs on the PATH."""
    return Installers(_found("uv", environment), _found("pip", environment), environment)


def fetch(requirement: str, target: Target, installers: Installers, folder: Path) -> Fetched:
    """Fetch the wheel of one `name==version` for a target: with uv, else with pip."""
    if not installers.uv and not installers.pip:
        return Fetched(
            None, "neither uv nor pip is installed here to fetch it (pip install uv)", answered=False
        )
    with_uv = _with_uv(requirement, target, installers, folder / "uv") if installers.uv else None
    if (with_uv and with_uv.site) or not installers.pip:
        return with_uv or Fetched(None)
    with_pip = _with_pip(requirement, target, installers, folder / "pip")
    return with_pip if with_pip.site or not with_uv or with_pip.answered else with_uv


def usable_versions(name: str, target: Target, installers: Installers) -> tuple[str, ...] | None:
    """Return versions of a distribution that have a wheel for a target, the newest first; None if nobody could be asked.

    pip lists all, as those that do not meet what is asked (`pip index` of many a pip counts sources, too); uv says the
    newest one only.
    """
    if installers.pip:
        options = ["download", "--no-deps", *_pip_options(target), f"{name}<0"]
        alone = {**_pip_environment(installers), "PIP_CONSTRAINT": os.devnull}
        ended = _run([*installers.pip, *options], alone, _ASK_S)
        listed = re.search(r"\(from versions: (?!none)(.*?)\)", ended.stderr)
        found = _versions(listed[1] if listed else "", ended)
        return found and tuple(filter(_RELEASE.fullmatch, reversed(found)))
    if installers.uv:
        ended = _run_uv([*_uv_options(target), "--dry-run", name], installers, _ASK_S)
        planned = re.search(r"^ \+ [^=\s]+==(\S+)", ended.stdout + ended.stderr, re.MULTILINE)
        return _versions(planned[1] if planned else "", ended)
    return None


def uv_environment(settings: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that make uv use what pip's settings say, save where the user has told uv otherwise."""
    passed: dict[str, str] = {}
    for setting, value in settings.items():
        variable, others = _PASSED_ON.get(setting, ("", ()))
        if variable and value and not any(given.get(name) for name in (variable, *others)):
            passed[variable] = ",".join(value.split()) if setting == "find-links" else " ".join(value.split())
    if "UV_INDEX" in passed:  # pip looks into all indexes alike, and what it installed may come from any
        passed["UV_INDEX_STRATEGY"] = given.get("UV_INDEX_STRATEGY") or "unsafe-best-match"
    return {"UV_HTTP_RETRIES": "1", **given, **passed}


def _found(name: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    if importlib.util.find_spec(name):
        return (sys.executable, "-P", "-m", name)  # not the module of that name in the working directory
    program = shutil.which(name, path=environment.get("PATH", ""))
    return (program,) if program else ()


def _with_uv(requirement: str, target: Target, installers: Installers, folder: Path) -> Fetched:
    """Install into a prefix: scripts and data then lie outside site-packages, as in an environment."""
    ended = _run_uv([*_uv_options(target), "--prefix", str(folder), requirement], installers, _FETCH_S)
    site = next(folder.glob("**/*.dist-info"), None)
    return _outcome(site.parent if site else None, ended)


def _with_pip(requirement: str, target: Target, installers: Installers, folder: Path) -> Fetched:
    command = [
        *installers.pip,
        "download",
        "--no-deps",
        "--dest",
        str(folder),
        *_pip_options(target),
        requirement,
    ]
    ended = _run(command, _pip_environment(installers), _FETCH_S)
    wheel = next(folder.glob("*.whl"), None)
    return _outcome(unpack_wheel(wheel, folder / "site") if wheel else None, ended)


def _outcome(site: Path | None, ended: subprocess.CompletedProcess[str]) -> Fetched:
    if ended.returncode == 0 and site:
        return Fetched(site)
    lines = [line.strip() for line in ended.stderr.splitlines() if line.strip() and "WARNING" not in line]
    said = _PASSWORD.sub("://****@", " ".join(lines[-3:]))[:500]
    return Fetched(None, said or "no answer", answered=not _NO_ANSWER.search(ended.stderr))


def _versions(listed: str, ended: subprocess.CompletedProcess[str]) -> tuple[str, ...] | None:
    if not listed and _NO_ANSWER.search(ended.stderr):
        return None
    return tuple(version.strip() for version in listed.split(",") if version.strip())


def _run_uv(
    options: Sequence[str], installers: Installers, timeout_s: float
) -> subprocess.CompletedProcess[str]:
    settings = pip_settings(installers)
    alone = (
        ["--no-index"] if settings.get("no-index", "").lower() in _YES else []
    )  # uv has no variable for it
    environment = uv_environment(settings, installers.environment)
    return _run([*installers.uv, "pip", "install", *alone, *options], environment, timeout_s)


def _uv_options(target: Target) -> list[str]:
    options = ["--python", sys.executable, "--no-deps", "--no-compile-bytecode", "--only-binary", ":all:"]
    return [*options, "--link-mode", "copy", "--no-progress", *_uv_platform(target)]


def _uv_platform(target: Target) -> list[str]:
    if not target.glibc:
        return []
    minor = max(each for each in _UV_GLIBC_MINORS if each <= max(17, numbers(target.glibc)[1]))
    platform = f"{LINUX_NAMES[target.architecture]}-manylinux_2_{minor}"
    return ["--python-platform", platform, "--python-version", target.python]


def _pip_options(target: Target) -> list[str]:
    options = ["--only-binary=:all:", "--no-input", "--disable-pip-version-check"]
    if not target.glibc:
        return options
    platforms = [f"--platform={tag}" for tag in platform_tags(target)]
    return [*options, *platforms, "--implementation=cp", f"--python-version={target.python}"]


def _pip_environment(installers: Installers) -> dict[str, str]:
    """One retry, so that an index out of reach is known in seconds; no environment is touched, so none is required."""
    return {**installers.environment, "PIP_RETRIES": "1", "PIP_REQUIRE_VIRTUALENV": "0"}


def pip_settings(installers: Installers) -> dict[str, str]:
    """Return pip's own settings: its files' global and install sections, and its variables, which win."""
    listed: dict[str, dict[str, str]] = {"global": {}, "install": {}}
    if installers.pip:
        ended = _run([*installers.pip, "config", "list"], installers.environment, _ASK_S)
        for section, key, value in re.findall(r"^(\w+)\.([\w-]+)=('.*'|\".*\")$", ended.stdout, re.MULTILINE):
            listed.setdefault(section, {})[key] = str(ast.literal_eval(value))
    variables = {
        name.removeprefix("PIP_").lower().replace("_", "-"): value
        for name, value in installers.environment.items()
        if name.startswith("PIP_")
    }
    return listed["global"] | listed["install"] | variables


def _run(
    command: Sequence[str], environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer in {timeout_s:.0f} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]} did not start: {error}")
