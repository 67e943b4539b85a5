"""The S3 store keeps the contract on two servers that others wrote."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import StoreError
from graphlambda.runtime.bucket import text_of
from graphlambda.runtime.identity import Keys
from graphlambda.runtime.s3 import S3Client
from graphlambda.runtime.values import CANCELLED
from graphlambda.store import Location, S3Store, Store
from graphlambda.store.listing import objects
from graphlambda.store.s3_folders import S3Folders
from graphlambda.testing.s3_servers import age_lease
from graphlambda.testing.stores import StoreTests

if TYPE_CHECKING:
    from graphlambda.testing.s3_servers import S3Server


class S3StoreTests(StoreTests):
    """The contract, on a server that the subclass names."""

    @pytest.fixture
    def server(self) -> S3Server:
        raise NotImplementedError

    @pytest.fixture
    def store(self, server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Store:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.keys.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.keys.secret_key)
        return S3Store(server.location(), lambda: server.keys)

    def age(self, store: Store, run: str, seconds: float) -> None:
        assert isinstance(store, S3Store)
        age_lease(store._bucket, run, seconds)


class TestS3StoreOnSeaweed(S3StoreTests):
    @pytest.fixture
    def server(self, seaweed: S3Server) -> S3Server:
        return seaweed


class TestS3StoreOnMoto(S3StoreTests):
    @pytest.fixture
    def server(self, moto: S3Server) -> S3Server:
        return moto


@pytest.fixture(params=["seaweed", "moto"])
def store(request: pytest.FixtureRequest) -> S3Store:
    server: S3Server = request.getfixturevalue(request.param)
    return S3Store(server.location("a b/ä+ü"), lambda: server.keys)


def test_more_values_than_a_page_are_listed_and_dropped(store: S3Store) -> None:
    store.touch("run")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store._bucket.put(f"run/v-{n}", [b""], {}), range(1003)))
    assert len(list(objects(store._bucket, "run/v-"))) == 1003
    store.drop("run")
    assert list(objects(store._bucket, "run/")) == []
    assert store.runs() == {}


def test_a_value_that_came_after_its_run_was_dropped_is_swept_by_its_own_age(store: S3Store) -> None:
    store._bucket.put("late/v-1", [b"a"], {})
    assert list(store.runs()) == ["late"]
    assert store.sweep(older_than_s=500.0) == ()
    assert store.sweep(older_than_s=-5.0) == ("late",)
    assert store.runs() == {}


def test_what_lies_under_a_name_that_no_run_has_ends_no_sweep(store: S3Store) -> None:
    for key in ("no run/v-1", "late/v-1"):
        store._bucket.put(key, [b"a"], {})
    assert S3Folders(store._bucket).runs().keys() == {"late"}
    assert store.sweep(older_than_s=-5.0) == ("late",)


def test_uploads_in_parts_that_were_cut_off_end_with_their_run(store: S3Store) -> None:
    store.touch("run")
    upload = text_of(store._bucket.ask("POST", "run/v-1", "uploads=").body, "UploadId")
    assert upload in str(bytes(store._bucket.ask("GET", "", "uploads=").body))
    store.drop("run")
    assert upload not in str(bytes(store._bucket.ask("GET", "", "uploads=").body))


def test_a_cancelled_run_stays_cancelled_whoever_renews_its_lease(seaweed: S3Server) -> None:
    location = seaweed.location()
    ours, theirs = (S3Store(location, lambda: seaweed.keys) for _ in range(2))
    ours.touch("run")
    theirs.cancel("run")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda store: store.touch("run"), [ours, theirs] * 4))
    assert S3Client(ours._bucket).ended("run") == CANCELLED


def test_what_is_wrong_with_a_store_is_a_store_error() -> None:
    location = Location(bucket="b", region="us-east-1", endpoint="http://127.0.0.1:1")
    store = S3Store(location, lambda: Keys("AKID", "secret"), pause=lambda _: None)
    with pytest.raises(StoreError, match="ConnectionRefusedError"):
        store.touch("run")
    assert S3Client(store._bucket).ended("run") == ""
    assert "secret" not in repr(store) + json.dumps(store.spec())


def test_a_location_is_at_aws_unless_it_says_where() -> None:
    place = Location(bucket="values", prefix="team/a", region="eu-central-1")
    assert (place.url, str(place)) == ("https://values.s3.eu-central-1.amazonaws.com", "s3://values/team/a")
    dotted = Location(bucket="my.values", region="cn-north-1")
    assert (dotted.url, str(dotted)) == ("https://s3.cn-north-1.amazonaws.com.cn/my.values", "s3://my.values")
    other = Location(bucket="values", region="us-east-1", endpoint="http://127.0.0.1:8333")
    assert (other.url, str(other)) == ("http://127.0.0.1:8333/values", "s3://values at http://127.0.0.1:8333")
