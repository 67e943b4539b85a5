"""Leave the source out where byte code is there: the level `bare`.

In: a slim tree. Out: a smaller one in the cache, with `module.pyc` where `module.py` was: Python imports that
without the source, and tracebacks still name file and line. Must not touch the tree that it was given.
"""

from __future__ import annotations

import hashlib
import importlib.util
from typing import TYPE_CHECKING

from graphlambda.packager import trees
from graphlambda.packager.installed import module_of
from graphlambda.packager.slim import LAYER_ROOT, key_of, record_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graphlambda.packager.cache import Cache
    from graphlambda.packager.installed import Installed


def bare(tree: trees.Tree, cache: Cache) -> trees.Tree:
    """Return the tree without the source of its modules, made once."""
    key = key_of(trees.digest_of(tree.entries), "bare")

    def fill(root: Path) -> None:
        moved = _moved({entry.path: entry for entry in tree.entries})
        gone = {*moved, *map(importlib.util.cache_from_source, moved)}
        entries = [*moved.values()]
        for source, entry in moved.items():
            _link(tree.folder / importlib.util.cache_from_source(source), root, entry.path)
        for entry in tree.entries:
            if entry.path not in gone and not entry.path.endswith(".dist-info/RECORD"):
                _link(tree.file(entry), root, entry.path)
                entries.append(entry)
        records = [entry.path for entry in tree.entries if entry.path.endswith(".dist-info/RECORD")]
        entries += [trees.write(root, path, record_of(entries, path)) for path in records]
        trees.seal(root, entries, tree.left_out, tree.why)

    return trees.load(cache.folder("trees", f"bare-{key[:32]}", fill, trees.is_whole))


def readers(files: Iterable[str], installed: Installed) -> frozenset[str]:
    """Return the distributions whose code is in files that a traceback names: one of them may read its source."""
    paths = (file.partition(f"{LAYER_ROOT}/")[2] for file in files)
    return frozenset(name for path in paths for name in installed.providers(module_of(path) or ""))


def _moved(entries: Mapping[str, trees.Entry]) -> dict[str, trees.Entry]:
    """Return, by the path of a module's source, the entry that stands for it: what can be imported, no templates."""
    found = {}
    for path, entry in entries.items():
        compiled = entries.get(importlib.util.cache_from_source(path)) if _is_module(path) else None
        if compiled:
            found[path] = trees.Entry(
                f"{path}c", compiled.size_bytes, executable=False, digest=_digest(entry)
            )
    return found


def _is_module(path: str) -> bool:
    return path.endswith(".py") and module_of(path) is not None


def _digest(source: trees.Entry) -> str:
    """What byte code is follows from the source, which is not there to say so."""
    return hashlib.sha256(f"byte code of {source.digest}".encode()).hexdigest()


def _link(source: Path, root: Path, path: str) -> None:
    target = trees.files_of(root) / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    trees.link(source, target)
