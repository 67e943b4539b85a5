"""Whether the files of a distribution will do on a target, and if not, why.

In: an installed or fetched distribution, a target. Out: the reason, or nothing. Must not fetch or copy.

The shared objects decide, not the tags of their wheel: a tag may promise less than the files keep. Tags tell what
was never meant to travel.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from graphlambda.packager.artifact import Target
from graphlambda.packager.elf_needs import Needs, needs_of
from graphlambda.packager.installed import Distribution, Origin, tags_of
from graphlambda.packager.machines import LINUX_NAMES, is_this_machine, managed_glibc, numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SHARED_OBJECT = re.compile(r"\.so(\.|$)")
"""What the name of a file says that may be one."""


def misfit(distribution: Distribution, target: Target) -> str:
    """Return why the installed files will not do on a target; empty if they will."""
    if distribution.origin in (Origin.CONDA, Origin.UNRECORDED):
        return f"it was installed by {distribution.origin.value}, whose files are made for this machine"
    if missing := next(
        (path for path in distribution.files if not (distribution.root / path).exists()), None
    ):
        return f"the installed files are damaged: {missing} is missing"
    here = is_this_machine(target)
    return ("" if here else foreign_tags(tags_of(distribution), target)) or unloadable(distribution, target)


def aws_misfit(distribution: Distribution, target: Target) -> str:
    """Return why what loads on this machine would not load on AWS; empty if it would, or if no target is this machine."""
    if not is_this_machine(target):
        return ""
    return misfit(
        distribution,
        Target(
            python=target.python,
            architecture=target.architecture,
            glibc=managed_glibc(target.python),
        ),
    )


def foreign_tags(tags: Iterable[str], target: Target) -> str:
    """Return why wheels with these tags are not meant for a target; empty if they are, or if there are no tags."""
    platforms = {platform for tag in tags for platform in tag.rpartition("-")[2].split(".")}
    machine = f"_{LINUX_NAMES[target.architecture]}"
    if not platforms or "any" in platforms or any(_is_manylinux(each, machine) for each in platforms):
        return ""
    named = ", ".join(sorted(platforms))
    if f"linux{machine}" in platforms:
        return f"it was built on this machine (its wheel is tagged {named}), so what it links to may be here only"
    return f"its files are for {named}"


def _is_manylinux(platform: str, machine: str) -> bool:
    return platform.startswith("manylinux") and platform.endswith(machine)


def unloadable(distribution: Distribution, target: Target) -> str:
    """Return which shared object cannot load on a target, and what it needs; empty if all can.

    Objects for several processors are data to choose from. A wheel for any machine is not judged by what lies in it:
    its modules are, when they are reached.
    """
    objects = shared_objects(distribution)
    if not target.glibc or not objects or any(tag.endswith("-any") for tag in tags_of(distribution)):
        return ""
    loadable = {path: needs for path, needs in objects.items() if needs.machine == target.architecture}
    if not loadable:
        path, needs = next(iter(objects.items()))
        return f"{path} is for {needs.machine or 'no machine: it is damaged'}"
    path, needs = max(loadable.items(), key=lambda item: numbers(item[1].glibc))
    return needs_newer(path, needs, target)


def needs_newer(path: str, needs: Needs, target: Target) -> str:
    """Return that a shared object needs a newer C library than a target has; empty if it does not."""
    if numbers(needs.glibc) <= numbers(target.glibc):
        return ""
    return f"{path} needs glibc {needs.glibc}"


def shared_objects(distribution: Distribution) -> Mapping[str, Needs]:
    """Return the needs of each shared object of a distribution, by path, sorted."""
    return _objects(distribution, distribution.record_digest)


@lru_cache(maxsize=1024)
def _objects(distribution: Distribution, _record_digest: str) -> Mapping[str, Needs]:
    paths = filter(SHARED_OBJECT.search, distribution.files)
    found = ((path, needs_of(distribution.root / path)) for path in paths)
    return {path: needs for path, needs in found if needs is not None}
