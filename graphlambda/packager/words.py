"""What words of an operation mean: `engine="h5netcdf"`, `s3://`, a codec's name, a file's suffix.

In: words, the distributions that are reached already, what is installed. Out: the modules that they name, each
with its word and reason. Must not import a module: entry points are read from metadata.

A word means something only to those who read it: `blosc` in an operation that never reaches Zarr is a text.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from graphlambda.packager.installed import Distribution, Installed


@dataclass(frozen=True, slots=True)
class Rule:
    """What words mean to some distributions."""

    words: frozenset[str]
    owners: frozenset[str]
    """The distributions that read them; one of them must be reached."""

    modules: tuple[str, ...]
    first: bool
    """Only the first of the modules that is installed, as the owner tries them."""

    reason: str


@dataclass(frozen=True, slots=True)
class Group:
    """A group of entry points, whose names are words to the distribution that owns it."""

    group: str
    owner: str


@dataclass(frozen=True, slots=True, order=True)
class Meaning:
    """A module that a word names."""

    module: str
    word: str
    reason: str


@lru_cache(maxsize=1)
def read_rules() -> tuple[tuple[Rule, ...], tuple[Group, ...]]:
    """Return the reviewed rules and groups of `needs.toml`."""
    with (Path(__file__).parent / "needs.toml").open("rb") as file:
        read = tomllib.load(file)
    rules = tuple(
        Rule(
            words=frozenset(rule["words"]),
            owners=frozenset(rule["owners"]),
            modules=tuple(rule["modules"]),
            first=rule.get("first", False),
            reason=rule["reason"],
        )
        for rule in read["word"]
    )
    return rules, tuple(Group(each["group"], each["owner"]) for each in read["group"])


def meanings(words: Collection[str], reached: Collection[str], installed: Installed) -> tuple[Meaning, ...]:
    """Return what words mean to the distributions that are reached, sorted; only what is installed."""
    rules, groups = read_rules()
    known = frozenset(words)
    found = {meaning for rule in rules for meaning in _by_rule(rule, known, reached, installed)}
    for group in groups:
        if group.owner in reached:
            found.update(_by_group(group, known, installed))
    return tuple(sorted(found))


def _by_rule(
    rule: Rule, words: frozenset[str], reached: Collection[str], installed: Installed
) -> Iterator[Meaning]:
    said = rule.words & words
    if said and not rule.owners.isdisjoint(reached):
        there = [module for module in rule.modules if installed.providers(module)]
        for module in there[:1] if rule.first else there:
            yield Meaning(module, min(said), rule.reason)


def _by_group(group: Group, words: frozenset[str], installed: Installed) -> Iterator[Meaning]:
    """What the owner itself provides comes with it, and is imported as it is needed."""
    for distribution in installed.distributions.values():
        if distribution.name != group.owner:
            for name, module in _entries(distribution, group.group):
                if (word := _said(name, words)) and installed.providers(module):
                    reason = f"an entry point of {distribution.name} in {group.group}"
                    yield Meaning(module, word, reason)


def _said(name: str, words: frozenset[str]) -> str:
    return next((word for word in (name, f"{name}://") if word in words), "")


def _entries(distribution: Distribution, group: str) -> Iterable[tuple[str, str]]:
    found = _entry_points(str(distribution.info), distribution.record_digest)
    return ((name, module) for its_group, name, module in found if its_group == group)


@lru_cache(maxsize=4096)
def _entry_points(info: str, _record_digest: str) -> tuple[tuple[str, str, str], ...]:
    """Return (group, name, module) of a distribution's entry points."""
    points = PathDistribution(Path(info)).entry_points
    return tuple((point.group, point.name, point.module) for point in points)
