"""The Valkey client: values in a Valkey or Redis server, for functions and clients wherever they are.

In: names and frames. Out: keys that expire, written whole or not at all. Must not know frames' content.

Keys of a run, none with a hash tag, so that a cluster spreads them::

    gl:<run>                        the lease: `go` or `cancelled`; how much of its time is left tells its age
    gl:<run>:<name>                 a value: 64 bytes of head, then the frame, or nothing where it is in chunks
    gl:<run>:<name>:<token>:<n>     its chunks, of one writer; whoever sets the head first wins
    gl:<run>:.names                 a set: the names, and `<name>:<token>:<chunks>`, for whoever drops the run
    gl:.runs                        a set: the runs

A writer enters itself into `.names`, writes, then looks at the lease. Who drops a run deletes the lease first, then what
`.names` holds: so of a late writer and a drop, one of the two deletes the value.
"""

from __future__ import annotations

import atexit
import os
import struct
from functools import lru_cache
from itertools import repeat
from time import monotonic

from .faults import LostValueError, ValueStoreError
from .files import checked
from .frame import allocate, size_of
from .resp import Address, Refused, Server
from .values import CANCELLED, CLIENT_LOST, DROPPED, LEASE_S

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import Any

    from .cluster import Cluster
    from .frame import Buffer
    from .identity import Keys
    from .resp import Command, Reply, Sinks
    from .values import Traffic

RUNS = b"gl:.runs"
"""A set: the runs that are there."""

TTL_S = 3600
"""How long a key lives that nobody renews: a client renews its runs' keys well before."""

CHUNK_BYTES = 1 << 22
"""A larger value is moved in pieces of this size: the server parses one while the next is on its way."""

DIRECT_BYTES = CHUNK_BYTES + (1 << 16)

_HEAD = struct.Struct(
    "<4sIQ16s32x"
)  # magic, chunks, bytes of the frame, token; 64 bytes, so that frames stay aligned
_MAGIC = b"GLV1"
_TTL = str(TTL_S).encode()

_AT_ONCE = 1000
"""How many names of a run are dropped in one step."""

_READ_AT_ONCE = 32
"""How many values are asked for at once: the server makes ready what it answers, up to `DIRECT_BYTES` for each."""

_UNIT_BYTES = 1024
_BULK = (bytes, bytearray, memoryview)
"""How a value arrives."""

_NO_TOKEN = bytes(16)
_NOTHING = (0, 0, _NO_TOKEN)

_kept: dict[tuple[str, Callable[[], Keys] | None], Server | Cluster] = {}


@atexit.register
def close() -> None:
    """Drop the connections of this environment."""
    for server in _kept.values():
        server.close()


