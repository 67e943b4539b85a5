"""A function's own files: our runtime, `operation.py`, by-value code, the user's files and a manifest.

In: an operation and the layers that it stands on. Out: a `Tree` laid out as `/var/task`. Must not run
anything of the user's.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from graphlambda.errors import PackageError
from graphlambda.packager import trees
from graphlambda.packager.machines import proof_of
from graphlambda.packager.slim import compile_modules, key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from graphlambda.compiler.program import LocalFile, Operation
    from graphlambda.packager.artifact import Requirement, Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.layers import PlannedLayer

HANDLER = "graphlambda_runtime.handler.handler"
FUNCTION_ROOT = "/var/task"
"""Where Lambda puts a function's own files."""

CODE = "code.bin"
DEPS = "deps.json"
"""Describes an archive, where there is one: see `graphlambda/runtime/unpack.py`."""

_PACKAGE = "graphlambda_runtime"


def runtime_tree(runtime: Path, cache: Cache) -> tuple[trees.Tree, str]:
    """Return our runtime as it travels, with its byte code, and its digest."""
    sources, digest = _sources(runtime)

    def fill(root: Path) -> None:
        entries = [trees.write(root, f"{_PACKAGE}/{path}", content) for path, content in sources.items()]
        compile_modules(trees.files_of(root), FUNCTION_ROOT, [entry.path for entry in entries])
        trees.seal(root, entries)

    return trees.load(cache.folder("trees", f"runtime-{digest[:16]}", fill, trees.is_whole)), digest


@lru_cache
def _sources(runtime: Path) -> tuple[Mapping[str, bytes], str]:
    """Return the files of our runtime and their digest, as they were when this process first asked."""
    found = {
        path.relative_to(runtime).as_posix(): path.read_bytes() for path in sorted(runtime.rglob("*.py"))
    }
    return found, trees.digest_of(trees.entry_of(path, content) for path, content in found.items())


def function_tree(
    operation: Operation,
    manifest: dict[str, object],
    runtime: trees.Tree,
    cache: Cache,
    deps: bytes = b"",
) -> trees.Tree:
    """Return a function's own files. Raises PackageError for a user's file that would leave its folder."""
    files = dict(_files(operation, manifest))
    if deps:
        files[DEPS] = deps
    key = key_of(*(f"{path} {hashlib.sha256(content).hexdigest()}" for path, content in files.items()))

    def fill(root: Path) -> None:
        trees.lay_out([runtime], trees.files_of(root))
        entries = [trees.write(root, path, content) for path, content in files.items()]
        trees.seal(root, [*runtime.entries, *entries])

    return trees.load(cache.folder("functions", f"{operation.name}-{key[:32]}", fill, trees.is_whole))


def manifest_of(
    operation: Operation,
    requirements: Sequence[Requirement],
    layers: Sequence[PlannedLayer],
    target: Target,
    runtime_digest: str,
) -> dict[str, object]:
    """Return what `manifest.json` says of a function."""
    return {
        "operation": operation.id,
        "name": operation.name,
        "requirements": [str(requirement) for requirement in requirements],
        "layers": [layer.name for layer in layers],
        "left_out": {
            each.requirement.distribution: {reason: list(names) for reason, names in each.tree.why}
            for layer in layers
            for each in layer.packed
            if each.tree.why
        },
        "target": {"python": target.python, "architecture": target.architecture},
        "proof": proof_of(target),
        "runtime": runtime_digest,
    }


def artifact_digest(
    operation: Operation, tree: trees.Tree, layers: Iterable[PlannedLayer], target: Target
) -> str:
    """Return an artifact's identity. By-value code counts by its operation's id: its bytes may vary."""
    own = trees.digest_of(entry for entry in tree.entries if entry.path != CODE)
    stands_on = (layer.digest for layer in layers)
    return key_of(operation.id, own, *stands_on, target.python, target.architecture)


def _files(operation: Operation, manifest: dict[str, object]) -> Iterable[tuple[str, bytes]]:
    yield "operation.py", operation.source.encode()
    yield "manifest.json", json.dumps(manifest, indent=1, sort_keys=True).encode()
    if operation.code:
        yield CODE, operation.code
    for file in operation.files:
        yield _user_path(file, operation), file.content


def _user_path(file: LocalFile, operation: Operation) -> str:
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or "\\" in file.path or not path.parts:
        raise PackageError(f"The operation {operation.name} has a file outside its folder: {file.path!r}")
    return f"user/{path}"
