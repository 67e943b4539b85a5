"""Run folders in a bucket keep the contract on two servers, and a lost answer is no lost race."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from moto.backends import get_backend

from graphlambda.errors import RunHeldError, RunLostError
from graphlambda.runtime.bucket import Bucket
from graphlambda.store.claims import Owner, take
from graphlambda.store.s3_folders import S3Folders
from graphlambda.testing.folders import RUN, FoldersTests
from graphlambda.testing.s3_memory import MemoryS3
from graphlambda.testing.s3_servers import BUCKET, REGION, S3Server
from graphlambda.testing.troubled import Trouble, troubled

if TYPE_CHECKING:
    from graphlambda.store.folders import Folders


class Aged(S3Folders):
    """Folders whose age is told with what a test adds to it: a real server's clock cannot be set."""

    def __init__(self, bucket: Bucket) -> None:
        super().__init__(bucket)
        self.older_s: dict[str, float] = {}

    def runs(self) -> dict[str, float]:
        return {run: age_s + self.older_s.get(run, 0.0) for run, age_s in super().runs().items()}


class TestS3FoldersOnSeaweed(FoldersTests):
    @pytest.fixture
    def folders(self, seaweed: S3Server) -> Folders:
        return Aged(seaweed.bucket())

    def age(self, folders: Folders, run: str, seconds: float) -> None:
        assert isinstance(folders, Aged)
        folders.older_s[run] = seconds


class TestS3FoldersOnMoto(FoldersTests):
    @pytest.fixture
    def folders(self, moto: S3Server) -> Folders:
        return S3Folders(moto.bucket())

    def age(self, folders: Folders, run: str, seconds: float) -> None:
        assert isinstance(folders, S3Folders)
        backend = get_backend("s3")["123456789012"]["aws"]
        for key in backend.buckets[BUCKET].keys.values():
            if key.name.startswith(f"{folders._bucket.prefix}{run}/"):
                key.last_modified -= timedelta(seconds=seconds)


class TestS3FoldersInMemory(FoldersTests):
    @pytest.fixture
    def folders(self) -> Folders:
        return Aged(MemoryS3().bucket("runs"))

    def age(self, folders: Folders, run: str, seconds: float) -> None:
        assert isinstance(folders, Aged)
        folders.older_s[run] = seconds


def test_who_lost_only_an_answer_has_won(seaweed: S3Server) -> None:
    with troubled(seaweed.endpoint) as proxy:
        where = {"region": REGION, "keys": lambda: seaweed.keys, "pause": lambda _: None}
        folder = S3Folders(Bucket(f"{proxy.url}/{BUCKET}", "lost/", **where)).of(RUN)  # type: ignore[arg-type]
        proxy.give([Trouble.ANSWER_LOST])
        assert folder.create("lease", [b"mi", b"ne"])
        assert not folder.create("lease", [b"another's"])
        found = folder.read("lease")
        assert found is not None
        proxy.give([Trouble.ANSWER_LOST])
        assert folder.replace("lease", b"renewed", found.tag)
        assert folder.replace("lease", b"late", found.tag) is None


def test_of_two_clients_one_claims_a_run(seaweed: S3Server) -> None:
    folder = S3Folders(seaweed.bucket()).of(RUN)
    owners = [Owner(nonce=str(number), process=number, host="elsewhere") for number in range(2)]
    claim = take(folder, owners[0])
    with pytest.raises(RunHeldError, match="process 0 on elsewhere"):
        take(folder, owners[1])
    claim.release()
    take(folder, owners[1])
    with pytest.raises(RunLostError, match="process 1"):
        claim.renew()
