"""An operation on its way to an artifact: the nouns `Bench`, `Part`, `Case` and `Built`.

In: an operation and what is known of it. Out: which distributions it needs, and the key under which its
artifact is remembered. Must not copy, prove or zip.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING

from graphlambda.packager.archive import DECODER, Archive
from graphlambda.packager.artifact import this_target
from graphlambda.packager.installers import NO_INSTALLERS, Installers
from graphlambda.packager.levels import AWS, UNLIMITED, Limits
from graphlambda.packager.machines import runs_here
from graphlambda.packager.prune import spared
from graphlambda.packager.requirements import pinned, requirement_graph
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from graphlambda.compiler.program import Operation
    from graphlambda.packager.artifact import Level, Requirement, Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installed import Installed
    from graphlambda.packager.layers import PlannedLayer
    from graphlambda.packager.recipes import Recipes
    from graphlambda.packager.trees import Tree

OnProgress = Callable[[str, int, int], None]
"""What is being done, how much of it is done, of how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all operations of one build share."""

    target: Target
    installed: Installed
    recipes: Recipes
    cache: Cache
    runtime: Tree
    runtime_digest: str
    extra: tuple[str, ...]
    """Distributions that every operation gets."""

    on_progress: OnProgress
    limits: Limits = AWS
    installers: Installers = NO_INSTALLERS
    """What fetches a distribution whose installed files will not do."""


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """A distribution, and which of its modules must not be left out."""

    requirement: Requirement
    wanted: tuple[str, ...]
    bare: bool = False
    """Whether its modules travel as byte code alone."""


@dataclass(frozen=True, slots=True)
class Case:
    """An operation with what is known of it so far."""

    operation: Operation
    evidence: frozenset[str]
    """Modules that it needs."""

    parts: tuple[Part, ...]
    """What follows from the evidence, sorted."""

    level: Level = "default"


@dataclass(frozen=True, slots=True)
class Built:
    """An artifact that is not proved or zipped yet."""

    case: Case
    tree: Tree
    layers: tuple[PlannedLayer, ...]
    archive: Archive | None = None
    """What some of the layers hold the pieces of."""


def home_of(bench: Bench) -> Bench:
    """Return the bench on which artifacts are imported: itself, or where this machine cannot, one for this machine."""
    return bench if runs_here(bench.target) else replace(bench, target=this_target(), limits=UNLIMITED)


def case_of(operation: Operation, evidence: Collection[str], bench: Bench, level: Level = "default") -> Case:
    """Return an operation with the distributions that follow from the evidence, and from how tight it is packed."""
    extra = (*bench.extra, DECODER) if level.startswith("archive") else bench.extra
    graph = requirement_graph(evidence, bench.installed, bench.target, extra)
    parts = (_part(requirement, evidence, bench) for requirement in pinned(graph, bench.installed))
    packed = tuple(replace(part, bare=level == "bare") for part in parts)
    return Case(operation, frozenset(evidence), packed, level)


def own_bytes(case: Case, bench: Bench) -> int:
    """Return about how large the function's own files will be, unzipped."""
    operation = case.operation
    files = sum(len(file.content) for file in operation.files)
    return bench.runtime.size_bytes + len(operation.source) + len(operation.code) + files


def with_sources(case: Case, distributions: Collection[str]) -> Case | None:
    """Return a case in which some distributions keep their source, or None if they all have it."""
    parts = tuple(
        replace(part, bare=part.bare and part.requirement.distribution not in distributions)
        for part in case.parts
    )
    return None if parts == case.parts else replace(case, parts=parts)


def key_of_case(case: Case, bench: Bench) -> str:
    """Return 64 hexadecimal digits that stand for everything that an artifact follows from."""
    operation = case.operation
    records = (
        bench.installed.distributions[part.requirement.distribution].record_digest for part in case.parts
    )
    parts = (f"{record} {part.wanted}" for record, part in zip(records, case.parts, strict=True))
    files = (f"{file.path} {hashlib.sha256(file.content).hexdigest()}" for file in operation.files)
    own = operation.id, operation.name, operation.source
    ours = bench.recipes.digest, bench.runtime_digest, *astuple(bench.target)
    limits = str(bench.limits)
    return key_of(*own, *files, *sorted(case.evidence), *parts, *ours, limits)


def _part(requirement: Requirement, evidence: Collection[str], bench: Bench) -> Part:
    distribution = bench.installed.distributions[requirement.distribution]
    return Part(requirement, spared(distribution.files, bench.recipes.of(distribution.name), evidence))
