"""What is known of an operation before it is built: the modules that it is going to need.

In: operations, what is installed, what earlier builds learnt. Out: modules. Must not import one in this process,
or run the user's code.

Four witnesses: the operation itself (see `requirements.evidence_of`), earlier builds and runs, the words in it
that name code, and, for `deps="safe"`, a trace of what importing all of that brings along here.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from graphlambda.packager.imports import imports_of
from graphlambda.packager.installed import Origin, module_of
from graphlambda.packager.memory import learnt
from graphlambda.packager.requirements import evidence_of, pinned, reached_by, requirement_graph
from graphlambda.packager.trace import traced
from graphlambda.packager.words import meanings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.compiler.program import Operation
    from graphlambda.packager.artifact import Requirement, Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installed import Installed

_WORKERS = min(4, os.cpu_count() or 1)


def gathered(
    operations: Sequence[Operation],
    installed: Installed,
    target: Target,
    cache: Cache,
    *,
    extra: tuple[str, ...] = (),
    safe: bool = False,
) -> list[frozenset[str]]:
    """Return the modules that each operation is known to need, in order.

    Raises MissingDistributionError as `requirement_graph` does; with `safe`, ProofError when tracing fails.
    """
    imports_of(file for operation in operations for file in operation.files)  # asked for once, known after
    known = [
        with_words(operation, evidence_of(operation) | learnt(cache, operation), installed, target, extra)
        for operation in operations
    ]
    if not safe:
        return known
    distinct = list(dict.fromkeys(known))
    with ThreadPoolExecutor(_WORKERS) as pool:
        more = dict(
            zip(distinct, pool.map(lambda each: traced(each, installed, cache), distinct), strict=True)
        )
    return [evidence | more[evidence] for evidence in known]


def with_words(
    operation: Operation,
    evidence: frozenset[str],
    installed: Installed,
    target: Target,
    extra: tuple[str, ...] = (),
) -> frozenset[str]:
    """Return evidence with the modules that an operation's words name to whom it reaches."""
    while True:
        reached = reached_by(requirement_graph(evidence, installed, target, extra)) if operation.words else ()
        more = {meaning.module for meaning in meanings(operation.words, reached, installed)} - evidence
        if not more:
            return evidence
        evidence |= more


def provided(missing: Iterable[str], installed: Installed) -> frozenset[str]:
    """Return the modules that would mend errors of these names: of modules, or of distributions.

    `importlib.metadata.version("scikit-learn")` where that is not installed is a ModuleNotFoundError, too.
    """
    names = frozenset(missing)
    return frozenset(name for name in names if installed.providers(name)) | frozenset(
        min(modules, key=lambda each: (each.count("."), each))
        for name in map(canonicalize_name, names)
        if name in installed.distributions and (modules := _modules_of(name, installed))
    )


def _modules_of(distribution: str, installed: Installed) -> list[str]:
    there = installed.distributions[distribution]
    return [
        module for module in map(module_of, there.files) if module and there.origin is not Origin.EDITABLE
    ]


def foreseen(
    operations: Sequence[Operation],
    installed: Installed,
    target: Target,
    cache: Cache,
    *,
    extra: tuple[str, ...] = (),
    safe: bool = False,
) -> dict[str, tuple[Requirement, ...]]:
    """Return by operation id what it needs, as far as that is known before it is built and proved."""
    known = gathered(operations, installed, target, cache, extra=extra, safe=safe)
    return {
        operation.id: pinned(requirement_graph(evidence, installed, target, extra), installed)
        for operation, evidence in zip(operations, known, strict=True)
    }
