"""Build artifacts: `build(operations, target, …) → artifacts`.

In: operations, a target, our runtime's folder, a cache folder. Out: one artifact an operation, proved to
import, with its zip and the layers it stands on. Must not call AWS or the user's code.

Evidence grows: requirements follow from the modules that an operation is known to need; its artifact is laid
out and imported in isolation; a module that is missing there and installed here joins the evidence, until all
imports succeed or nothing more can be learnt. Operations of equal needs share trees, layers and one proof.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from graphlambda.errors import ProofError
from graphlambda.packager.artifact import Artifact, Layer, Level, Target
from graphlambda.packager.bare import bare, readers
from graphlambda.packager.cache import Cache
from graphlambda.packager.case import (
    Bench,
    Built,
    Case,
    OnProgress,
    Part,
    case_of,
    home_of,
    key_of_case,
    own_bytes,
    with_sources,
)
from graphlambda.packager.editables import with_metadata
from graphlambda.packager.evidence import gathered, provided, with_words
from graphlambda.packager.function import HANDLER, artifact_digest, function_tree, manifest_of, runtime_tree
from graphlambda.packager.installed import Installed, read_installed
from graphlambda.packager.installers import NO_INSTALLERS, Installers
from graphlambda.packager.layers import Packed, zip_layer
from graphlambda.packager.levels import AWS, Limits, Room, excess, planned, tighter, tmp_mb
from graphlambda.packager.machines import proof_of
from graphlambda.packager.memory import learn, recall, remember
from graphlambda.packager.proving import prove_set
from graphlambda.packager.recipes import read_recipes, recipes_folder
from graphlambda.packager.slim import slim
from graphlambda.packager.sources import located
from graphlambda.packager.static_proof import check_statically
from graphlambda.packager.verdict import check_proof, check_target, too_large
from graphlambda.packager.zips import is_whole, write_zip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphlambda.compiler.program import Operation
    from graphlambda.packager.proof import Proof

_MOST_ROUNDS = 16
"""How often evidence may grow. Each round adds a distribution, or a module that a recipe leaves out."""

_WORKERS = min(4, os.cpu_count() or 1)
"""Threads that copy, prove and zip: most of that happens outside the interpreter's lock."""

_Laid: TypeAlias = "tuple[list[Built], list[Case]]"
"""Artifacts that stand on the same layers, and cases that did not fit, as what to try next."""


def build(  # noqa: PLR0913 - the verb of the whole stage: what it stands on is given
    operations: Sequence[Operation],
    target: Target,
    *,
    cache: Path,
    runtime: Path,
    extra: tuple[str, ...] = (),
    safe: bool = False,
    installed: Installed | None = None,
    installers: Installers = NO_INSTALLERS,
    limits: Limits = AWS,
    on_progress: OnProgress = lambda _what, _done, _of: None,
) -> tuple[Artifact, ...]:
    """Return the artifact of each operation, in order; what the cache has is not built again.

    `extra` names distributions that every operation gets; `installers` fetch those whose installed files do not fit
    the target. With `safe`, each also gets what importing its modules brings along on this machine. What does not
    fit into `limits` is packed tighter. Raises TargetError, MissingDistributionError, ProofError,
    ArtifactTooLargeError, and PackageError for damaged files or a full disk.
    """
    check_target(target)
    with Cache(cache).lease():
        bench = _bench(
            target, Cache(cache), runtime, extra, installed or read_installed(), limits, on_progress
        )
        bench = replace(bench, installers=installers)
        return _built(
            [with_metadata(operation, bench.installed) for operation in operations], bench, safe=safe
        )


def _built(operations: Sequence[Operation], bench: Bench, *, safe: bool) -> tuple[Artifact, ...]:
    known = gathered(operations, bench.installed, bench.target, bench.cache, extra=bench.extra, safe=safe)
    cases = [case_of(each, evidence, bench) for each, evidence in zip(operations, known, strict=True)]
    made: dict[str, Artifact] = {}
    pending: dict[str, Case] = {}
    for case in cases:
        if artifact := recall(bench.cache, key_of_case(case, bench)):
            made[case.operation.id] = artifact
        else:
            pending[case.operation.id] = case
    made |= _made(list(pending.values()), bench)
    return tuple(made[operation.id] for operation in operations)


