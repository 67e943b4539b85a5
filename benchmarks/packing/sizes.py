"""What each case's function weighs, beside what one image for the whole script would, and beside the least that works.

In: cases, a folder. Out: `Size`s. The least is found by greedy removal: one distribution after another, the largest
first, is taken away for good if the operation then still gives the same result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from benchmarks.packing.alone import Alone, laid_out, same
from benchmarks.packing.case import bound, operation_of
from graphlambda import config
from graphlambda.api.building import artifacts_of, learn_module
from graphlambda.packager import read_installed, this_target
from graphlambda.packager.requirements import pinned, requirement_graph

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.packing.case import Case
    from graphlambda.compiler import Operation
    from graphlambda.packager import Artifact

_MOST_REBUILDS = 3

_LOADED = "import importlib, json, sys\n[importlib.import_module(m) for m in {modules!r}]\nprint(json.dumps(sorted(sys.modules)))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """One case, in bytes."""

    case: Case
    artifact: Artifact
    raw_bytes: int
    """Unzipped, with all layers."""

    zip_bytes: int
    image_bytes: int
    """The installed files of everything that the script imports, and of what these require."""

    image_zip_bytes: int
    least_bytes: int
    needless: tuple[str, ...]
    """Distributions without which the result is the same."""

    rebuilds: int
    """How often a module turned out to be missing only when the operation ran."""


def measure(case: Case, folder: Path) -> Size:
    """Build a case, run it alone, and take away what it can do without."""
    program = case.program()
    artifact, result, rebuilds = _working(operation_of(program), bound(program), folder)
    image = _image(case.imports)
    with laid_out(artifact, folder / "least") as alone:
        needless = _needless(alone, bound(program), result)
    raw_bytes = artifact.size_bytes + sum(layer.size_bytes for layer in artifact.layers)
    return Size(
        case=case,
        artifact=artifact,
        raw_bytes=raw_bytes,
        zip_bytes=artifact.zip_bytes + sum(layer.zip_bytes for layer in artifact.layers),
        image_bytes=sum(_raw_bytes(name) for name in image),
        image_zip_bytes=sum(_zipped_bytes(name) for name in image),
        least_bytes=raw_bytes - sum(needless.values()),
        needless=tuple(needless),
        rebuilds=rebuilds,
    )


def _working(operation: Operation, arguments: list[object], folder: Path) -> tuple[Artifact, bytes, int]:
    """Build, run, and build again with a module that was missing, as a run does."""
    settings = config.load()
    for rebuilds in range(_MOST_REBUILDS):
        (artifact,) = artifacts_of([operation], settings)
        try:
            with laid_out(artifact, folder / "whole") as alone:
                return artifact, alone.result(arguments), rebuilds
        except AssertionError as error:
            if not learn_module(operation, _missing(error), settings):
                raise
    raise AssertionError(f"{operation.name} was rebuilt {_MOST_REBUILDS} times and still misses a module")


def _missing(error: AssertionError) -> str:
    *_, last = str(error).strip().splitlines()
    if "No module named" not in last:
        raise error
    return last.split("'")[1]


def _needless(alone: Alone, arguments: list[object], result: bytes) -> dict[str, int]:
    files = alone.distributions()
    weights = {name: sum(path.stat().st_size for path in paths) for name, paths in files.items()}
    needless: dict[str, int] = {}
    for name in sorted(weights, key=lambda each: -weights[each]):
        away = [path for each in (*needless, name) for path in files[each]]
        if _works_without(alone, away, arguments, result):
            needless[name] = weights[name]
    return needless


def _works_without(alone: Alone, away: list[Path], arguments: list[object], result: bytes) -> bool:
    with alone.without(away):
        try:
            return same(alone.result(arguments), result)
        except AssertionError:
            return False


@cache
def _image(imports: tuple[str, ...]) -> tuple[str, ...]:
    """Return the distributions of what some modules load, and of what these require."""
    installed = read_installed()
    command = [sys.executable, "-c", _LOADED.format(modules=imports)]
    done = subprocess.run(command, capture_output=True, check=True, env={"PYTHONPATH": ":".join(sys.path)})
    loaded = [module for module in json.loads(done.stdout) if installed.providers(module)]
    graph = requirement_graph(loaded, installed, this_target())
    return tuple(requirement.distribution for requirement in pinned(graph, installed))


@cache
def _raw_bytes(distribution: str) -> int:
    return sum(path.stat().st_size for path in _files(distribution))


@cache
def _zipped_bytes(distribution: str) -> int:
    return sum(len(zlib.compress(path.read_bytes(), 1)) for path in _files(distribution))


def _files(distribution: str) -> list[Path]:
    found = read_installed().distributions[distribution]
    return [path for path in (found.root / each for each in found.files) if path.is_file()]
