"""Where the files of a distribution come from: the installed ones where they fit the target, else its wheel.

In: installed distributions, a target, the user's installers. Out: by name, a `Located`, whose files `slim` copies.
Must not fetch anything but `name==version` of what is installed, nor copy what was made for another machine.
Whatever cannot be had is reported at once, each with the nearest version that can.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from graphlambda.errors import TargetError
from graphlambda.packager.installed import Distribution, read_installed
from graphlambda.packager.installers import Fetched, fetch, usable_versions
from graphlambda.packager.loadable import aws_misfit, misfit, unloadable
from graphlambda.packager.machines import described, newer_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from graphlambda.packager.artifact import Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installers import Installers

_AT_ONCE = 4
"""Wheels that are fetched side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """A distribution whose files fit a target."""

    distribution: Distribution
    fetched: bool
    """Whether its files are a wheel's in our cache, not the installed ones."""

    aws_refuses: str
    """Why the files load on this machine only; empty where AWS would load them, too."""


@dataclass(frozen=True, slots=True)
class _Lacking:
    """A distribution that cannot be had for a target."""

    distribution: Distribution
    reason: str
    """Why the installed files will not do."""

    fetched: Fetched
    """Why there is no wheel."""


def located(
    wanted: Iterable[Distribution], target: Target, cache: Cache, installers: Installers
) -> Mapping[str, Located]:
    """Return each distribution with files for a target, by name.

    Raises TargetError with all that cannot be had, PackageError for a wheel that is not honest.
    """
    ordered = sorted(wanted, key=lambda each: each.name)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = list(pool.map(partial(_one, target=target, cache=cache, installers=installers), ordered))
        lacking = [each for each in found if isinstance(each, _Lacking)]
        if lacking:
            remedies = pool.map(partial(_remedy, target=target, installers=installers), lacking)
            raise TargetError(_message(lacking, list(remedies), target))
    return {each.distribution.name: each for each in found if isinstance(each, Located)}


def _one(
    distribution: Distribution, *, target: Target, cache: Cache, installers: Installers
) -> Located | _Lacking:
    reason = misfit(distribution, target)
    if not reason:
        refused = aws_misfit(distribution, target)
        return Located(distribution=distribution, fetched=False, aws_refuses=refused)
    fetched = _fetched(distribution, target, cache, installers)
    if fetched.site is None:
        return _Lacking(distribution, reason, fetched)
    (wheel,) = read_installed([str(fetched.site)]).distributions.values()
    if broken := unloadable(wheel, target):
        return _Lacking(distribution, reason, Fetched(None, f"its wheel cannot load: {broken}"))
    return Located(distribution=wheel, fetched=True, aws_refuses=aws_misfit(wheel, target))


def _fetched(distribution: Distribution, target: Target, cache: Cache, installers: Installers) -> Fetched:
    """Return the wheel in our cache; it is fetched once for a name, version and target."""
    ours = f"py{target.python}-{target.architecture}-{target.glibc or 'native'}"
    final = cache.path("wheels", f"{distribution.name}-{distribution.version}-{ours}")
    if final.is_dir() and _is_whole(final):
        return Fetched(final)
    with cache.scratch() as scratch:
        fetched = fetch(f"{distribution.name}=={distribution.version}", target, installers, scratch)
        if fetched.site is None:
            return fetched
        site = fetched.site
        return Fetched(cache.folder("wheels", final.name, lambda made: _moved(site, made), _is_whole))


def _moved(site: Path, made: Path) -> None:
    made.rmdir()
    site.rename(made)


def _is_whole(site: Path) -> bool:
    found = read_installed([str(site)]).distributions
    return len(found) == 1 and all((site / path).is_file() for each in found.values() for path in each.files)


def _remedy(lacking: _Lacking, *, target: Target, installers: Installers) -> str:
    """Return what to do about a distribution: the nearest version that there is, or how to find out."""
    distribution = lacking.distribution
    again = f"pip install --force-reinstall --no-deps {distribution.name}=={distribution.version}"
    if not (installers.uv or installers.pip):
        return f"Install it from a wheel: {again}"
    versions = usable_versions(distribution.name, target, installers)
    if versions is None:
        return f"Which versions there are is not known: the index could not be asked. Try again, or: {again}"
    nearest = nearest_version(distribution.version, versions)
    if not nearest:
        return "No version of it has a wheel that loads there: do without it in these operations"
    newest = "" if nearest == versions[0] else f" (the newest is {versions[0]})"
    return (
        f"The nearest version with a wheel is {nearest}{newest}: pip install {distribution.name}=={nearest}"
    )


def _other_python(lacking: _Lacking, target: Target) -> str:
    """Return that a later Python would do, where it is the C library's age that keeps files from loading."""
    later = newer_runtime(target)
    if later is None or misfit(lacking.distribution, later):
        return ""
    return f". Or use Python {later.python} or later, for which AWS has glibc {later.glibc}"


def nearest_version(version: str, versions: Sequence[str]) -> str:
    """Return the newest version that is not newer than `version`, else the oldest that is; empty if there is none."""
    try:
        wanted = Version(version)
        known = sorted((Version(each), each) for each in versions)
    except InvalidVersion:
        return versions[0] if versions else ""
    older = [text for each, text in known if each <= wanted]
    return (older[-1:] or [text for _, text in known] or [""])[0]


def _message(lacking: Sequence[_Lacking], remedies: Sequence[str], target: Target) -> str:
    lines = [
        f"  {each.distribution}: {each.reason}. No wheel of this version was found: {each.fetched.reason}. "
        f"{remedy}{_other_python(each, target)}."
        for each, remedy in zip(lacking, remedies, strict=True)
    ]
    what = "a distribution" if len(lines) == 1 else f"{len(lines)} distributions"
    return f"There are no files of {what} that load on {described(target)}:\n" + "\n".join(lines)