def _bench(
    target: Target,
    cache: Cache,
    runtime: Path,
    extra: tuple[str, ...],
    installed: Installed,
    limits: Limits,
    on_progress: OnProgress,
) -> Bench:
    cache.tidy()
    tree, digest = runtime_tree(runtime, cache)
    return Bench(
        target=target,
        installed=installed,
        recipes=read_recipes(recipes_folder()),
        cache=cache,
        runtime=tree,
        runtime_digest=digest,
        extra=extra,
        on_progress=on_progress,
        limits=limits,
    )


def _made(cases: Collection[Case], bench: Bench) -> dict[str, Artifact]:
    """Build cases, round by round, until each is proved."""
    made: dict[str, Artifact] = {}
    for _ in range(_MOST_ROUNDS):
        if not cases:
            return made
        proved, cases = _round(cases, bench)
        for case, artifact in _zip(proved, bench):
            remember(bench.cache, key_of_case(case, bench), artifact)
            made[case.operation.id] = artifact
    names = ", ".join(case.operation.name for case in cases)
    raise ProofError(
        f"Modules were still missing after {_MOST_ROUNDS} rounds: {names}. Name them in `requirements=`."
    )


def _round(cases: Collection[Case], bench: Bench) -> tuple[list[Built], list[Case]]:
    """Lay out and prove each case once; return those that are proved, and those that have grown."""
    wanted = {part for case in cases for part in case.parts}
    home = home_of(bench)
    packed = _pack(wanted, bench)
    imported = packed if home is bench else _pack(wanted, home)
    sets: dict[tuple[Level, tuple[Part, ...]], list[Case]] = {}
    for case in cases:
        sets.setdefault((case.level, case.parts), []).append(case)
    proved: list[Built] = []
    grown: list[Case] = []
    laid = _laid_out(sets, packed, bench)
    here = laid if home is bench else _laid_out(sets, imported, home)
    proofs = _proofs(here, home)
    for done, ((built, tightened), (_, proof)) in enumerate(zip(laid, proofs, strict=True), 1):
        bench.on_progress("proved", done, len(sets))
        grown += tightened
        for each in built:
            if other := _grown(each.case, proof, bench) or _spared(each.case, proof, bench):
                grown.append(other)
            else:
                check_proof(each, proof.operations.get(each.case.operation.id), bench)
                theirs, ours = ([some[part] for part in each.case.parts] for some in (packed, imported))
                check_statically(each, theirs, ours, bench.target)
                proved.append(each)
    return proved, grown


def _laid_out(
    sets: Mapping[tuple[Level, tuple[Part, ...]], Sequence[Case]], packed: Mapping[Part, Packed], bench: Bench
) -> list[_Laid]:
    return [
        _lay_out(members, [packed[part] for part in parts], bench) for (_, parts), members in sets.items()
    ]


def _proofs(laid: Sequence[_Laid], bench: Bench) -> Iterator[tuple[_Laid, Proof]]:
    """Prove sets of artifacts side by side, each in an interpreter of its own."""
    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from zip(laid, pool.map(lambda each: prove_set(each[0], bench), laid), strict=True)


def _pack(parts: Collection[Part], bench: Bench) -> dict[Part, Packed]:
    """Return the slim tree of each part, made side by side, those of many files first."""
    names = {part.requirement.distribution for part in parts}
    wanted = [bench.installed.distributions[name] for name in sorted(names)]
    sources = located(wanted, bench.target, bench.cache, bench.installers)

    def work(part: Part) -> Packed:
        source = sources[part.requirement.distribution]
        shared = frozenset() if source.fetched else bench.installed.shared
        tree = slim(source.distribution, part.wanted, bench.recipes, bench.target, shared, bench.cache)
        packed = bare(tree, bench.cache) if part.bare else tree
        return Packed(part.requirement, packed, aws_refuses=source.aws_refuses)

    ordered = sorted(parts, key=lambda part: (-_files(part, bench), part))
    packed = {}
    with ThreadPoolExecutor(_WORKERS) as pool:
        for done, (part, result) in enumerate(zip(ordered, pool.map(work, ordered), strict=True), 1):
            bench.on_progress(f"packed {part.requirement}", done, len(ordered))
            packed[part] = result
    return packed


def _files(part: Part, bench: Bench) -> int:
    return len(bench.installed.distributions[part.requirement.distribution].files)


