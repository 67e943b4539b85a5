"""Make what an operation needs fit into a function: how tight it is packed, and in which layers.

In: slim trees and how tight. Out: a `Fit`: layers and, at the last levels, an archive; or a tighter level. What is
tighter costs something, so a level is taken only by an operation that does not fit otherwise::

    default      modules as source and byte code
    bare         byte code only; a distribution that reads its own source when it is imported keeps that
    archive      the heaviest distributions as `deps.tar.zst` in layers, unpacked to /tmp at a cold start
    archive-all  all distributions so: what shares a folder or a library with one in the archive has to follow it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from graphlambda.packager.archive import DECODER, Archive, archive_of
from graphlambda.packager.layers import MOST_HEAVY, PlannedLayer, piece_layers, plan_layers, zip_layer

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from graphlambda.packager.artifact import Level, Target
    from graphlambda.packager.cache import Cache
    from graphlambda.packager.layers import Packed

LEVELS: tuple[Level, ...] = ("default", "bare", "archive", "archive-all")
"""From the one that costs nothing to the tightest."""

MOST_LAYERS = MOST_HEAVY + 1

_SLACK_BYTES = 1_000_000
"""Left for what is not written yet when an archive is planned: the manifest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one function may hold.

    https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
    """

    unzipped_bytes: int = 262_144_000
    """A function's own files and its layers."""

    zip_bytes: int = 52_428_800
    """A zip that comes with the request that publishes it."""

    tmp_mb: int = 10_240
    """MiB of /tmp."""


AWS = Limits()
THROUGH_S3 = Limits(zip_bytes=AWS.unzipped_bytes)
"""Where a zip may lie in S3 when it is published: it is bounded by what is in it."""

UNLIMITED = Limits(unzipped_bytes=2**60, zip_bytes=2**60, tmp_mb=2**40)
"""Of what is laid out on this machine only to be imported."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What a function stands on."""

    layers: tuple[PlannedLayer, ...]
    """In mount order; at most five, or they do not fit."""

    archive: Archive | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """For what layers are planned."""

    own_bytes: int
    """Of the function's own files, or nearly."""

    limits: Limits
    target: Target
    cache: Cache


def tighter(level: Level) -> Level | None:
    """Return the next level, if there is one."""
    following = LEVELS[LEVELS.index(level) + 1 :]
    return following[0] if following else None


def planned(packed: Sequence[Packed], level: Level, room: Room) -> Fit:
    """Return the layers of some distributions at a level; whether they fit is for `excess` to say."""
    if level == "archive":
        return _heaviest_archived(packed, room)
    if level == "archive-all":
        return _archived([each for each in packed if _may_be_archived(each)], packed, room)
    return Fit(plan_layers(packed, room.target))


def excess(fit: Fit, room: Room) -> str:
    """Return, in words, why layers are more than a function may have; nothing if they are not."""
    limits = room.limits
    total = room.own_bytes + sum(layer.size_bytes for layer in fit.layers)
    if total > limits.unzipped_bytes:
        return (
            f"needs {total / 1e6:.1f} MB unzipped; a function and its layers may hold "
            f"{limits.unzipped_bytes / 1e6:.1f} MB"
        )
    if len(fit.layers) > MOST_LAYERS:
        return f"needs {len(fit.layers)} layers; a function may have {MOST_LAYERS}"
    return _overweight(fit.layers, room)


def tmp_mb(room_bytes: int) -> int:
    """Return the MiB of /tmp to ask for, for files that take so many bytes: a tenth more."""
    return -(-room_bytes * 11 // (10 * 2**20))


def _heaviest_archived(packed: Sequence[Packed], room: Room) -> Fit:
    """Archive the heaviest distributions, as few as will do: all others stay in the layers that functions share."""
    candidates = sorted(
        filter(_may_be_archived, packed), key=lambda each: (-each.tree.size_bytes, each.requirement)
    )
    roomy = replace(room, own_bytes=room.own_bytes + _SLACK_BYTES)
    left = sum(each.tree.size_bytes for each in packed)
    for count, heaviest in enumerate(candidates, 1):
        left -= heaviest.tree.size_bytes
        if left + roomy.own_bytes < room.limits.unzipped_bytes:
            fit = _archived(candidates[:count], packed, room)
            if not excess(fit, roomy):
                return fit
    return Fit(plan_layers(packed, room.target))


def _archived(members: Collection[Packed], packed: Iterable[Packed], room: Room) -> Fit:
    """Return layers of which the last are the pieces of an archive; without one where /tmp could not hold it."""
    if not members or tmp_mb(sum(each.tree.size_bytes for each in members)) > room.limits.tmp_mb:
        return Fit(plan_layers(packed, room.target))
    piece_bytes = room.limits.zip_bytes * 98 // 100  # a zip adds a little to what is in it
    archive = archive_of(members, piece_bytes, room.cache)
    pieces = piece_layers(archive.pieces, tuple(sorted(members, key=_name)), room.target)
    rest = [each for each in packed if each not in members]
    shared = plan_layers(rest, room.target, heavy=max(0, MOST_HEAVY - len(pieces)))
    return Fit((*shared, *pieces), archive)


def _overweight(layers: Iterable[PlannedLayer], room: Room) -> str:
    for layer in layers:
        if layer.size_bytes > room.limits.zip_bytes:  # else its zip cannot be too large
            zipped = zip_layer(layer, room.cache).zip_bytes
            if zipped > room.limits.zip_bytes:
                return (
                    f"needs the layer {layer.name}, whose zip has {zipped / 1e6:.1f} MB; a request may carry "
                    f"{room.limits.zip_bytes / 1e6:.1f} MB"
                )
    return ""


def _may_be_archived(packed: Packed) -> bool:
    return packed.requirement.distribution != DECODER


def _name(packed: Packed) -> tuple[str, str]:
    return packed.requirement.distribution, packed.requirement.version
