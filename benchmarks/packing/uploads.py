"""How many bytes five deploys in a row send, with shared layers and with one zip a function.

In: artifacts in rounds. Out: `Upload`s. The account is in memory: what counts is which zips a plan sends. The case as
large as torch is left out: one function alone holds it, and no way of packing shares it. Whoever sends one zip a
function sends those of a deploy again with each deploy: their names say nothing of their contents. What that would come
to if unchanged functions were left alone is given, too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dask import delayed

import graphlambda
from benchmarks.packing.case import operation_of
from benchmarks.packing.cases import LARGEST
from graphlambda import config
from graphlambda.api.building import artifacts_of
from graphlambda.deployer import Settings, deploy
from graphlambda.testing.clouds import ROLE, RecordingCloud, manifests_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benchmarks.packing.case import Case
    from graphlambda.compiler import Operation
    from graphlambda.packager import Artifact

_SETTINGS = Settings(memory_mb=2048, timeout_s=60, ephemeral_mb=512, role=ROLE)


@dataclass(frozen=True, slots=True)
class Upload:
    """One deploy."""

    name: str
    functions: int
    """Functions that were made."""

    layers: int
    sent_bytes: int
    single_bytes: int
    """What a zip of its own for each function would have sent."""

    new_single_bytes: int
    """The same for the new functions alone."""

    @property
    def bytes(self) -> tuple[int, int, int]:
        """Return what was sent, and what one zip a function would have sent: of all, of the new."""
        return self.sent_bytes, self.single_bytes, self.new_single_bytes


def measure(cases: Sequence[Case]) -> list[Upload]:
    """Deploy arrays, dataframes, learning, all cases but the largest, and one edited function into one account."""
    cloud = RecordingCloud()
    cases = [each for each in cases if each.name != LARGEST]
    rounds = [
        (family, [each for each in cases if each.family == family]) for family in ("array", "dataframe", "ml")
    ]
    uploads = [
        _deployed(name, [operation_of(each.program()) for each in members], cloud) for name, members in rounds
    ]
    mixed = [operation_of(each.program()) for each in cases]
    return [*uploads, _deployed("mixed", mixed, cloud), _deployed("one edit", [_edited()], cloud)]


def _edited() -> Operation:
    """Return an operation of the user's own code on NumPy, as after an edit."""
    import numpy as np

    return operation_of(
        graphlambda.compile(delayed(lambda seed: np.random.default_rng(seed).normal(size=9) + 1)(7))
    )


def _deployed(name: str, operations: Iterable[Operation], cloud: RecordingCloud) -> Upload:
    print(f"deploying {name}", file=sys.stderr, flush=True)
    artifacts = artifacts_of(list({each.id: each for each in operations}.values()), config.load())
    before = len(cloud.changes)
    with TemporaryDirectory() as folder:
        manifests = manifests_in(Path(folder))
        made = deploy(artifacts, _SETTINGS, cloud=cloud, deployment_id="bench", manifests=manifests)
    new = [each for each in artifacts if made.functions[each.operation] in made.created]
    changes = cloud.changes[before:]
    return Upload(
        name=name,
        functions=len(new),
        layers=sum(call.method == "publish_layer_version" for call in changes),
        sent_bytes=sum(_sent(call.params) for call in changes),
        single_bytes=sum(map(_single, artifacts)),
        new_single_bytes=sum(map(_single, new)),
    )


def _sent(params: Mapping[str, Any]) -> int:
    sent = params.get("Content") or params.get("Code") or {}
    return Path(sent["ZipFile"]).stat().st_size if sent else 0


def _single(artifact: Artifact) -> int:
    return artifact.zip_bytes + sum(layer.zip_bytes for layer in artifact.layers)
