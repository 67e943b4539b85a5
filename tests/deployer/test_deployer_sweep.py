"""A sweep deletes what is proved to be ours and needed by nobody, and says of the rest why it stays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from hashlib import sha256
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.deployer import Deployment, Settings, deploy
from graphlambda.deployer.manifests import Lease, Manifest, Manifests, of_layer
from graphlambda.deployer.shelf import Zip
from graphlambda.deployer.sweep import (
    DAY_S,
    Needs,
    Piece,
    Sweep,
    There,
    carry_out,
    decide,
    forget_leases,
    surveyed,
)
from graphlambda.store.claims import Owner
from graphlambda.store.folders import DiskFolders
from graphlambda.testing.artifacts import make_artifact, make_layer, write_zip
from graphlambda.testing.clouds import ROLE, ROOT, RecordingCloud

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from graphlambda.packager.artifact import Artifact

SETTINGS = Settings(memory_mb=512, timeout_s=60, ephemeral_mb=512, role=ROLE)
WEEK_S = 7 * DAY_S


@dataclass
class Client:
    """A process of its own, somewhere else, at its own time."""

    folder: Path
    cloud: RecordingCloud
    process: int = 1
    now_s: float = 1_000_000.0
    deployment: str = "local"
    manifests: Manifests = field(init=False)

    def __post_init__(self) -> None:
        manifests, leases = (
            DiskFolders(self.folder / part / self.deployment) for part in ("manifests", "leases")
        )
        self.manifests = Manifests(
            manifests, leases, ROOT, self.deployment, client=self.owner, clock=lambda: self.now_s
        )

    def owner(self) -> Owner:
        return Owner(nonce="n", process=self.process, host="far", machine=f"far-{self.process}", started="1")

    def deploys(self, *artifacts: Artifact) -> Deployment:
        wanted = {"cloud": self.cloud, "deployment_id": self.deployment, "manifests": self.manifests}
        return deploy(artifacts, SETTINGS, **wanted)  # type: ignore[arg-type]

    def would(
        self,
        older_than_s: float = WEEK_S,
        kept: Mapping[str, str] = MappingProxyType({}),
        agreed: Sweep | None = None,
    ) -> Sweep:
        return surveyed(
            self.deployment,
            cloud=self.cloud,
            manifests=self.manifests,
            kept=lambda: kept,
            agreed=agreed,
            older_than_s=older_than_s,
            clock=lambda: self.now_s,
        )

    def sweeps(self, agreed: Sweep) -> list[str]:
        """Delete what was agreed to; return the words of what is gone."""
        fresh = self.would(agreed=agreed)
        gone = carry_out(fresh, cloud=self.cloud, manifests=self.manifests, clock=lambda: self.now_s)
        return names(piece for piece in gone if isinstance(piece, Piece))


@pytest.fixture
def cloud() -> RecordingCloud:
    return RecordingCloud()


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    numpy, rest = make_layer(tmp_path, "numpy"), make_layer(tmp_path, "rest")
    return [make_artifact(tmp_path, "sum", (numpy,)), make_artifact(tmp_path, "mean", (numpy, rest))]


def eight_days_later(tmp_path: Path, cloud: RecordingCloud) -> Client:
    """Return another client, when nobody has needed for over a week what the first had deployed."""
    return Client(tmp_path, cloud, process=2, now_s=1_000_000.0 + 8 * DAY_S)


def names(pieces: Iterable[Piece]) -> list[str]:
    """Return the words of pieces' names: `sum` of `gl-local-sum-0123…`."""
    return [piece.name.split("-")[2] for piece in pieces]


