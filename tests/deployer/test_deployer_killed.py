"""Deploys and sweeps that are killed at any of their calls: whoever comes next ends where they would have ended.

A killed process makes no call any more; what it had asked for is done, or is not.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from graphlambda.deployer import Settings, deploy
from graphlambda.deployer.manifests import LEASE_S, Manifests
from graphlambda.deployer.plan import INLINE_BYTES
from graphlambda.deployer.shelf import BucketShelf
from graphlambda.deployer.sweep import DAY_S, Sweep, carry_out, forget_leases, surveyed
from graphlambda.store.claims import Owner
from graphlambda.store.s3_folders import S3Folders
from graphlambda.testing.artifacts import make_artifact, make_layer
from graphlambda.testing.clouds import ROLE, ROOT, RecordingCloud
from graphlambda.testing.s3_memory import MemoryS3
from graphlambda.testing.troubled import Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from graphlambda.deployer.functions import Call, Made
    from graphlambda.packager.artifact import Artifact
    from graphlambda.runtime.bucket import Bucket

SETTINGS = Settings(memory_mb=512, timeout_s=60, ephemeral_mb=512, role=ROLE)


class KilledError(BaseException):
    """A process was killed; no `except Exception` sees it."""


@dataclass
class Life:
    """Counts the calls of a process up to its end."""

    left: int = -1
    """Calls until it is killed; negative: it is not."""

    calls: int = 0

    def call(self) -> None:
        if self.left == self.calls:
            raise KilledError
        self.calls += 1


@dataclass(slots=True)
class MortalCloud(RecordingCloud):
    """A cloud whose client may be killed before it changes anything."""

    life: Life = field(default_factory=Life)

    def call(self, call: Call) -> Made:
        self.life.call()
        return RecordingCloud.call(self, call)


def one_by_one(
    function: Callable[..., object], items: Iterable[object], *, threads: int = 1
) -> Iterator[object]:
    """Call as `at_once` does, in an order that is the same each time."""
    del threads
    return map(function, items)


def zip_of(path: Path) -> str:
    """Return under which name a zip lies in the bucket."""
    return f"{sha256(path.read_bytes()).hexdigest()}.zip"


class World:
    """An account, a bucket, and processes that come and go; all of it in memory."""

    def __init__(self) -> None:
        self.life = Life()
        self.now_s = 1_000_000.0
        self.s3 = MemoryS3(self._exchange, lambda: self.now_s)
        self.cloud = MortalCloud(objects=self._read, life=self.life)
        self.processes = 0

    def _exchange(self) -> Trouble:
        self.life.call()
        return Trouble.NONE

    def _read(self, key: str) -> bytes:
        found = self._below("").get(key)
        assert found is not None
        return bytes(found[0])

    def _below(self, prefix: str) -> Bucket:
        return self.s3.bucket(prefix)

    def begins(self, left: int = -1) -> tuple[Manifests, BucketShelf]:
        """Begin a process, which is killed after so many calls; return what it has in its hands."""
        self.processes += 1
        self.life.left, self.life.calls = left, 0
        me = Owner(
            nonce="n", process=self.processes, host="far", machine=f"far-{self.processes}", started="1"
        )
        manifests = Manifests(
            S3Folders(self._below("manifests")),
            S3Folders(self._below("leases")),
            ROOT,
            "local",
            client=lambda: me,
            clock=lambda: self.now_s,
        )
        return manifests, BucketShelf("bucket", self._below("artifacts"))

    def deploys(self, artifacts: list[Artifact], left: int = -1) -> None:
        manifests, shelf = self.begins(left)
        deploy(
            artifacts,
            SETTINGS,
            cloud=self.cloud,
            deployment_id="local",
            manifests=manifests,
            shelf=shelf,
            at_once=one_by_one,  # type: ignore[arg-type]
        )

    def sweeps(self, left: int = -1) -> Sweep:
        manifests, shelf = self.begins(left)
        sweep = surveyed(
            "local",
            cloud=self.cloud,
            manifests=manifests,
            kept=dict,
            shelf=shelf,
            older_than_s=DAY_S,
            clock=lambda: self.now_s,
        )
        for _ in carry_out(
            sweep, cloud=self.cloud, manifests=manifests, shelf=shelf, clock=lambda: self.now_s
        ):
            pass
        forget_leases(manifests, older_than_s=DAY_S, now_s=self.now_s)
        return sweep

    def later(self) -> None:
        """Let so much time pass that nobody needs anything any more."""
        self.now_s += DAY_S + LEASE_S + 1.0


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    """Return three functions on two layers, of which some are too large for a request."""
    numpy, rest = make_layer(tmp_path, "numpy"), make_layer(tmp_path, "rest")
    large = replace(numpy, zip_bytes=INLINE_BYTES + 1)
    whole = [make_artifact(tmp_path, "sum", (large,)), make_artifact(tmp_path, "mean", (large, rest))]
    return [*whole, replace(make_artifact(tmp_path, "large", (rest,)), zip_bytes=INLINE_BYTES + 1)]


def ends(process: Callable[[], object]) -> bool:
    """Whether a process comes to its own end."""
    try:
        process()
    except KilledError:
        return False
    return True


def test_a_sweep_after_one_that_was_killed_at_any_call_leaves_nothing(artifacts: list[Artifact]) -> None:
    left, ended = 0, False
    while not ended:
        world = World()
        world.deploys(artifacts)
        assert (len(world.cloud.functions), len(world.cloud.layers), len(world.s3.keys())) == (3, 2, 8)
        world.later()
        ended = ends(partial(world.sweeps, left))
        world.sweeps()
        assert (world.cloud.functions, world.cloud.layers, world.s3.keys()) == ({}, {}, []), left
        left += 1
    assert left > 20


def test_a_deploy_after_one_that_was_killed_at_any_call_makes_the_rest_and_a_sweep_takes_all(
    artifacts: list[Artifact],
) -> None:
    left, ended = 0, False
    while not ended:
        world = World()
        ended = ends(partial(world.deploys, artifacts, left))
        world.deploys(artifacts)
        assert (len(world.cloud.functions), len(world.cloud.layers)) == (3, 2), left
        changes = len(world.cloud.changes)
        world.deploys(artifacts)
        assert len(world.cloud.changes) == changes, left
        world.later()
        world.sweeps()
        assert (world.cloud.functions, world.cloud.layers, world.s3.keys()) == ({}, {}, []), left
        left += 1
    assert left > 15


def test_what_a_killed_deploy_left_goes_without_another(artifacts: list[Artifact]) -> None:
    left, ended = 0, False
    while not ended:
        world = World()
        ended = ends(partial(world.deploys, artifacts, left))
        world.sweeps()
        assert len(world.cloud.layers) <= 2, "its lease is not over"
        world.later()
        world.sweeps()
        assert (world.cloud.functions, world.cloud.layers, world.s3.keys()) == ({}, {}, []), left
        left += 1


def test_a_zip_goes_with_the_last_that_was_made_of_it_and_what_no_manifest_names_stays(
    artifacts: list[Artifact],
) -> None:
    world = World()
    world.deploys(artifacts)
    for key in (f"{'0' * 64}.zip", "read.me"):
        world.s3.bucket("artifacts").put(key, [b"somebody else's"], {})
    world.later()
    world.deploys(artifacts[:1])  # the layer that is too large, and not the function
    assert [each.place for each in world.sweeps().zips] == [
        f"s3://bucket/artifacts/{zip_of(artifacts[2].zip_path)}"
    ]
    world.later()
    layer = artifacts[0].layers[0]
    (gone,) = world.sweeps().zips
    assert (gone.key, gone.size_bytes) == (zip_of(layer.zip_path), layer.zip_path.stat().st_size)
    assert world.s3.keys() == [f"artifacts/{'0' * 64}.zip", "artifacts/read.me"]


def test_of_two_regions_on_one_bucket_neither_sees_what_the_other_says(artifacts: list[Artifact]) -> None:
    world = World()
    world.deploys(artifacts)
    world.later()
    here, _ = world.begins()
    there = Manifests(
        S3Folders(world.s3.bucket("manifests")),
        S3Folders(world.s3.bucket("leases")),
        ROOT,
        "local",
        region="eu-west-1",
    )
    assert (len(here.all()), there.all(), there.leases()) == (5, [], [])
