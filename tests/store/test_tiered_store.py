"""The tiered store keeps the contract; a value is on one road, and found whichever it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import LostValueError, StoreError
from graphlambda.runtime.tiered import MARK
from graphlambda.runtime.valkey import TTL_S, lease_key
from graphlambda.runtime.values import client_of
from graphlambda.store import FileStore, S3Store, Store, TieredStore
from graphlambda.store.tiered import hot_bytes
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.s3_servers import age_lease
from graphlambda.testing.stores import RUN, FaultyStore, StoreTests

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from graphlambda.testing.s3_servers import S3Server

LIMIT = 1000


class TestValkeyBeforeS3(StoreTests):
    @pytest.fixture
    def store(self, own_url: str, seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.keys.access_key)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.keys.secret_key)
        hot, cold = ValkeyStore(spec_of(own_url)), S3Store(seaweed.location(), lambda: seaweed.keys)
        yield TieredStore(hot, cold, LIMIT)
        for run in hot.runs():
            hot.drop(run)

    def age(self, store: Store, run: str, seconds: float) -> None:
        assert isinstance(store, TieredStore)
        assert isinstance(store._hot, ValkeyStore)
        assert isinstance(store._cold, S3Store)
        left_ms = b"%d" % (1000 * (TTL_S - seconds))
        store._hot._client.server.run([(b"PEXPIRE", lease_key(run), left_ms)])
        age_lease(store._cold._bucket, run, seconds)


@pytest.fixture
def hot(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "hot")


@pytest.fixture
def cold(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "cold")


@pytest.fixture
def store(hot: FileStore, cold: FileStore) -> TieredStore:
    made = TieredStore(hot, cold, LIMIT)
    made.touch(RUN)
    return made


SMALL, LARGE = b"s" * LIMIT, b"l" * (LIMIT + 1)


def test_a_value_is_stored_once_where_its_size_belongs(
    store: TieredStore, hot: FileStore, cold: FileStore
) -> None:
    store.put(RUN, "small", [SMALL])
    store.put(RUN, "large", [LARGE])
    sizes = {name: (hot.size(RUN, name), cold.size(RUN, name)) for name in ("small", "large")}
    assert sizes == {"small": (len(SMALL), None), "large": (len(MARK), len(LARGE))}
    assert {name: bytes(store.get(RUN, name)) for name in sizes} == {"small": SMALL, "large": LARGE}
    store.delete(RUN, ["small", "large"])
    assert [kept.exists(RUN, name) for kept in (hot, cold) for name in sizes] == [False] * 4


@pytest.mark.parametrize(("first", "late"), [(SMALL, LARGE), (LARGE, SMALL)])
def test_the_first_writer_wins_whichever_road_the_others_take(
    store: TieredStore, first: bytes, late: bytes
) -> None:
    store.put(RUN, "v-1", [first])
    store.put(RUN, "v-1", [late])
    assert bytes(store.get(RUN, "v-1")) == first
    assert store.size(RUN, "v-1") == len(first)


def test_what_the_hot_store_lost_is_lost_and_what_is_cold_is_not(store: TieredStore, hot: FileStore) -> None:
    store.put(RUN, "small", [SMALL])
    store.put(RUN, "large", [LARGE])
    hot.drop(RUN)
    assert bytes(store.get(RUN, "large")) == LARGE
    with pytest.raises(LostValueError) as raised:
        store.get(RUN, "small")
    assert (raised.value.run, raised.value.name) == (RUN, "small")
    assert client_of(store.spec()).ended(RUN) == ""


def test_a_hot_store_that_is_full_is_passed_over(hot: FileStore, cold: FileStore) -> None:
    full = FaultyStore(hot, lambda method, _: method == "put")
    store = TieredStore(full, cold, LIMIT)
    store.touch(RUN)
    store.put(RUN, "small", [SMALL])
    store.put(RUN, "large", [LARGE])
    assert (bytes(store.get(RUN, "small")), bytes(store.get(RUN, "large"))) == (SMALL, LARGE)


def test_a_hot_store_that_is_out_of_reach_is_missed_only_by_its_own_values(
    hot: FileStore, cold: FileStore
) -> None:
    reachable = True
    store = TieredStore(FaultyStore(hot, lambda *_: not reachable), cold, LIMIT)
    store.touch(RUN)
    store.put(RUN, "before", [SMALL])
    reachable = False
    store.touch(RUN)
    store.put(RUN, "after", [SMALL])
    assert bytes(store.get(RUN, "after")) == SMALL
    with pytest.raises(StoreError, match="injected") as raised:
        store.get(RUN, "before")
    assert not isinstance(raised.value, LostValueError)


def test_the_cold_store_is_dropped_even_if_the_hot_one_cannot_be(hot: FileStore, cold: FileStore) -> None:
    store = TieredStore(FaultyStore(hot, lambda method, _: method == "drop"), cold, LIMIT)
    store.touch(RUN)
    with pytest.raises(StoreError, match="injected"):
        store.drop(RUN)
    assert cold.runs() == {}


@pytest.mark.parametrize(
    ("readers", "result", "expected"),
    [(0, False, 10), (1, False, 10), (3, False, 30), (99, False, 160), (3, True, -1)],
)
def test_what_many_read_may_be_larger_and_results_are_never_hot(
    readers: int, result: bool, expected: int
) -> None:
    assert hot_bytes(10, readers, result=result) == expected


def test_a_function_takes_the_road_that_its_request_names(
    store: TieredStore, hot: FileStore, cold: FileStore
) -> None:
    client_of(store.road(readers=1, result=True)).write(RUN, "result", [SMALL])
    client_of(store.road(readers=2, result=False)).write(RUN, "shared", [LARGE])
    assert (cold.size(RUN, "result"), hot.size(RUN, "shared")) == (len(SMALL), len(LARGE))
