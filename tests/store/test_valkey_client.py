"""Our client of Valkey and Redis, compared with redis-py on real servers; and what it does when they do not answer."""

from __future__ import annotations

import os
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import numpy as np
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.errors import ConfigError, LostValueError, StoreError
from graphlambda.runtime.cluster import SLOTS, Cluster
from graphlambda.runtime.resp import KEPT_S, Address, Refused, Server, packed
from graphlambda.runtime.valkey import CHUNK_BYTES, DIRECT_BYTES, TTL_S, ValkeyClient
from graphlambda.runtime.values import CLIENT_LOST
from graphlambda.store.server import start
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.servers import free_port, valkey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from graphlambda.runtime.resp import Command, Reply, Sinks

LARGE = DIRECT_BYTES + CHUNK_BYTES + 5


@pytest.fixture
def peer(tcp_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(tcp_url)) as client:
        yield client
        client.flushall()


@pytest.fixture
def server(tcp_url: str) -> Iterator[Server]:
    with closing(Server(Address(spec_of(tcp_url)))) as made:
        yield made


@pytest.fixture
def store(tcp_url: str) -> Iterator[ValkeyStore]:
    store = ValkeyStore(spec_of(tcp_url))
    store.touch("run")
    yield store
    store.drop("run")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.binary(min_size=1), st.lists(st.binary(max_size=20_000), max_size=4), min_size=1))
def test_what_we_write_redis_py_reads_and_the_other_way_round(
    server: Server, peer: redis.Redis, values: dict[bytes, list[bytes]]
) -> None:
    replies = server.run([(b"SET", key, parts) for key, parts in values.items()])
    assert replies == [b"OK"] * len(values)
    assert peer.mget(list(values)) == [b"".join(parts) for parts in values.values()]
    peer.mset({key: key + b"".join(parts) for key, parts in values.items()})
    read = server.run([(b"GET", key) for key in values])
    assert list(map(bytes, read)) == [key + b"".join(parts) for key, parts in values.items()]


def test_every_kind_of_reply_is_read(server: Server, peer: redis.Redis) -> None:
    peer.sadd("set", "member")
    status, none, number, size, refused, members, nested = server.run(
        [
            (b"SET", b"text", b"abc"),
            (b"GET", b"absent"),
            (b"INCRBY", b"number", b"-7"),
            (b"STRLEN", b"text"),
            (b"INCR", b"text"),
            (b"SMEMBERS", b"set"),
            (b"SSCAN", b"set", b"0"),
        ]
    )
    assert (status, none, number, size) == (b"OK", None, -7, 3)
    assert (refused.code, str(refused)) == ("ERR", "ERR value is not an integer or out of range")
    assert (list(map(bytes, members)), bytes(nested[0]), list(map(bytes, nested[1]))) == (
        [b"member"], b"0", [b"member"],
    )  # fmt: skip


def test_a_value_goes_where_the_caller_says(server: Server, peer: redis.Redis) -> None:
    value = os.urandom(300_000)
    peer.set("a", value)
    memory = bytearray(2 * len(value))
    view = memoryview(memory)
    server.run([(b"GET", b"a")] * 2, sinks={0: view[len(value) :], 1: view[: len(value)]})
    assert memory == value * 2


def test_large_arguments_are_sent_as_they_lie_in_memory() -> None:
    array = np.arange(100_000)
    buffers = packed([(b"SET", b"key", [b"head", array.data.cast("B")], b"NX")])
    assert [np.shares_memory(array, np.frombuffer(buffer, np.uint8)) for buffer in buffers] == [
        False,
        True,
        False,
    ]


def test_a_connection_that_died_is_made_again(server: Server, peer: redis.Redis) -> None:
    (first,) = server.run([(b"CLIENT", b"ID")])
    peer.client_kill_filter(_id=str(first))
    (second,) = server.run([(b"CLIENT", b"ID")])
    assert second != first


def test_a_connection_that_was_idle_for_long_is_not_trusted(tcp_url: str) -> None:
    """A gateway may have forgotten it and tell nobody: whoever speaks on it waits in vain."""
    now_s = [0.0]
    with closing(Server(Address(spec_of(tcp_url)), clock=lambda: now_s[0])) as server:
        ids = []
        for now_s[0] in (0.0, KEPT_S - 1, 2 * KEPT_S):
            ids += server.run([(b"CLIENT", b"ID")])
    assert ids[0] == ids[1] != ids[2]
    assert KEPT_S < 350


class Counted(Server):
    """A server that counts how often it is waited for."""

    waits = 0

    def run(self, *batches: Sequence[Command], sinks: Sinks | None = None) -> list[Reply]:
        self.waits += 1
        return super().run(*batches, sinks=sinks)


