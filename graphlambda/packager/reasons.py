"""Why an operation needs a distribution: the evidence that asked for it, and the chain from there.

In: an operation, its program, what is installed and learnt. Out: reasons by distribution, for a person. Must not
build, nor decide what is needed: that is `requirements`'.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.requirements import Requirement as Specifier
from packaging.utils import canonicalize_name

from graphlambda.compiler.places import makers_of, place_of, places_of
from graphlambda.packager.evidence import gathered
from graphlambda.packager.memory import learnt
from graphlambda.packager.requirements import asked_by, reached_by, read_needs, requirement_graph
from graphlambda.packager.words import meanings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphlambda.compiler.places import Place
    from graphlambda.compiler.program import Operation, Program
    from graphlambda.packager.artifact import Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installed import Installed

_MOST = 3
"""Reasons that are told of one distribution: the first ones say enough."""


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """One piece of evidence that asks for a distribution."""

    rank: int
    """Lower is more telling: code, values, rules, what was found out, requirements of requirements."""

    what: str
    """Such as `imports numpy.linalg`."""

    where: str = ""
    """File and line; empty where the evidence has none."""

    def __str__(self) -> str:
        return f"{self.what} ({self.where})" if self.where else self.what


@dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """What reasons are looked for in."""

    operation: Operation
    program: Program
    installed: Installed
    target: Target
    cache: Cache
    extra: tuple[str, ...] = ()
    safe: bool = False


def reasons_of(inquiry: Inquiry) -> dict[str, tuple[Reason, ...]]:
    """Return by distribution why it is needed, the most telling first.

    Raises MissingDistributionError as `build` does.
    """
    asked = inquiry.installed, inquiry.target, inquiry.cache
    (evidence,) = gathered([inquiry.operation], *asked, extra=inquiry.extra, safe=inquiry.safe)
    graph = requirement_graph(evidence, inquiry.installed, inquiry.target, inquiry.extra)
    found: dict[str, set[Reason]] = {name: set() for name in sorted(reached_by(graph))}
    for name, reason in _direct(inquiry, evidence, frozenset(found)):
        found.setdefault(name, set()).add(reason)
    for name, reasons in found.items():
        if not reasons:
            reasons.add(Reason(4, f"required: {asked_by(graph, name)}"))
    return {name: _telling(reasons) for name, reasons in found.items()}


def _telling(reasons: Iterable[Reason]) -> tuple[Reason, ...]:
    """Return the first reason of each kind and place, the most telling first."""
    first: dict[tuple[int, str], Reason] = {}
    for reason in sorted(reasons):
        first.setdefault((reason.rank, reason.where), reason)
    return tuple(first.values())[:_MOST]


def _direct(
    inquiry: Inquiry, evidence: frozenset[str], reached: frozenset[str]
) -> Iterator[tuple[str, Reason]]:
    """Yield (distribution, reason) of all that evidence asks for by itself."""
    places = places_of(inquiry.operation)
    witnesses = _witnesses(inquiry, places, reached)
    for module in sorted(evidence):
        reason = witnesses.get(module) or _of_module(module, inquiry, places)
        yield from ((name, reason) for name in inquiry.installed.providers(module))
    for need in read_needs():
        covered = sorted(filter(need.covers, evidence))
        if covered:
            where = _where(place_of(covered[0], places))
            reason = Reason(2, f"{need.module} needs it: {need.reason}", where)
            yield from (
                (name, reason) for name in need.distributions if name in inquiry.installed.distributions
            )
    for text in inquiry.extra:
        yield canonicalize_name(Specifier(text).name), Reason(0, f"named in requirements= as {text}")


def _witnesses(
    inquiry: Inquiry, places: Mapping[str, tuple[Place, ...]], reached: frozenset[str]
) -> dict[str, Reason]:
    """Return by module why it is evidence, where a single witness says so."""
    operation = inquiry.operation
    words = meanings(operation.words, reached, inquiry.installed)
    found = {each.module: Reason(2, f"the word {each.word!r}: {each.reason}") for each in words}
    makers = makers_of(operation, inquiry.program)
    for module in operation.value_imports:
        found[module] = Reason(1, f"un-pickles {module} of {makers.get(module, 'its inputs')}")
    for module in operation.imports:
        if place := place_of(module, places):
            found[module] = Reason(0, f"imports {module}", str(place))
        else:
            found.setdefault(module, Reason(1, f"{module}: what its code makes may need it"))
    return found


def _of_module(module: str, inquiry: Inquiry, places: Mapping[str, tuple[Place, ...]]) -> Reason:
    if place := place_of(module, places):
        return Reason(0, f"imports {module}", _where(place))
    if module in learnt(inquiry.cache, inquiry.operation):
        return Reason(3, f"{module} was missing when it was proved or run")
    if inquiry.safe:
        return Reason(3, f"{module} is seen to be imported here (deps=safe)")
    return Reason(3, f"{module} follows from what it imports")


def _where(place: Place | None) -> str:
    return "" if place is None else str(place)
