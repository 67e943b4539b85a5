"""Prove what was built, each thing once: what layers hold is remembered as proved, an edited function is not.

In: artifacts that stand on the same layers, not zipped yet. Out: what failed, and what is known from then on. Must
not decide what follows from a failure.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from graphlambda.packager import trees
from graphlambda.packager.proof import Proof, prove
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphlambda.packager.cache import Cache
    from graphlambda.packager.case import Bench, Built
    from graphlambda.packager.layers import PlannedLayer

_KIND = "proofs"


def prove_set(built: Sequence[Built], bench: Bench) -> Proof:
    """Import artifacts that stand on the same layers, laid over each other as Lambda does.

    What is in an archive lies in a folder of its own, as it will. Modules that these layers are known to hold
    are not imported again, but by the operations that need them.
    """
    if not built:
        return Proof({}, {})
    key = _key(built[0].layers)
    known = _known(key, bench.cache)
    evidence = {
        module for each in built for module in each.case.evidence if bench.installed.providers(module)
    }
    tasks = {each.case.operation.id: each.tree.folder for each in built}
    with bench.cache.scratch() as scratch:
        proof = prove(_views(built[0], scratch), evidence - known, tasks, scratch)
    if fresh := evidence - known - proof.modules.keys():
        bench.cache.alter(_KIND, key, lambda text: json.dumps(sorted(_modules(text) | fresh)).encode())
    return proof


def _views(built: Built, scratch: Path) -> Iterable[Path]:
    """Yield the folders that a function finds modules in: the archive's, if there is one, then the layers'."""
    for archived in (True, False) if built.archive else (False,):
        layers = [layer for layer in built.layers if (layer.piece is not None) is archived]
        view = scratch / ("archive" if archived else "opt")
        trees.overlay([each.tree for layer in layers for each in layer.packed], view)
        yield view


def _key(layers: Iterable[PlannedLayer]) -> str:
    """Return what a proof stands on: what is imported, by which Python, and how."""
    script = (Path(__file__).parent / "isolated" / "prove.py").read_text(encoding="utf-8")
    held = (f"{layer.digest} {layer.piece is not None}" for layer in layers)
    return key_of(sys.version, script, *held)


def _known(key: str, cache: Cache) -> frozenset[str]:
    """Return the modules that are known to import from layers; failures are tried again each time."""
    return _modules(cache.get(_KIND, key))


def _modules(text: bytes | None) -> frozenset[str]:
    return frozenset(json.loads(text)) if text else frozenset()