def test_all_values_of_a_task_are_one_wait(tcp_url: str, store: ValkeyStore) -> None:
    names = [f"v-{n}" for n in range(16)]
    for name in names:
        store.put("run", name, [name.encode()])
    with closing(Counted(Address(spec_of(tcp_url)))) as server:
        frames = ValkeyClient(server).read_all("run", names)
        assert (list(map(bytes, frames)), server.waits) == ([name.encode() for name in names], 1)


def test_a_fork_has_a_connection_of_its_own(server: Server) -> None:
    (mine,) = server.run([(b"CLIENT", b"ID")])
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, b"%d" % server.run([(b"CLIENT", b"ID")])[0])
        os._exit(0)
    os.wait()
    childs = int(os.read(read, 100))
    for end in (read, write):
        os.close(end)
    assert childs != mine
    assert server.run([(b"CLIENT", b"ID")]) == [mine]


def test_threads_do_not_mix_their_replies(store: ValkeyStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        values = [os.urandom(50_000) for _ in range(64)]
        list(threads.map(lambda n: store.put("run", f"v-{n}", [values[n]]), range(64)))
        assert [
            bytes(frame) for frame in threads.map(lambda n: store.get("run", f"v-{n}"), range(64))
        ] == values


def test_a_wrong_password_or_database_is_an_error_that_shows_no_password(tcp_url: str) -> None:
    wrong = tcp_url.replace("redis://:", "redis://:wrong")
    with pytest.raises(StoreError, match="WRONGPASS") as caught:
        spec_of(wrong)
    assert wrong.split(":")[2].split("@")[0] not in str(caught.value)
    with pytest.raises(StoreError, match="DB index is out of range"):
        spec_of(f"{tcp_url}/999")


def test_a_server_that_is_not_there_is_a_store_error_that_names_it() -> None:
    port = free_port()
    with pytest.raises(StoreError, match=f"127.0.0.1:{port}.*refused"):
        spec_of(f"redis://127.0.0.1:{port}")
    with pytest.raises(ConfigError, match="redis://host:port"):
        spec_of("http://127.0.0.1")


def test_a_server_that_says_nothing_is_not_waited_for_without_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent_server = Server(Address({"host": "127.0.0.1", "port": silent.getsockname()[1], "wait_s": 0.2}))
        with pytest.raises(TimeoutError, match=r"said nothing for 0\.2 s"):
            silent_server.run([(b"PING",)])


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", b"$3\r\nabc\r\n", b"", b"x" * 20_000])
def test_what_is_no_reply_is_an_error(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as strange:

        def serve() -> None:
            connection, _ = strange.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        server = Server(Address({"host": "127.0.0.1", "port": strange.getsockname()[1]}))
        with pytest.raises(ConnectionError):
            server.run([(b"GET", b"a")], sinks={0: memoryview(bytearray(4))})
        thread.join()


class TestValuesInChunks:
    def test_one_comes_back(self, store: ValkeyStore) -> None:
        for size in (DIRECT_BYTES, DIRECT_BYTES + 1, 2 * CHUNK_BYTES, LARGE):
            value = os.urandom(size)
            store.put("run", f"v-{size}", [value[:100], value[100:-1], value[-1:]])
            assert bytes(store.get("run", f"v-{size}")) == value
            assert store.size("run", f"v-{size}") == size

    def test_of_many_writers_one_wins_and_the_others_leave_nothing(
        self, store: ValkeyStore, peer: redis.Redis
    ) -> None:
        values = [bytes([n]) * LARGE for n in range(6)]
        with ThreadPoolExecutor(6) as writers:
            list(writers.map(lambda value: store.put("run", "v-1", [value]), values))
        assert bytes(store.get("run", "v-1")) in values
        assert len(peer.keys("gl:run:v-1:*")) == 3
        assert len(peer.smembers("gl:run:.names")) == 1

    def test_one_whose_chunk_was_evicted_is_lost_and_can_be_written_again(
        self, store: ValkeyStore, peer: redis.Redis
    ) -> None:
        store.put("run", "v-1", [b"a" * LARGE])
        peer.delete(peer.keys("gl:run:v-1:*:1")[0])
        with pytest.raises(LostValueError):
            store.get("run", "v-1")
        store.put("run", "v-1", [b"b" * LARGE])
        assert bytes(store.get("run", "v-1")) == b"b" * LARGE

    def test_deleting_one_deletes_all_of_it(self, store: ValkeyStore, peer: redis.Redis) -> None:
        store.put("run", "v-1", [b"a" * LARGE])
        store.put("run", "v-2", [b"a"])
        store.delete("run", ["v-1", "v-2"])
        assert sorted(peer.keys()) == [b"gl:.runs", b"gl:run"]


def test_every_key_expires(store: ValkeyStore, peer: redis.Redis) -> None:
    store.put("run", "v-1", [b"a" * LARGE])
    store.put("run", "v-2", [b"a"])
    store.cancel("run")
    store.touch("run")
    lives = {key: peer.ttl(key) for key in peer.keys("*")}
    assert len(lives) == 8
    assert all(TTL_S - 60 < ttl <= TTL_S for ttl in lives.values())


def test_a_client_renews_the_keys_of_its_run_before_they_expire(tcp_url: str, peer: redis.Redis) -> None:
    now_s = [0.0]
    store = ValkeyStore(spec_of(tcp_url), clock=lambda: now_s[0])
    store.touch("run")
    store.put("run", "v-1", [b"a" * LARGE])
    values = peer.keys("gl:run:v-1*")
    for now_s[0], renewed in ((TTL_S / 4 - 1, False), (TTL_S / 4, True)):
        for key in values:
            peer.expire(key, 100)
        store.touch("run")
        assert {peer.ttl(key) > 100 for key in values} == {renewed}
    store.drop("run")


def test_a_run_that_expired_is_there_no_longer(store: ValkeyStore, peer: redis.Redis) -> None:
    store.put("run", "v-1", [b"a"])
    peer.delete("gl:run")
    assert store.runs() == {}
    assert not peer.exists("gl:.runs")


def test_a_full_server_says_so_and_keeps_no_half_of_a_value(tmp_path: Path) -> None:
    with start(tmp_path, 8 << 20) as own:
        store = ValkeyStore(spec_of(own.url))
        store.touch("run")
        with pytest.raises(StoreError, match=r"cannot write value v-1 of run run: the server is full"):
            store.put("run", "v-1", [os.urandom(32 << 20)])
        assert store.size("run", "v-1") is None
        store.put("run", "v-2", [b"small"])
        store.drop("run")
        assert store._client.server.run([(b"DBSIZE",)]) == [0]


def test_functions_stop_on_a_full_server_too(tmp_path: Path) -> None:
    with start(tmp_path, 8 << 20) as own:
        store = ValkeyStore(spec_of(own.url))
        store.touch("run")
        store._client.server.run([(b"CONFIG", b"SET", b"maxmemory", b"1")])
        store.cancel("run")
        assert ValkeyClient.of(store.spec()).ended("run") == CLIENT_LOST
        store.drop("run")
        assert store._client.server.run([(b"DBSIZE",)]) == [0]


def test_a_server_that_died_is_a_store_error(tmp_path: Path) -> None:
    with valkey(tmp_path / "server") as url:
        store = ValkeyStore(spec_of(url))
        store.touch("run")
    with pytest.raises(StoreError, match=r"cannot write value v-1 of run run: .*refused"):
        store.put("run", "v-1", [b"a"])
    assert ValkeyClient.of(store.spec()).ended("run") == ""


class TestInACluster:
    def test_the_keys_of_a_run_are_spread(self, cluster_url: str) -> None:
        store = ValkeyStore(spec_of(cluster_url))
        store.touch("run")
        store.put("run", "v-1", [b"a" * (16 * CHUNK_BYTES)])
        cluster = store._client.server
        assert isinstance(cluster, Cluster)
        held = [server.run([(b"DBSIZE",)])[0] for server in cluster.servers()]
        assert len(held) == 3
        assert all(held)
        store.drop("run")

    def test_a_slot_that_moves_is_followed(self, cluster_url: str) -> None:
        """Asked while it moves (ASK) and when it has moved (MOVED), by a client that knows the old holder."""
        with closing(redis.RedisCluster.from_url(cluster_url)) as peer:
            slot = peer.keyslot("key")
            cluster = Cluster(Address(spec_of(cluster_url)))
            cluster.run([(b"SET", b"key", b"before")])
            source = peer.get_node_from_key("key")
            target = next(node for node in peer.get_primaries() if node != source)
            ids = {node: peer.cluster_myid(node) for node in (source, target)}
            peer.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", ids[source], target_nodes=target)
            peer.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", ids[target], target_nodes=source)
            cluster.run([(b"DEL", b"key")])
            assert cluster.run([(b"SET", b"key", b"new")]) == [b"OK"]
            for node in (target, source):
                peer.execute_command("CLUSTER SETSLOT", slot, "NODE", ids[target], target_nodes=node)
            assert bytes(cluster.run([(b"GET", b"key")])[0]) == b"new"
            assert cluster.run([(b"DEL", b"key")]) == [1]
            cluster.close()

    def test_our_slots_are_redis_pys(self, cluster_url: str) -> None:
        from binascii import crc_hqx

        with closing(redis.RedisCluster.from_url(cluster_url)) as peer:
            keys = [f"gl:run:v-{number}" for number in range(100)]
            assert [crc_hqx(key.encode(), 0) % SLOTS for key in keys] == [peer.keyslot(key) for key in keys]


def test_a_refusal_is_not_taken_for_a_value(server: Server) -> None:
    (refused,) = server.run([(b"NO-SUCH-COMMAND",)])
    assert isinstance(refused, Refused)
