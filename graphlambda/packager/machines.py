"""Machines that functions run on: this one, and AWS's managed runtimes.

In: nothing, or a target. Out: architectures, versions of the C library, platform tags. Must not look at files of
distributions.
"""

from __future__ import annotations

import platform
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphlambda.packager.artifact import Target

ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
"""Lambda's names, by what `platform.machine()` says."""

LINUX_NAMES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""How Linux, and with it the tags of wheels, names an architecture."""

_SYSTEMS = {
    "3.11": ("2.26", "Amazon Linux 2"),
    "3.12": ("2.34", "Amazon Linux 2023"),
    "3.13": ("2.34", "Amazon Linux 2023"),
}
"""What the managed runtimes stand on: glibc and its system.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html"""

PYTHONS = tuple(_SYSTEMS)
"""Minor versions of Python that functions can have."""

_OLDEST_MINOR = {"x86_64": 5, "arm64": 17}
"""glibc 2.5 is manylinux1, 2.17 the first with an arm64 policy: https://peps.python.org/pep-0600/"""

_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}


def this_python() -> str:
    """Return the minor version of this interpreter, such as `3.11`."""
    return "{}.{}".format(*sys.version_info[:2])


def this_architecture() -> str:
    """Return Lambda's name of this machine's architecture; the machine's own where Lambda has none."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine.lower(), machine)


def this_glibc() -> str:
    """Return the version of this machine's C library, such as `2.36`; empty where it is not glibc."""
    return glibc_of(" ".join(platform.libc_ver()))


def glibc_of(libc: str) -> str:
    """Return the version of a C library such as `glibc 2.36`; empty where it is not glibc."""
    name, _, version = libc.partition(" ")
    return version if name == "glibc" else ""


def managed_glibc(python: str) -> str:
    """Return the glibc of AWS's managed runtime for a minor version of Python."""
    return _SYSTEMS[python][0]


def newer_runtime(target: Target) -> Target | None:
    """Return the first managed runtime, of a later Python, whose C library is newer than a target's; None if none is."""
    for python, (glibc, _) in _SYSTEMS.items():
        if numbers(python) > numbers(target.python) and numbers(glibc) > numbers(target.glibc):
            return replace(target, python=python, glibc=glibc)
    return None


def runs_here(target: Target) -> bool:
    """Say whether this machine can import what is built for a target; else it is proved statically."""
    return target.architecture == this_architecture()


def proof_of(target: Target) -> str:
    """Return how artifacts for a target are proved: `imported` in isolation, or `static`."""
    return "imported" if runs_here(target) else "static"


def is_this_machine(target: Target) -> bool:
    """Say whether a target is the local Lambda's: what loads here loads there, system libraries included."""
    return runs_here(target) and target.glibc == this_glibc()


def described(target: Target) -> str:
    """Return a target in words, for messages."""
    if is_this_machine(target):
        return (
            f"this machine ({target.architecture}, {f'glibc {target.glibc}' if target.glibc else 'no glibc'})"
        )
    glibc, system = _SYSTEMS.get(target.python, ("", ""))
    named = f", {system}" if glibc == target.glibc else ""
    return f"Python {target.python} on {target.architecture} with glibc {target.glibc}{named}"


def numbers(version: str) -> tuple[int, ...]:
    """Return `2.34` as (2, 34), to compare versions of glibc."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def platform_tags(target: Target) -> tuple[str, ...]:
    """Return every platform tag whose wheels load on a target, the newest first: pip takes no tag for another."""
    machine, minor = LINUX_NAMES[target.architecture], numbers(target.glibc or "2.17")[1]
    tags = []
    for each in range(minor, _OLDEST_MINOR[target.architecture] - 1, -1):
        tags.append(f"manylinux_2_{each}_{machine}")
        if each in _OLD_NAMES:
            tags.append(f"{_OLD_NAMES[each]}_{machine}")
    return tuple(tags)
