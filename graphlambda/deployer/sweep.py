"""Sweep: which functions and layer versions nobody needs, and their deletion. What is not proved to be ours is left alone.

In: names of a deployment, a cloud, manifests, who needs what. Out: a `Sweep` to be shown and agreed to; then it is made.
`decide` is pure. Must not delete what has no manifest under the deployment's key, whatever its name or tag say, nor what a
lease that lives or a run that goes on needs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.deployer.functions import Call
from graphlambda.deployer.manifests import of_function, of_layer
from graphlambda.deployer.names import TAG
from graphlambda.deployer.threads import at_once
from graphlambda.errors import CloudError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from graphlambda.deployer.cloud import Cloud
    from graphlambda.deployer.functions import DeployedFunction
    from graphlambda.deployer.manifests import Lease, Manifest, Manifests

DAY_S = 86_400.0


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What is to go, and what stays."""

    gone: tuple[Piece, ...]
    """Functions before the layers that they stand on."""

    stays: tuple[tuple[Piece, str], ...]
    """Each with its reason."""


def decide(
    pieces: Iterable[Piece], needs: Needs, *, deployment: str, older_than_s: float, now_s: float
) -> Sweep:
    """Return which of the pieces are ours, needed by nobody, and unused for so long."""
    ordered = sorted(pieces, key=lambda piece: (piece.tag is None, piece.name, piece.arn))
    verdicts = [(piece, _needed(piece, needs, deployment, older_than_s, now_s)) for piece in ordered]
    stands = {arn: piece.name for piece, why in verdicts if why for arn in piece.stands_on}
    verdicts = [
        (piece, why or (f"{stands[piece.arn]} stands on it" if piece.arn in stands else ""))
        for piece, why in verdicts
    ]
    return Sweep(
        gone=tuple(piece for piece, why in verdicts if not why),
        stays=tuple((piece, why) for piece, why in verdicts if why),
    )


def pieces(deployment: str, cloud: Cloud, manifests: Manifests) -> list[Piece]:
    """Return all that carries a deployment's id; GetFunction for each function, GetLayerVersion for each version.

    Raises:
        CloudError: the control plane refused to say.
        DeployError: the manifests are out of reach.
    """
    functions, layers = cloud.names(f"gl-{deployment}-")
    found = cloud.describe(functions=functions).functions
    versions = [(name, arn) for name in layers for arn in cloud.versions(name)]
    return [
        *at_once(lambda item: _function(*item, manifests), found.items()),
        *at_once(lambda item: _layer(*item, cloud, manifests), versions),
    ]


def surveyed(
    deployment: str,
    *,
    cloud: Cloud,
    manifests: Manifests,
    kept: Callable[[], Mapping[str, str]],
    place: str = "",
    older_than_s: float,
    clock: Callable[[], float] = time.time,
) -> Sweep:
    """Return what a sweep would delete now; raises as `pieces` does, and what `kept` raises."""
    found = pieces(deployment, cloud, manifests)
    leases = manifests.leases()  # asked last: whoever has begun meanwhile is heard
    needs = Needs(
        leases=tuple(lease for lease in leases if not manifests.is_mine(lease)),
        own=tuple(filter(manifests.is_mine, leases)),
        kept=kept(),
        place=place,
    )
    return decide(found, needs, deployment=deployment, older_than_s=older_than_s, now_s=clock())


def carry_out(agreed: Sweep, fresh: Sweep, cloud: Cloud, manifests: Manifests) -> Iterator[Piece]:
    """Delete what was agreed to and may still go; yield each piece that is gone.

    `fresh` was decided after somebody had agreed: what is needed since then stays.

    Raises:
        CloudError: the control plane refused a call; what was deleted until then is gone.
        DeployError: the manifests are out of reach.
    """
    asked = {piece.arn for piece in agreed.gone}
    going = [piece for piece in fresh.gone if piece.arn in asked]
    stays = {piece.name for piece, _ in fresh.stays}
    for functions in (True, False):
        wave = [piece for piece in going if (piece.tag is not None) is functions]
        for piece in at_once(lambda piece: _deleted(piece, cloud), wave):
            if piece.name not in stays:
                manifests.forget(piece.name)
            yield piece


def forget_leases(manifests: Manifests, *, older_than_s: float, now_s: float) -> None:
    """Delete the leases that say nothing any more: they are over, and were over for so long. Raises as `pieces` does."""
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
    if piece.name in needs.kept:
        return needs.kept[piece.name]
    for lease in needs.leases:
        if piece.name in lease.names and lease.holds(now_s):
            return f"{lease.owner} needs it, for {(lease.until_s - now_s) / 60:,.0f} minutes at most"
    used_s = [lease.since_s for lease in (*needs.leases, *needs.own) if piece.name in lease.names]
    unused_s = now_s - max([piece.manifest.made_s, *used_s])
    return f"used {unused_s / DAY_S:,.1f} days ago" if unused_s < older_than_s else ""


def _function(name: str, found: DeployedFunction, manifests: Manifests) -> Piece:
    return Piece(
        name=name,
        arn=found.arn,
        manifest=manifests.find(name, of_function(found.configuration, found.layers)),
        tag=found.tags.get(TAG, ""),
        stands_on=found.layers,
    )


def _layer(name: str, arn: str, cloud: Cloud, manifests: Manifests) -> Piece:
    manifest = manifests.find(name, of_layer(cloud.layer_version(arn).code_sha256))
    return Piece(name=name, arn=arn, manifest=manifest, tag=None)


def _deleted(piece: Piece, cloud: Cloud) -> Piece:
    try:
        cloud.call(piece.gone())
    except CloudError as error:
        if error.code != "ResourceNotFoundException":  # somebody else's sweep was first
            raise
    return piece
