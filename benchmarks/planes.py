"""The stores of `benchmarks.dataplane`, each with its peers on the same server.

In: nothing. Out: for each store, what puts, gets and deletes a NumPy value: ours, pickled, signed, verified and
un-pickled; the peers', pickled (protocol 5) and un-pickled; and their clients with the array's bytes alone. Must not
leave a server or a file behind, though this process be killed.

To add a store, write a context manager that yields a plane, and name it in `PLANES` at the end of this file.
"""

from __future__ import annotations

import os
import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.rawsocket import RawSocket, raw_socket
from graphlambda.runtime.frame import decode, encode_parts
from graphlambda.runtime.valkey import TTL_S
from graphlambda.runtime.wire import context
from graphlambda.store.file import FileStore
from graphlambda.store.s3 import S3Store
from graphlambda.store.server import start
from graphlambda.store.valkey import ValkeyStore, spec_of
from graphlambda.store.watched import Watched
from graphlambda.testing.s3_servers import BUCKET, REGION, S3Server, seaweed
from graphlambda.testing.servers import valkey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    import redis


OURS, RAW, MEMCPY = "graphlambda", "raw socket", "memcpy"

BYTES = ", bytes alone"
"""How the name of a road ends that takes bytes for a value, and gives bytes that nothing can be written to."""

_RUN, _KEY = "bench", bytes(range(32))
_MOST_BYTES = 3 << 30
_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Road:
    """A way to put a value somewhere and to get it back."""

    put: Callable[[str, Any], object]
    get: Callable[[str], Any]
    """Gives the value, or a view of its bytes."""

    delete: Callable[[str], object] = lambda _name: None


@dataclass(frozen=True, slots=True)
class Plane:
    """The roads that lead to one server, or to one file system."""

    roads: Mapping[str, Road]
    tidy: Callable[[], object] = lambda: None
    """Gives up the room of what was deleted."""


@contextmanager
def file() -> Iterator[Plane]:
    """Yield the file store in memory, where it lies by default, and obstore's in the same file system."""
    from obstore.store import LocalStore

    folder = _new_folder()
    with Watched(["sleep", "infinity"], folder, variables={"PATH": os.defpath}):
        store, peer = FileStore(folder / "ours"), LocalStore(folder / "obstore", mkdir=True)
        bare = Road(peer.put, lambda name: peer.get(name).bytes(), peer.delete)
        yield Plane({OURS: _ours(store), **_both("obstore", bare), MEMCPY: _memcpy()})


@contextmanager
def valkey_unix() -> Iterator[Plane]:
    """Yield the server that `store="valkey"` starts, redis-py, and a raw socket of the same kind.

    Both put a value only where there is none, and let it expire, as we must.
    """
    import redis

    with start(Path(gettempdir()), _MOST_BYTES) as server, raw_socket(str(server.folder / "raw")) as raw:
        client = redis.Redis(unix_socket_path=spec_of(server.url)["path"])
        yield _beside_redis_py(ValkeyStore(spec_of(server.url)), client, raw)
        client.close()


@contextmanager
def valkey_tcp() -> Iterator[Plane]:
    """Yield a server on loopback that asks for a password, and the same peers."""
    import redis

    with valkey(_new_folder()) as url, raw_socket() as raw:
        client = redis.Redis.from_url(url)
        yield _beside_redis_py(ValkeyStore(spec_of(url)), client, raw)
        client.close()


@contextmanager
def s3() -> Iterator[Plane]:
    """Yield a SeaweedFS in memory, boto3, and obstore. All put a value only where there is none, as we must."""
    with seaweed(_new_folder()) as server:
        store = S3Store(server.location(), lambda: server.keys)
        roads = {
            OURS: _ours(store),
            **_both("boto3", _boto3(server)),
            **_both("obstore", _obstore(server)),
            MEMCPY: _memcpy(),
        }
        yield Plane(roads, server.vacuum)


def _new_folder() -> Path:
    return Path(mkdtemp(prefix="gl-", dir=_MEMORY if _MEMORY.is_dir() else None))


def _boto3(server: S3Server) -> Road:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=server.keys.access_key,
        aws_secret_access_key=server.keys.secret_key,
    )

    def put(name: str, content: bytes | memoryview) -> None:
        client.put_object(Bucket=BUCKET, Key=f"boto3/{name}", Body=bytes(content), IfNoneMatch="*")

    def get(name: str) -> Any:
        return client.get_object(Bucket=BUCKET, Key=f"boto3/{name}")["Body"].read()

    return Road(put, get, lambda name: client.delete_object(Bucket=BUCKET, Key=f"boto3/{name}"))


def _obstore(server: S3Server) -> Road:
    from obstore.store import S3Store as Obstore

    store = Obstore(
        BUCKET,
        prefix="obstore",
        endpoint=server.endpoint,
        access_key_id=server.keys.access_key,
        secret_access_key=server.keys.secret_key,
        region=REGION,
        client_options={"allow_http": True, "timeout": "120s"},
        virtual_hosted_style_request=False,
    )

    def put(name: str, content: bytes | memoryview) -> None:
        store.put(
            name, content, mode="create", use_multipart=False
        )  # in parts it is slower here, and unconditional

    return Road(put, lambda name: store.get(name).bytes(), store.delete)


def _beside_redis_py(store: ValkeyStore, client: redis.Redis, raw: RawSocket) -> Plane:
    client.config_set("proto-max-bulk-len", 1 << 30)  # or a pickled array of 512 MB is refused
    put = partial(client.set, nx=True, ex=TTL_S)
    bare = Road(put, client.get, client.delete)
    floors = {RAW: Road(raw.put, raw.get), MEMCPY: _memcpy()}
    return Plane({OURS: _ours(store), **_both("redis-py + hiredis", bare), **floors})


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


def _ours(store: FileStore | ValkeyStore | S3Store) -> Road:
    """Return the road of a task's value in a function: as a frame, signed for its run and name."""
    store.touch(_RUN)
    client = store._client

    def put(name: str, value: Any) -> None:
        client.write(_RUN, name, encode_parts(value, key=_KEY, context=context(_RUN, name)))

    def get(name: str) -> Any:
        return decode(client.read(_RUN, name), key=_KEY, context=context(_RUN, name))

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


PLANES: Mapping[str, Callable[[], AbstractContextManager[Plane]]] = {
    "file": file,
    "valkey unix": valkey_unix,
    "valkey tcp": valkey_tcp,
    "s3": s3,
}