def test_what_nobody_used_for_so_long_goes_functions_before_layers_and_its_manifests_too(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(*artifacts)
    later = eight_days_later(tmp_path, cloud)
    agreed = later.would()
    assert (names(agreed.gone), agreed.stays) == (["mean", "sum", "numpy", "rest"], ())
    assert cloud.functions
    assert later.sweeps(agreed) == ["mean", "sum", "numpy", "rest"]
    assert (cloud.functions, cloud.layers) == ({}, {})
    forget_leases(later.manifests, older_than_s=WEEK_S, now_s=later.now_s)
    assert (later.manifests.all(), [*(tmp_path / "leases" / "local").iterdir()]) == ([], [])


def test_a_deploy_counts_as_use_and_keeps_the_layers_that_its_functions_stand_on(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(*artifacts)
    later = eight_days_later(tmp_path, cloud)
    (used,) = later.deploys(artifacts[0]).functions.values()
    sweep = replace(later, now_s=later.now_s + DAY_S, process=3).would()
    assert names(sweep.gone) == ["mean", "rest"]
    assert {why for piece, why in sweep.stays if piece.name == used} == {"used 1.0 days ago"}
    assert [why for piece, why in sweep.stays if piece.tag is None] == ["used 1.0 days ago"]


def test_what_a_living_lease_names_stays_and_who_holds_it_is_told(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    client = Client(tmp_path, cloud)
    client.deploys(*artifacts)
    other = Client(tmp_path, cloud, process=2, now_s=client.now_s + 600)
    sweep = other.would(older_than_s=0.0)
    assert sweep.gone == ()
    assert {why for _, why in sweep.stays} == {"process 1 on far needs it, for 50 minutes at most"}
    assert names(client.would(older_than_s=0.0).gone) == ["mean", "sum", "numpy", "rest"]


def test_a_deploy_after_the_agreement_keeps_what_it_needs(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(*artifacts)
    later = eight_days_later(tmp_path, cloud)
    agreed = later.would()
    Client(tmp_path, cloud, process=3, now_s=later.now_s).deploys(artifacts[0])
    assert later.sweeps(agreed) == ["mean", "rest"]
    assert len(cloud.functions) == 1


def test_what_was_not_shown_is_not_deleted(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(artifacts[1])
    later = eight_days_later(tmp_path, cloud)
    agreed = later.would()
    Client(tmp_path, cloud).deploys(artifacts[0])
    assert later.sweeps(agreed) == ["mean", "rest"]
    assert names(later.would().gone) == ["sum", "numpy"], "and still has its manifest"


def test_each_version_of_a_layer_has_its_own_manifest_until_it_is_gone(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(artifacts[0])
    cloud.layers.clear()  # its newest version is not listed yet, so that a second one is published
    other = write_zip(tmp_path / "other.zip", {"python/numpy.py": "VERSION = 2"})
    (layer,) = artifacts[0].layers
    again = replace(artifacts[0], layers=(replace(layer, zip_path=other),), operation="f" * 64)
    Client(tmp_path, cloud, now_s=1_000_000.0 + 6 * DAY_S).deploys(again)
    later = Client(tmp_path, cloud, process=2, now_s=1_000_000.0 + 14 * DAY_S)
    first, second = [piece for piece in later.would().gone if piece.tag is None]
    assert first.name == second.name
    one = Sweep(gone=tuple(piece for piece in later.would().gone if piece != second))
    assert later.sweeps(one) == ["sum", "sum", "numpy"]
    assert later.would().gone == (second,)


def test_who_makes_again_what_has_just_gone_keeps_its_manifest(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud).deploys(*artifacts)
    later = eight_days_later(tmp_path, cloud)
    fresh = later.would()
    going = carry_out(fresh, cloud=cloud, manifests=later.manifests, clock=lambda: later.now_s)
    gone = [next(going) for _ in fresh.gone]
    assert len(gone) == 4
    Client(tmp_path, cloud, process=3, now_s=later.now_s).deploys(artifacts[0])
    assert list(going) == []
    after = replace(later, now_s=later.now_s + 8 * DAY_S, process=4).would()
    assert names(after.gone) == ["sum", "numpy"]


def test_a_function_that_a_run_may_still_invoke_stays(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    made = Client(tmp_path, cloud).deploys(*artifacts).functions
    later = eight_days_later(tmp_path, cloud)
    sweep = later.would(kept={made[artifacts[1].operation]: "run r waits for it"})
    assert names(sweep.gone) == ["sum"]
    told = {piece.name.split("-")[2]: why for piece, why in sweep.stays}
    assert told["mean"] == "run r waits for it"
    assert told["rest"] == f"{made[artifacts[1].operation]} stands on it"


def test_other_deployments_strangers_and_what_somebody_else_tagged_are_never_touched(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    Client(tmp_path, cloud, deployment="other").deploys(*artifacts)
    (ours,) = Client(tmp_path, cloud).deploys(artifacts[0]).functions.values()
    stranger = replace(cloud.functions[ours], arn=cloud.functions[ours].arn + "x")
    cloud.functions["gl-local-stranger"] = stranger
    cloud.functions[ours] = replace(cloud.functions[ours], tags={"graphlambda": "other"})
    sweep = eight_days_later(tmp_path, cloud).would()
    assert sweep.gone == ()
    assert {piece.name: why for piece, why in sweep.stays if piece.tag is not None} == {
        "gl-local-stranger": "no manifest under this deployment's key names it: it is not ours to delete",
        ours: "its tag graphlambda is 'other'",
    }


OWNER = Owner(nonce="n", process=1, host="far", machine="far", started="1")
ZIPS = tuple(
    Zip(key=f"{sha256(bytes([number])).hexdigest()}.zip", place=f"s3://b/{number}", size_bytes=1)
    for number in range(3)
)


def manifest_of(number: int, made_s: float) -> Manifest:
    """Return the manifest of a piece that is made of the same zip as the third after it."""
    reported = of_layer(ZIPS[number % 3].code_sha256)
    return Manifest(subject=str(number), reported=reported, owner="", made_s=made_s)


@given(
    made=st.lists(
        st.tuples(st.booleans(), st.floats(0, 20), st.sampled_from(["", "local", "other"])), max_size=6
    ),
    leases=st.lists(st.tuples(st.sets(st.integers(0, 5)), st.floats(0, 20), st.floats(0, 30)), max_size=3),
    older=st.floats(0, 20),
)
def test_whatever_there_is_only_what_is_ours_free_and_old_goes_and_more_is_never_less(
    made: list[tuple[bool, float, str]], leases: list[tuple[set[int], float, float]], older: float
) -> None:
    now_s = 20.0
    pieces = [
        Piece(
            name=str(number),
            arn=f"arn:{number}",
            manifest=manifest_of(number, at) if proved else None,
            tag=tag,
        )
        for number, (proved, at, tag) in enumerate(made)
    ]
    needs = Needs(
        leases=tuple(
            Lease(owner=OWNER, names=frozenset(map(str, named)), since_s=since, until_s=until, folder="f")
            for named, since, until in leases
        ),
        kept={},
    )
    manifests = [manifest_of(number, at) for number, (_, at, _) in enumerate(made)]
    there = There(pieces=tuple(pieces), manifests=tuple(manifests), zips=ZIPS)
    swept = decide(there, needs, deployment="local", older_than_s=older, now_s=now_s)
    assert sorted([*swept.gone, *(piece for piece, _ in swept.stays)], key=lambda piece: piece.name) == pieces
    for piece in swept.gone:
        assert piece.manifest is not None
        assert piece.tag == "local"
        assert now_s - piece.manifest.made_s >= older
        assert not any(piece.name in lease.names and lease.until_s > now_s for lease in needs.leases)
    stay = [piece.manifest for piece, _ in swept.stays if piece.manifest]
    assert not {each.said for each in swept.manifests} & {each.said for each in stay}
    assert not {each.code_sha256 for each in swept.zips} & {each.code_sha256 for each in stay}
    assert {each.code_sha256 for each in swept.zips} <= {each.code_sha256 for each in swept.manifests}
    steps = [
        set(map(str, decide(there, needs, deployment="local", older_than_s=days, now_s=now_s).gone))
        for days in (older + 1, older, 0.0)
    ]
    assert all(fewer <= more for fewer, more in pairwise(steps))


def test_who_deploys_what_is_there_says_that_it_is_needed_once_and_writes_no_manifest(
    tmp_path: Path, cloud: RecordingCloud, artifacts: list[Artifact]
) -> None:
    """A policy for people who only run lets them write leases, and read manifests."""
    Client(tmp_path, cloud).deploys(*artifacts)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "manifests").rglob("*")}
    runner = Client(tmp_path, cloud, process=2)
    for seconds in (0, 1000, 3000):
        runner.now_s = 1_000_000.0 + seconds
        runner.deploys(*artifacts)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "manifests").rglob("*")} == written
    leases = [lease for lease in runner.manifests.leases() if lease.owner == runner.owner()]
    assert sorted(lease.since_s for lease in leases) == [1_000_000.0, 1_003_000.0]
