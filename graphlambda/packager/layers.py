"""Share distributions between functions: at most four heavy ones get a layer each, all others one together.

In: the slim trees of a requirement set. Out: layers, named by content. `group` decides, `zip_layer` acts. A
layer of one distribution is the same for every set that holds it, so it is uploaded once, for ever.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.packager.artifact import Layer, Requirement, Target
from graphlambda.packager.trees import Entry, Tree, digest_of
from graphlambda.packager.zips import is_whole, write_zip

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from graphlambda.packager.cache import Cache

HEAVY_BYTES = 5_000_000
"""A distribution of this size, slim and unzipped, is worth a layer of its own."""

MOST_HEAVY = 4
"""AWS mounts at most five layers: four heavy ones and the rest.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

_PREFIX = "python/"
_NAME_CHARACTERS = 64
_ARCHITECTURES = {"x86_64": "x86", "arm64": "arm"}


@dataclass(frozen=True, slots=True)
class Packed:
    """A requirement and its slim tree."""

    requirement: Requirement
    tree: Tree
    aws_refuses: str = ""
    """Why it loads on this machine only; empty where AWS would load it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLayer:
    """A layer that is not zipped yet."""

    name: str
    digest: str
    packed: tuple[Packed, ...]
    """What it holds; of an archive that is cut into several layers, the first names it all."""

    piece: Tree | None = None
    """Of an archive, where the layer holds that in place of files."""

    @property
    def size_bytes(self) -> int:
        """All files, unzipped."""
        return sum(entry.size_bytes for entry, _ in self._entries)

    @property
    def files(self) -> list[tuple[Entry, Path]]:
        """Return each file once: where two distributions have the same path, the later one's."""
        return [(entry, tree.file(entry)) for entry, tree in self._entries]

    @property
    def _entries(self) -> list[tuple[Entry, Tree]]:
        if self.piece:
            return [(entry, self.piece) for entry in self.piece.entries]
        return list(_merged(self.packed).values())


def plan_layers(
    packed: Iterable[Packed], target: Target, heavy: int = MOST_HEAVY
) -> tuple[PlannedLayer, ...]:
    """Return the layers of a requirement set, in mount order; at most `heavy` have one distribution each."""
    return tuple(_planned(members, target) for members in group(packed, heavy))


def piece_layers(
    pieces: Iterable[Tree], packed: tuple[Packed, ...], target: Target
) -> tuple[PlannedLayer, ...]:
    """Return the layers of an archive's pieces, one each."""
    layers = []
    for number, piece in enumerate(pieces):
        digest = digest_of(piece.entries, _PREFIX)
        name = _layer_name("archive", target, digest)
        layers.append(PlannedLayer(name=name, digest=digest, packed=() if number else packed, piece=piece))
    return tuple(layers)


def group(packed: Iterable[Packed], heavy: int = MOST_HEAVY) -> list[tuple[Packed, ...]]:
    """Return which distributions share a layer: the heaviest alone, by name, then the rest together."""
    by_size = sorted(packed, key=lambda each: (-each.tree.size_bytes, each.requirement))
    alone = [each for each in by_size if each.tree.size_bytes >= HEAVY_BYTES][:heavy]
    rest = tuple(sorted((each for each in by_size if each not in alone), key=_name))
    return [*((each,) for each in sorted(alone, key=_name)), *([rest] if rest else [])]


def zip_layer(planned: PlannedLayer, cache: Cache) -> Layer:
    """Return the layer with its zip, written once."""
    path = cache.file(
        "layers", f"{planned.digest}.zip", lambda file: write_zip(file, planned.files, _PREFIX), is_whole
    )
    return Layer(
        name=planned.name,
        digest=planned.digest,
        zip_path=path,
        size_bytes=planned.size_bytes,
        zip_bytes=path.stat().st_size,
        requirements=tuple(each.requirement for each in planned.packed),
    )


def _planned(members: Sequence[Packed], target: Target) -> PlannedLayer:
    digest = digest_of((entry for entry, _ in _merged(members).values()), _PREFIX)
    alone = len(members) == 1 and members[0].tree.size_bytes >= HEAVY_BYTES
    requirement = members[0].requirement
    title = f"{requirement.distribution}-{requirement.version}" if alone else "rest"
    return PlannedLayer(name=_layer_name(title, target, digest), digest=digest, packed=tuple(members))


def _layer_name(title: str, target: Target, digest: str) -> str:
    minor = target.python.replace(".", "")
    end = f"-py{minor}-{_ARCHITECTURES[target.architecture]}-{digest[:12]}"
    title = re.sub("[^A-Za-z0-9]+", "-", title).strip("-")
    return f"gl-{title[: _NAME_CHARACTERS - 3 - len(end)]}{end}"


def _merged(members: Iterable[Packed]) -> dict[str, tuple[Entry, Tree]]:
    return {entry.path: (entry, each.tree) for each in members for entry in each.tree.entries}


def _name(packed: Packed) -> Requirement:
    return packed.requirement
