"""The stores of `benchmarks.dataplane`, each with its peers on the same server.

In: a folder. Out: for each store, what puts, gets and deletes a NumPy value: ours, pickled, signed, verified and
un-pickled; the peers', pickled (protocol 5) and un-pickled; and their clients with the array's bytes alone.

To add a store, write a context manager that yields its roads, and name it in `PLANES` at the end of this file.
"""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.rawsocket import RawSocket, raw_socket
from graphlambda.runtime.frame import decode, encode_parts
from graphlambda.runtime.wire import context
from graphlambda.store.file import FileStore, default_root
from graphlambda.store.server import start
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.testing.servers import valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    import redis

    from graphlambda.store import Store

OURS, RAW, MEMCPY = "graphlambda", "raw socket", "memcpy"

BYTES = ", bytes alone"
"""How the name of a road ends that takes bytes for a value, and gives bytes that nothing can be written to."""

_RUN, _KEY = "bench", bytes(range(32))
_MOST_BYTES = 3 << 30


@dataclass(frozen=True, slots=True)
class Road:
    """A way to put a value somewhere and to get it back."""

    put: Callable[[str, Any], object]
    get: Callable[[str], Any]
    """Gives the value, or a view of its bytes."""

    delete: Callable[[str], object] = lambda _name: None


@contextmanager
def file(folder: Path) -> Iterator[Mapping[str, Road]]:
    """Yield the file store where it lies by default, and obstore's in the same file system."""
    from obstore.store import LocalStore

    root = default_root(folder) / ".benchmark"  # not a run's name
    store, peer = FileStore(root / "ours"), LocalStore(root / "obstore", mkdir=True)
    bare = Road(peer.put, lambda name: peer.get(name).bytes(), peer.delete)
    yield {OURS: _ours(store), **_both("obstore", bare), MEMCPY: _memcpy()}
    store.drop(_RUN)
    for place in (root / "ours", root / "obstore", root):
        place.rmdir()


@contextmanager
def valkey_unix(folder: Path) -> Iterator[Mapping[str, Road]]:
    """Yield the server that `store="valkey"` starts, redis-py, and a raw socket of the same kind."""
    import redis

    with start(folder, _MOST_BYTES) as server, raw_socket(str(folder / "raw")) as raw:
        client = redis.Redis(unix_socket_path=spec_of(server.url)["path"])
        yield _beside_redis_py(ValkeyStore(spec_of(server.url)), client, raw)
        client.close()


@contextmanager
def valkey_tcp(folder: Path) -> Iterator[Mapping[str, Road]]:
    """Yield a server on loopback that asks for a password, redis-py, and a raw socket of the same kind."""
    import redis

    with valkey(folder / "tcp") as url, raw_socket() as raw:
        client = redis.Redis.from_url(url)
        yield _beside_redis_py(ValkeyStore(spec_of(url)), client, raw)
        client.close()


def _beside_redis_py(store: ValkeyStore, client: redis.Redis, raw: RawSocket) -> Mapping[str, Road]:
    bare = Road(client.set, client.get, client.delete)
    floors = {RAW: Road(raw.put, raw.get), MEMCPY: _memcpy()}
    return {OURS: _ours(store), **_both("redis-py + hiredis", bare), **floors}


def _both(peer: str, bare: Road) -> Mapping[str, Road]:
    """Return what a peer does with a value, and with its bytes."""

    def put(name: str, value: Any) -> object:
        return bare.put(name, pickle.dumps(value, 5))

    def get(name: str) -> Any:
        return pickle.loads(bare.get(name))

    def put_bytes(name: str, value: Any) -> object:
        return bare.put(name, memoryview(value).cast("B"))

    def get_bytes(name: str) -> Any:
        return memoryview(bare.get(name))

    return {
        peer: Road(put, get, bare.delete),
        f"{peer}{BYTES}": Road(put_bytes, get_bytes, bare.delete),
    }


def _ours(store: Store) -> Road:
    """Return the road of a task's value: as a frame, signed for its run and name."""
    store.touch(_RUN)

    def put(name: str, value: Any) -> None:
        store.put(_RUN, name, encode_parts(value, key=_KEY, context=context(_RUN, name)))

    def get(name: str) -> Any:
        return decode(store.get(_RUN, name), key=_KEY, context=context(_RUN, name))

    return Road(put, get, lambda name: store.delete(_RUN, [name]))


def _memcpy() -> Road:
    """Return a copy from memory to memory, both in use already."""
    memory = np.zeros(0, np.uint8)

    def put(_name: str, value: Any) -> None:
        nonlocal memory
        if len(memory) != value.nbytes:
            memory = np.zeros(value.nbytes, np.uint8)
        memory[:] = value.view(np.uint8)

    def get(_name: str) -> Any:
        memory[: len(memory) // 2] = memory[len(memory) // 2 :]
        memory[len(memory) // 2 :] = memory[: len(memory) // 2]
        return memory

    return Road(put, get)


PLANES: Mapping[str, Callable[[Path], AbstractContextManager[Mapping[str, Road]]]] = {
    "file": file,
    "valkey unix": valkey_unix,
    "valkey tcp": valkey_tcp,
}
