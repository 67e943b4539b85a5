"""Sweep: which functions, layer versions and zips nobody needs, and their deletion. What is not proved to be ours is left alone.

In: names of a deployment, a cloud, manifests, who needs what. Out: a `Sweep` to be shown and agreed to; then it is made.
`decide` is pure. Must not delete what has no manifest under the deployment's key, whatever its name or tag say, nor what a
lease that lives or a run that goes on needs.

A sweep may end at any moment, and another goes on: what proves something goes after it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.deployer.functions import Call
from graphlambda.deployer.manifests import LEASE_S, of_function, of_layer, said
from graphlambda.deployer.names import TAG
from graphlambda.deployer.threads import at_once
from graphlambda.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import DeployedFunction
    from graphlambda.deployer.manifests import Lease, Manifest, Manifests
    from graphlambda.deployer.shelf import Shelf, Zip

DAY_S = 86_400.0

_ABSENT = "ResourceNotFoundException"
"""Somebody else's sweep was first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A function, or one version of a layer, whose name carries the deployment's id."""

    name: str
    """Of the function or layer; what leases and manifests call it."""

    arn: str
    manifest: Manifest | None
    """What proves that it is ours, if anything does."""

    tag: str | None
    """Id of the deployment that it is tagged with; None for layers, which have no tags."""

    stands_on: tuple[str, ...] = ()
    """ARNs of a function's layer versions."""

    def gone(self) -> Call:
        """Return the call that deletes it."""
        if self.tag is None:
            return Call(
                "delete_layer_version",
                {"LayerName": self.name, "VersionNumber": int(self.arn.rpartition(":")[2])},
            )
        return Call("delete_function", {"FunctionName": self.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """Who needs what."""

    leases: tuple[Lease, ...] = ()
    own: tuple[Lease, ...] = ()
    """Those of the process that sweeps: they say when something was used, and hold nothing."""

    kept: Mapping[str, str]
    """Functions that a run may still invoke, each with what to say of it."""

    place: str = ""
    """What ARNs of the account and region hold, such as `:eu-central-1:123456789012:`; empty where there is only one."""

    agreed: frozenset[str] | None = None
    """What somebody has agreed to lose, by ARN or URL; None before anybody is asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """What there is of a deployment."""

    pieces: tuple[Piece, ...]
    manifests: tuple[Manifest, ...] = ()
    """All that are authentic."""

    zips: tuple[Zip, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is to go, and what stays."""

    gone: tuple[Piece, ...] = ()
    """Functions before the layers that they stand on."""

    stays: tuple[tuple[Piece, str], ...] = ()
    """Each with its reason."""

    zips: tuple[Zip, ...] = ()
    """To go: of what goes, or went before, and of nothing that stays."""

    manifests: tuple[Manifest, ...] = ()
    """To go at last: of what goes, or went before."""

    awaited: tuple[str, ...] = ()
    """What clients need that is not there yet, each with who does."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is to go."""
        return not (self.gone or self.zips or self.manifests)

    def named(self) -> frozenset[str]:
        """Return what is to go, as `Needs.agreed` names it."""
        return frozenset([*(piece.arn for piece in self.gone), *(each.place for each in self.zips)])


def decide(there: There, needs: Needs, *, deployment: str, older_than_s: float, now_s: float) -> Sweep:
    """Return which of the pieces are ours, needed by nobody, and unused for so long; and what is left of others."""
    ordered = sorted(there.pieces, key=lambda piece: (piece.tag is None, piece.name, piece.arn))
    verdicts = [(piece, _needed(piece, needs, deployment, older_than_s, now_s)) for piece in ordered]
    stands = {arn: piece.name for piece, why in verdicts if why for arn in piece.stands_on}
    verdicts = [
        (piece, why or (f"{stands[piece.arn]} stands on it" if piece.arn in stands else ""))
        for piece, why in verdicts
    ]
    stays = tuple((piece, why) for piece, why in verdicts if why)
    used = [piece.manifest for piece, _ in stays if piece.manifest]
    used += _awaited(there, needs, older_than_s, now_s)
    zips, manifests = _left(there, used, needs.agreed)
    gone = tuple(piece for piece, why in verdicts if not why)
    names = {name for lease in needs.leases for name in lease.names} - {piece.name for piece in ordered}
    held = ((name, _held(name, needs.leases, now_s)) for name in sorted(names))
    awaited = tuple(f"{name}: {who}" for name, who in held if who)
    return Sweep(gone=gone, stays=stays, zips=zips, manifests=manifests, awaited=awaited)


def _awaited(there: There, needs: Needs, older_than_s: float, now_s: float) -> list[Manifest]:
    """Return the manifests of what is not there, and may be about to be made, or to be listed."""
    unused_s = max(older_than_s, LEASE_S)
    made = {piece.manifest.said for piece in there.pieces if piece.manifest}
    return [
        each
        for each in there.manifests
        if each.said not in made and _used(each.subject, each.made_s, needs, unused_s, now_s)
    ]


def _left(
    there: There, used: list[Manifest], agreed: frozenset[str] | None
) -> tuple[tuple[Zip, ...], tuple[Manifest, ...]]:
    """Return the zips and manifests that belong to nothing which stays; a zip's manifest goes with it, or after it."""
    needed, codes = {each.said for each in used}, {each.code_sha256 for each in used}
    idle = [each for each in there.manifests if each.said not in needed]
    ours = {each.code_sha256 for each in idle} - codes
    zips = [each for each in there.zips if each.code_sha256 in ours]
    going = tuple(each for each in zips if agreed is None or each.place in agreed)
    proofs = {each.code_sha256 for each in zips} - {each.code_sha256 for each in going}
    return going, tuple(each for each in idle if each.code_sha256 not in proofs)


def what_is_there(deployment: str, cloud: Cloud, manifests: Manifests, shelf: Shelf | None) -> There:
    """Return all that carries a deployment's id; GetFunction for each function, GetLayerVersion for each version.

    Raises:
        CloudError: the control plane refused to say.
        DeployError: manifests or zips are out of reach.
    """
    zips = shelf.zips() if shelf else ()  # a zip's manifest is written before it
    functions, layers = cloud.names(f"gl-{deployment}-")
    found = cloud.describe(functions=functions).functions
    versions = [(name, arn) for name in layers for arn in cloud.versions(name)]
    told = manifests.all()
    by_said = {manifest.said: manifest for manifest in told}
    pieces = (
        *(_function(name, function, by_said) for name, function in found.items()),
        *filter(None, at_once(lambda item: _layer(*item, cloud, by_said), versions)),
    )
    return There(pieces=pieces, manifests=tuple(told), zips=tuple(zips))


def surveyed(  # noqa: PLR0913  (what there is and who needs it, each by name)
    deployment: str,
    *,
    cloud: Cloud,
    manifests: Manifests,
    kept: Callable[[], Mapping[str, str]],
    shelf: Shelf | None = None,
    agreed: Sweep | None = None,
    place: str = "",
    older_than_s: float,
    clock: Callable[[], float] = time.time,
) -> Sweep:
    """Return what a sweep would delete now, of what was agreed to; raises as `what_is_there` does, and what `kept` raises."""
    there = what_is_there(deployment, cloud, manifests, shelf)
    leases = manifests.leases()  # asked last: whoever has begun meanwhile is heard
    needs = Needs(
        leases=tuple(lease for lease in leases if not manifests.is_mine(lease)),
        own=tuple(filter(manifests.is_mine, leases)),
        kept=kept(),
        place=place,
        agreed=None if agreed is None else agreed.named(),
    )
    return decide(there, needs, deployment=deployment, older_than_s=older_than_s, now_s=clock())


def carry_out(
    fresh: Sweep,
    *,
    cloud: Cloud,
    manifests: Manifests,
    shelf: Shelf | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[Piece | Zip]:
    """Delete what is to go; yield each piece and zip that is gone.

    `fresh` was decided after somebody had agreed: what is needed since then stays.

    Raises:
        CloudError: the control plane refused a call; what was deleted until then is gone.
        DeployError: manifests or zips are out of reach.
    """
    for functions in (True, False):
        wave = [piece for piece in fresh.gone if (piece.tag is not None) is functions]
        yield from at_once(lambda piece: _deleted(piece, cloud), wave)
    if shelf and fresh.zips:
        shelf.drop(fresh.zips)
        yield from fresh.zips
    others = [lease for lease in manifests.leases() if not manifests.is_mine(lease)]
    now_s = clock()  # whoever makes again at this moment what has just gone needs its manifest
    forgotten = (each for each in fresh.manifests if not _held(each.subject, others, now_s))
    deque(at_once(manifests.forget, forgotten), maxlen=0)


def forget_leases(manifests: Manifests, *, older_than_s: float, now_s: float) -> None:
    """Delete the leases that say nothing any more: they are over, and were over for so long. Raises `DeployError`."""
    for lease in manifests.leases():
        if not lease.holds(now_s) and now_s - lease.since_s > older_than_s:
            manifests.end(lease)


def _needed(piece: Piece, needs: Needs, deployment: str, older_than_s: float, now_s: float) -> str:
    """Return why a piece stays; empty where it may go."""
    if needs.place not in piece.arn:
        return "it is in another account or region"
    if piece.manifest is None:
        return "no manifest under this deployment's key names it: it is not ours to delete"
    if piece.tag not in (None, deployment):
        return f"its tag {TAG} is {piece.tag!r}"
    if needs.agreed is not None and piece.arn not in needs.agreed:
        return "nobody has agreed to that"
    return _used(piece.name, piece.manifest.made_s, needs, older_than_s, now_s)


def _used(name: str, made_s: float, needs: Needs, older_than_s: float, now_s: float) -> str:
    """Return who needs what is called so, or how long ago somebody did; empty where that is long enough."""
    if name in needs.kept:
        return needs.kept[name]
    if who := _held(name, needs.leases, now_s):
        return who
    used_s = [lease.since_s for lease in (*needs.leases, *needs.own) if name in lease.names]
    unused_s = now_s - max([made_s, *used_s])
    return f"used {unused_s / DAY_S:,.1f} days ago" if unused_s < older_than_s else ""


def _held(name: str, leases: Iterable[Lease], now_s: float) -> str:
    """Return who has a lease that names something; empty where nobody has."""
    for lease in leases:
        if name in lease.names and lease.holds(now_s):
            return f"{lease.owner} needs it, for {(lease.until_s - now_s) / 60:,.0f} minutes at most"
    return ""


def _function(name: str, found: DeployedFunction, by_said: Mapping[str, Manifest]) -> Piece:
    return Piece(
        name=name,
        arn=found.arn,
        manifest=by_said.get(said(name, of_function(found.configuration, found.layers))),
        tag=found.tags.get(TAG, ""),
        stands_on=found.layers,
    )


def _layer(name: str, arn: str, cloud: Cloud, by_said: Mapping[str, Manifest]) -> Piece | None:
    try:
        version = cloud.layer_version(arn)
    except CloudError as error:
        if error.code == _ABSENT:
            return None
        raise
    manifest = by_said.get(said(name, of_layer(version.code_sha256)))
    return Piece(name=name, arn=arn, manifest=manifest, tag=None)


def _deleted(piece: Piece, cloud: Cloud) -> Piece:
    try:
        cloud.call(piece.gone())
    except CloudError as error:
        if error.code != _ABSENT:
            raise
    return piece