def _lay_out(cases: Sequence[Case], packed: Sequence[Packed], bench: Bench) -> _Laid:
    """Return the artifacts of operations with equal needs; and those that do not fit, as what to try next.

    Raises ArtifactTooLargeError.
    """
    fit = planned(packed, cases[0].level, _room(max(own_bytes(case, bench) for case in cases), bench))
    requirements = [each.requirement for each in packed]
    deps = fit.archive.description if fit.archive else b""
    built, tightened = [], []
    for case in cases:
        manifest = manifest_of(case.operation, requirements, fit.layers, bench.target, bench.runtime_digest)
        manifest["level"] = case.level
        tree = function_tree(case.operation, manifest, bench.runtime, bench.cache, deps)
        each = Built(case, tree, fit.layers, fit.archive)
        if why := excess(fit, _room(tree.size_bytes, bench)):
            tightened.append(_tightened(each, why, bench))
        else:
            built.append(each)
    return built, tightened


def _room(own: int, bench: Bench) -> Room:
    return Room(own_bytes=own, limits=bench.limits, target=bench.target, cache=bench.cache)


def _tightened(built: Built, why: str, bench: Bench) -> Case:
    level = tighter(built.case.level)
    if level is None:
        raise too_large(built, why, bench)
    return case_of(built.case.operation, built.case.evidence, bench, level)


def _grown(case: Case, proof: Proof, bench: Bench) -> Case | None:
    """Return the case with what its proof missed, if that brings anything that it did not have."""
    failures = [proof.operations.get(case.operation.id), *map(proof.modules.get, sorted(case.evidence))]
    missing = {module for failure in failures if failure for module in failure.missing}
    found = provided(missing, bench.installed)
    evidence = with_words(case.operation, case.evidence | found, bench.installed, bench.target, bench.extra)
    larger = case_of(case.operation, evidence, bench)
    if larger.parts == case_of(case.operation, case.evidence, bench).parts:
        return None
    learn(bench.cache, case.operation, found)
    return larger


def _spared(case: Case, proof: Proof, bench: Bench) -> Case | None:
    """Return the case with what its tighter level broke mended, if that can be why a module did not import."""
    failures = [proof.operations.get(case.operation.id), *map(proof.modules.get, sorted(case.evidence))]
    ours = [
        each
        for each in failures
        if each and (not each.missing or any(map(bench.installed.providers, each.missing)))
    ]
    if case.level == "default" or not ours:
        return None
    files = {file for failure in ours for file in failure.files}
    if with_source := with_sources(case, readers(files, bench.installed)):
        return with_source
    level = tighter(case.level)
    return level and case_of(case.operation, case.evidence, bench, level)


def _zip(proved: Sequence[Built], bench: Bench) -> list[tuple[Case, Artifact]]:
    """Zip layers side by side, the largest first, then each function's own files."""
    layers = {layer.digest: layer for built in proved for layer in built.layers}
    ordered = sorted(layers.values(), key=lambda layer: (-layer.size_bytes, layer.name))
    zipped: dict[str, Layer] = {}
    with ThreadPoolExecutor(_WORKERS) as pool:
        for done, layer in enumerate(pool.map(lambda each: zip_layer(each, bench.cache), ordered), 1):
            bench.on_progress(f"zipped {layer.name}", done, len(ordered))
            zipped[layer.digest] = layer
    return [(each.case, _artifact(each, zipped, bench)) for each in proved]


def _artifact(built: Built, layers: Mapping[str, Layer], bench: Bench) -> Artifact:
    """Zip a function's own files; two that differ in the bytes of equal by-value code share the first's zip."""
    operation = built.case.operation
    digest = artifact_digest(operation, built.tree, built.layers, bench.target)
    files = [(entry, built.tree.file(entry)) for entry in built.tree.entries]
    path = bench.cache.file("artifacts", f"{digest}.zip", lambda file: write_zip(file, files), is_whole)
    return Artifact(
        operation=operation.id,
        name=operation.name,
        digest=digest,
        handler=HANDLER,
        target=bench.target,
        zip_path=path,
        size_bytes=built.tree.size_bytes,
        zip_bytes=path.stat().st_size,
        layers=tuple(layers[layer.digest] for layer in built.layers),
        requirements=tuple(part.requirement for part in built.case.parts),
        level=built.case.level,
        tmp_mb=tmp_mb(built.archive.room_bytes) if built.archive else 0,
        proof=proof_of(bench.target),
        aws_refuses=tuple(
            f"{each.requirement}: {each.aws_refuses}"
            for layer in built.layers
            for each in layer.packed
            if each.aws_refuses
        ),
    )
