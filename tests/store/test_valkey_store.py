"""The Valkey store keeps the contract, wherever its server is, and leaves nothing on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.runtime.valkey import TTL_S
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.stores import StoreTests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.store import Store


class ValkeyTests(StoreTests):
    """The contract against a server that is shared, and empty at the end of each test."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        store = ValkeyStore(spec_of(url))
        yield store
        for run in store.runs():
            store.drop(run)
        assert keys_of(store) == []

    def age(self, store: Store, run: str, seconds: float) -> None:
        assert isinstance(store, ValkeyStore)
        left_ms = b"%d" % (1000 * (TTL_S - seconds))
        store._client.server.run([(b"PEXPIRE", f"gl:{run}".encode(), left_ms)])


class TestOwnServer(ValkeyTests):
    @pytest.fixture
    def url(self, own_url: str) -> str:
        return own_url


class TestServerWithPassword(ValkeyTests):
    @pytest.fixture
    def url(self, tcp_url: str) -> str:
        return tcp_url


class TestCluster(ValkeyTests):
    @pytest.fixture
    def url(self, cluster_url: str) -> str:
        return cluster_url


class TestServerWithTls(ValkeyTests):
    @pytest.fixture
    def url(self, tls_url: str) -> str:
        return tls_url


def keys_of(store: ValkeyStore) -> list[bytes]:
    """Return all keys of the store's server or servers."""
    server = store._client.server
    nodes = [server] if not hasattr(server, "servers") else server.servers()
    return [bytes(key) for node in nodes for key in node.run([(b"KEYS", b"*")])[0]]


def test_a_server_says_how_much_it_may_still_take(own_url: str, tcp_url: str, cluster_url: str) -> None:
    room_bytes = ValkeyStore(spec_of(own_url)).room_bytes()
    assert room_bytes is not None
    assert 0 < room_bytes < 1 << 30
    assert [ValkeyStore(spec_of(url)).room_bytes() for url in (tcp_url, cluster_url)] == [None, None]