class ValkeyClient:
    """Reads and writes values of one server or cluster."""

    __slots__ = ("_units", "server")

    def __init__(self, server: Server | Cluster) -> None:
        self.server = server
        self._units = 0

    @classmethod
    def of(cls, spec: dict[str, Any], keys: Callable[[], Keys] | None = None) -> ValkeyClient:
        """Return the client that a request's `store` describes; its connections are kept by the environment.

        `keys` signs at a cache that asks IAM; None: this function's own.
        """
        known = repr(spec), keys
        if known not in _kept:
            _kept[known] = _server_of(spec, keys)
        return cls(_kept[known])

    def read(self, run: str, name: str) -> memoryview:
        """Return a value's frame in private, writable memory.

        Raises:
            LostValueError: it is not there.
            ValueStoreError: the server is out of reach.
        """
        (held,) = self._run("read", run, name, [(b"GET", key_of(run, name))])
        return self._whole(run, name, held)

    def read_all(self, run: str, names: Sequence[str]) -> Iterator[memoryview]:
        """Yield several values' frames, in order, many for one wait; raises as `read` does."""
        for start in range(0, len(names), _READ_AT_ONCE):
            some = names[start : start + _READ_AT_ONCE]
            held = self._run(
                "read", run, some[0] if len(some) == 1 else "", [(b"GET", key_of(run, name)) for name in some]
            )
            yield from map(self._whole, repeat(run), some, held)

    def _whole(self, run: str, name: str, held: memoryview | None) -> memoryview:
        """Return a value's frame by what its key holds."""
        if held is None:
            raise _lost(run, name)
        chunks, size, token = _opened(held)
        if not chunks:
            return held[_HEAD.size :]
        frame = allocate(size)
        gets = [(b"GET", each) for each in _chunk_keys(key_of(run, name), token, chunks)]
        sinks = {n: frame[n * CHUNK_BYTES : (n + 1) * CHUNK_BYTES] for n in range(chunks)}
        if None in self._run("read", run, name, gets, sinks=sinks):  # evicted
            self._take_back(run, name, token, chunks)  # or nobody could write it again
            raise _lost(run, name)
        return frame

    def write(self, run: str, name: str, parts: Sequence[Buffer]) -> None:
        """Make a value out of a frame's parts, unless it is there: the first writer of a name wins.

        Raises:
            ValueStoreError: the run is gone, the server full or out of reach.
        """
        size = size_of(parts)
        chunks = -(-size // CHUNK_BYTES) if size > DIRECT_BYTES else 0
        token = os.urandom(8).hex().encode() if chunks else _NO_TOKEN
        head = _HEAD.pack(_MAGIC, chunks, size, token)
        try:
            if chunks:
                self._run(
                    "write",
                    run,
                    name,
                    [*_entering(run, name, token, chunks), *_setting(run, name, token, parts)],
                )
            entering = () if chunks else _entering(run, name, token, chunks)
            set_head = (b"SET", key_of(run, name), [head] if chunks else [head, *parts], b"NX", b"EX", _TTL)
            *_, written, begun = self._run(
                "write", run, name, [*entering, set_head], [(b"EXISTS", lease_key(run))]
            )
        except ValueStoreError:
            self._take_back(run, name, token, chunks)
            raise
        if not begun:
            self._take_back(run, name, token, chunks)
            raise ValueStoreError(
                f"cannot write value {name} of run {run}: the run was not begun, or is over"
            )
        if written is None and chunks and not self._is_ours(run, name, token):
            self.remove(run, [_entry(name, token, chunks)], keep_head=True)

    def size(self, run: str, name: str) -> int | None:
        """Return how many bytes a value's frame has; None where there is no such value.

        Raises:
            ValueStoreError: the server is out of reach.
        """
        return self.sizes(run, [name])[0]

    def sizes(self, run: str, names: Sequence[str]) -> list[int | None]:
        """Return the bytes of several values' frames; raises as `size` does."""
        name = names[0] if len(names) == 1 else ""
        heads = self._run("look up", run, name, [_look(key_of(run, name)) for name in names])
        return [_opened(head)[1] if head else None for head in heads]

    def delete(self, run: str, names: Iterable[str]) -> None:
        """Delete values; those that are not there are passed over.

        Raises:
            ValueStoreError: the server is out of reach.
        """
        keys = {name: key_of(run, name) for name in names}
        heads = self._run("delete", run, "", [_look(key) for key in keys.values()])
        opened = [_opened(head) if head else _NOTHING for head in heads]
        self.remove(
            run,
            [_entry(name, token, chunks) for name, (chunks, _, token) in zip(keys, opened, strict=True)],
        )

    def remove(self, run: str, entries: Sequence[bytes], *, keep_head: bool = False) -> None:
        """Delete what these entries of a run's `names` stand for, and the entries.

        Raises:
            ValueStoreError: the server is out of reach.
        """
        if entries:
            doomed = [key for entry in entries for key in keys_of(run, entry)[keep_head:]]
            leaving = (b"SREM", names_key(run), *entries)
            self._run("delete", run, "", [(b"UNLINK", key) for key in doomed], [leaving])

    def drop(self, run: str, until_s: float = float("inf")) -> int:
        """Delete a run's lease, so that nobody writes to it any more, then its values; return how many names are left.

        It stops between two steps when `monotonic()` is `until_s`. Doing it again goes on with what is left.

        Raises:
            ValueStoreError: the server is out of reach.
        """
        names = names_key(run)
        self._run("drop", run, "", [(b"DEL", lease_key(run))])
        left = self._count(run, names)
        while left and monotonic() < until_s:
            (entries,) = self._run("drop", run, "", [(b"SPOP", names, b"%d" % _AT_ONCE)])
            self.remove(run, list(map(bytes, entries)))  # those expire where this process dies before that
            left = self._count(run, names)
        if not left:
            self._run("drop", run, "", [(b"SREM", RUNS, run.encode())])
        return left

    def ended(self, run: str) -> str:
        """Return why a run does not go on: cancelled, dropped, or its client is lost; empty while it does."""
        key = lease_key(run)
        try:
            word, left_ms = self._run("look up", run, "", [(b"GET", key), (b"PTTL", key)])
        except ValueStoreError:  # reading and writing values will say what is wrong
            return ""
        if word is None or left_ms < 0:
            return DROPPED
        return CANCELLED if word == CANCELLED.encode() else CLIENT_LOST if age_s(left_ms) > LEASE_S else ""

    def traffic(self) -> Traffic:
        """Return how many ECPUs a cache would have billed so far: one a command, or one for each kB that it moves."""
        return 0, 0, self._units

    def _count(self, run: str, names: bytes) -> int:
        (count,) = self._run("drop", run, "", [(b"SCARD", names)])
        return int(count)

    def _take_back(self, run: str, name: str, token: bytes, chunks: int) -> None:
        """Delete what one writer wrote, if that can be done; else it expires."""
        try:
            ours = self._is_ours(run, name, token)
            self.remove(run, [_entry(name, token, chunks)], keep_head=not ours)
        except ValueStoreError:
            return

    def _is_ours(self, run: str, name: str, token: bytes) -> bool:
        """Whether a value's head is this writer's."""
        (head,) = self._run("look up", run, name, [_look(key_of(run, name))])
        return bool(head) and _opened(head)[2] == token

    def _run(
        self, verb: str, run: str, name: str, *batches: Sequence[Command], sinks: Sinks | None = None
    ) -> list[Reply]:
        """Return the server's replies; raises ValueStoreError for those that are refusals."""
        try:
            replies = self.server.run(*batches, sinks=sinks)
        except (OSError, Refused) as error:
            raise self._fault(verb, run, name, str(error)) from error
        self._units += sum(map(_units, (command for batch in batches for command in batch), replies))
        for reply in replies:
            if isinstance(reply, Refused):
                why = "the server is full" if reply.code == "OOM" else str(reply)
                raise self._fault(verb, run, name, why)
        return replies

    def _fault(self, verb: str, run: str, name: str, why: str) -> ValueStoreError:
        what = f"value {name}" if name else "values"
        return ValueStoreError(f"cannot {verb} {what} of run {run}: {why} ({self.server.address})")


def _units(command: Command, reply: Reply) -> int:
    """Return what a cache bills for a command."""
    moved_bytes = len(reply) if isinstance(reply, _BULK) else 0
    for part in command:  # a sum over a generator would be a tenth of what writing 1 KB takes
        moved_bytes += len(part) if isinstance(part, bytes) else size_of(part)
    return max(1, -(-moved_bytes // _UNIT_BYTES))


@lru_cache
def lease_key(run: str) -> bytes:
    """Return the key of a run's lease."""
    return f"gl:{checked(run)}".encode()


@lru_cache
def names_key(run: str) -> bytes:
    """Return the key of the set of a run's names."""
    return b"%b:.names" % lease_key(run)


def key_of(run: str, name: str) -> bytes:
    """Return the key of a value."""
    return b"%b:%b" % (lease_key(run), checked(name).encode())


def keys_of(run: str, entry: bytes) -> list[bytes]:
    """Return the keys that an entry of a run's `.names` stands for: the head's, then the chunks'."""
    name, _, rest = entry.partition(b":")
    key = b"%b:%b" % (lease_key(run), name)
    token, _, chunks = rest.partition(b":")
    return [key, *_chunk_keys(key, token, int(chunks or 0))]


def age_s(left_ms: int) -> float:
    """Return how old a lease is, by the server's own clock."""
    return TTL_S - left_ms / 1000


def _entry(name: str, token: bytes, chunks: int) -> bytes:
    return b"%b:%b:%d" % (name.encode(), token, chunks) if chunks else name.encode()


def _entering(run: str, name: str, token: bytes, chunks: int) -> list[Command]:
    names = names_key(run)
    return [(b"SADD", names, _entry(name, token, chunks)), (b"EXPIRE", names, _TTL)]


def _setting(run: str, name: str, token: bytes, parts: Sequence[Buffer]) -> Iterator[Command]:
    """Yield what writes a frame's chunks."""
    key = key_of(run, name)
    for number, piece in enumerate(_pieces(parts)):
        yield b"SET", _chunk_key(key, token, number), piece, b"EX", _TTL


def _pieces(parts: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """Cut a frame's parts into chunks, each a list of buffers, without copying."""
    piece: list[Buffer] = []
    room = CHUNK_BYTES
    for part in parts:
        left = memoryview(part)
        while len(left) >= room:
            yield [*piece, left[:room]]
            left, piece, room = left[room:], [], CHUNK_BYTES
        if left:
            piece.append(left)
            room -= len(left)
    if piece:
        yield piece


def _chunk_keys(key: bytes, token: bytes, chunks: int) -> list[bytes]:
    return [_chunk_key(key, token, number) for number in range(chunks)]


def _chunk_key(key: bytes, token: bytes, number: int) -> bytes:
    return b"%b:%b:%d" % (key, token, number)


def _look(key: bytes) -> Command:
    """Return what reads a value's head only."""
    return b"GETRANGE", key, b"0", str(_HEAD.size - 1).encode()


def _opened(held: memoryview) -> tuple[int, int, bytes]:
    """Return what a head says: chunks, bytes of the frame, token."""
    magic, chunks, size, token = _HEAD.unpack_from(held)
    if magic != _MAGIC:
        raise ValueStoreError(f"a value of another version: {magic!r} instead of {_MAGIC!r}")
    return chunks, size, token


def _lost(run: str, name: str) -> LostValueError:
    return LostValueError(f"cannot read value {name} of run {run}: it is not there", run, name)


def _server_of(spec: dict[str, Any], keys: Callable[[], Keys] | None) -> Server | Cluster:
    address = Address(spec, keys)
    if not spec.get("cluster"):
        return Server(address)
    from .cluster import Cluster  # noqa: PLC0415  (few deployments have one)

    return Cluster(address)
