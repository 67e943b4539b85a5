"""Which distributions an operation needs, from evidence.

In: the modules that an operation names (its code's imports, and what un-pickling its inputs imports) and
what is installed. Out: requirements, pinned at the installed versions, and who asked for each. Must not
import a module or run the user's code: the proof (see `proof`) finds out what evidence cannot know, as more
modules.
"""

from __future__ import annotations

import importlib.machinery
import platform
import sys
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement
from packaging.requirements import Requirement as Specifier
from packaging.utils import canonicalize_name

from graphlambda.errors import MissingDistributionError
from graphlambda.packager.artifact import Requirement, Target
from graphlambda.packager.imports import imports_of
from graphlambda.packager.installed import (
    Distribution,
    Installed,
    Origin,
    module_of,
    requires_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphlambda.compiler.program import LocalFile, Operation

_OURS = frozenset({"graphlambda_runtime", "graphlambda_operation", "__main__", "__mp_main__"})
"""In every function already, or not a file at all."""

_EVIDENCE = ""
"""The node of the requirement graph that stands for the operation itself."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a module needs beyond its distribution's metadata."""

    module: str
    distributions: tuple[str, ...]
    reason: str

    def covers(self, module: str) -> bool:
        """Say whether the rule holds for a module."""
        return module == self.module or module.startswith(f"{self.module}.")


@lru_cache(maxsize=1)
def read_needs() -> tuple[Need, ...]:
    """Return the reviewed rules of `needs.toml`."""
    with (Path(__file__).parent / "needs.toml").open("rb") as file:
        rules = tomllib.load(file)["need"]
    return tuple(Need(rule["module"], tuple(rule["distributions"]), rule["reason"]) for rule in rules)


def evidence_of(operation: Operation) -> frozenset[str]:
    """Return the modules that an operation is known to need, its own and the standard library's aside."""
    local = _local_modules(operation.files)
    return frozenset(
        module
        for module in (*operation.imports, *operation.value_imports, *imports_of(operation.files))
        if module not in local and not _given(module)
    )


def requirements_of(
    operation: Operation, installed: Installed, target: Target, extra: Iterable[str] = ()
) -> tuple[Requirement, ...]:
    """Return what an operation needs by evidence alone, sorted; what `build` proves may add to it.

    Raises MissingDistributionError for what is imported here yet is no distribution's.
    """
    return pinned(requirement_graph(evidence_of(operation), installed, target, extra), installed)


def requirement_graph(
    evidence: Iterable[str], installed: Installed, target: Target, extra: Iterable[str] = ()
) -> nx.DiGraph:
    """Return who asks for which distribution: evidence → modules' distributions → their Requires-Dist."""
    environment = marker_environment(target)
    graph = nx.DiGraph()
    graph.add_node(_EVIDENCE)
    pending = [*_roots(sorted(evidence), installed), *_extra(extra, installed, environment)]
    graph.add_edges_from((_EVIDENCE, node) for node in pending)
    while pending:
        node = pending.pop()
        for child in _children(node, installed, environment):
            if child not in graph:
                pending.append(child)
            graph.add_edge(node, child)
    return graph


def pinned(graph: nx.DiGraph, installed: Installed) -> tuple[Requirement, ...]:
    """Return the distributions of a requirement graph at their installed versions, sorted."""
    names = {_base(node) for node in graph if node != _EVIDENCE}
    found = (installed.distributions[name] for name in sorted(names))
    return tuple(Requirement(each.name, each.version) for each in found if _copied(each))


def reached_by(graph: nx.DiGraph) -> frozenset[str]:
    """Return the names of the distributions in a requirement graph, the user's own editable ones included."""
    return frozenset(_base(node) for node in graph if node != _EVIDENCE)


def asked_by(graph: nx.DiGraph, distribution: str) -> str:
    """Return the shortest chain of requirements that leads to a distribution, such as `dask → click`."""
    if distribution not in graph:
        return distribution
    chain = nx.shortest_path(graph, _EVIDENCE, distribution)[1:]
    return " → ".join(chain)


@lru_cache(maxsize=16)
def marker_environment(target: Target) -> Mapping[str, str]:
    """Return what environment markers are evaluated against: a function, not this machine."""
    here = {key: str(value) for key, value in default_environment().items()}
    return {
        **here,  # the interpreter's own version: the target's minor is the same
        "os_name": "posix",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "aarch64" if target.architecture == "arm64" else "x86_64",
        "platform_python_implementation": platform.python_implementation(),
        "platform_release": "",
        "platform_version": "",
    }


def _given(module: str) -> bool:
    top = module.partition(".")[0]
    return top in sys.stdlib_module_names or top in _OURS


def _local_modules(files: Iterable[LocalFile]) -> frozenset[str]:
    """Return the modules of the user's own files and the packages that they are in."""
    found = set()
    for file in files:
        module = module_of(file.path) or ""
        while module:
            found.add(module)
            module = module.rpartition(".")[0]
    return frozenset(found)


def _roots(evidence: list[str], installed: Installed) -> list[str]:
    exact = (module for module in evidence if not _is_way(module, evidence, installed))
    found = {name: None for module in exact for name in _providers(module, installed)}
    needed = (need for need in read_needs() if any(map(need.covers, evidence)))
    found |= {name: None for need in needed for name in need.distributions if name in installed.distributions}
    return list(found)


def _is_way(module: str, evidence: list[str], installed: Installed) -> bool:
    """Tell whether a module is a namespace that only leads to others: its further parts are not asked for."""
    return module in installed.namespaces and any(each.startswith(f"{module}.") for each in evidence)


def _providers(module: str, installed: Installed) -> tuple[str, ...]:
    """A module that nobody has is the code's own affair: it would be missing here, too."""
    names = installed.providers(module)
    top = module.partition(".")[0]
    if not names and not installed.providers(top):
        spec = importlib.machinery.PathFinder.find_spec(top, list(installed.paths))
        if spec is not None:
            raise MissingDistributionError(
                f"The module {module} is imported from {spec.origin or spec.name}, which belongs to no installed "
                "distribution and is not among the operation's own files. Install it with pip, or import it from "
                "the folder of your script."
            )
    return names


def _extra(extra: Iterable[str], installed: Installed, environment: Mapping[str, str]) -> list[str]:
    """Return the nodes of what the user adds: `name`, `name[extra]`, `name==version` as it is installed."""
    nodes = []
    for text in extra:
        wanted = _named_by_the_user(text)
        name = canonicalize_name(wanted.name)
        if not _holds(wanted, "", environment):
            continue
        if name not in installed.distributions:
            raise MissingDistributionError(f"{name} is asked for but not installed: pip install {text!r}")
        _check_version(wanted, installed.distributions[name])
        for each in sorted(map(canonicalize_name, wanted.extras)):
            _check_extra(installed.distributions[name], each, installed, environment)
            nodes.append(f"{name}[{each}]")
        nodes.append(name)
    return nodes


def _named_by_the_user(text: str) -> Specifier:
    try:
        wanted = Specifier(text)
    except InvalidRequirement as error:
        raise MissingDistributionError(f"{text!r} does not name a distribution: {error}") from error
    if wanted.url:
        raise MissingDistributionError(
            f"{text!r} names a place: functions get what is installed here. Install it, then name it: {wanted.name}"
        )
    return wanted


def _check_version(wanted: Specifier, there: Distribution) -> None:
    if not wanted.specifier.contains(there.version, prereleases=True):
        raise MissingDistributionError(
            f"{wanted} is asked for, but {there.version} is installed, and functions get what is installed here: "
            f"pip install '{wanted.name}{wanted.specifier}', or leave the version out"
        )


def _check_extra(
    there: Distribution, extra: str, installed: Installed, environment: Mapping[str, str]
) -> None:
    """Refuse what would be passed over without a word if another distribution asked for it."""
    known = map(canonicalize_name, PathDistribution(there.info).metadata.get_all("Provides-Extra") or ())
    wanted = [each for each in map(_specifier, requires_of(there)) if _holds(each, extra, environment)]
    if extra not in (names := sorted(known)) and all(_holds(each, "", environment) for each in wanted):
        raise MissingDistributionError(f"{there} has no extra {extra!r}; it has {', '.join(names) or 'none'}")
    absent = [each.name for each in wanted if canonicalize_name(each.name) not in installed.distributions]
    if absent:
        raise MissingDistributionError(
            f"{there.name}[{extra}] asks for what is not installed, {', '.join(absent)}: "
            f"pip install '{there.name}[{extra}]'"
        )


def _children(node: str, installed: Installed, environment: Mapping[str, str]) -> list[str]:
    name, extra = _base(node), node[len(_base(node)) + 1 : -1]
    found = [name] if extra else []
    for wanted in map(_specifier, requires_of(installed.distributions[name])):
        child = canonicalize_name(wanted.name)
        if child in installed.distributions and _holds(wanted, extra, environment):
            found += [child, *(f"{child}[{canonicalize_name(each)}]" for each in sorted(wanted.extras))]
    return found


def _holds(wanted: Specifier, extra: str, environment: Mapping[str, str]) -> bool:
    return wanted.marker is None or wanted.marker.evaluate({**environment, "extra": extra})


@lru_cache(maxsize=4096)
def _specifier(text: str) -> Specifier:
    return Specifier(text)


def _base(node: str) -> str:
    return node.partition("[")[0]


def _copied(distribution: Distribution) -> bool:
    """An editable install is the user's own code: the compiler ships the files that are reached."""
    return distribution.origin is not Origin.EDITABLE
