"""The journal of a run: what was done, as signed segments of records.

In: commits, losses, charges, twins. Out: bytes, and from bytes the same again. Must not know where they lie, nor decide
what follows from them.

A segment, little-endian; they are numbered from 1, and the signature binds run and number::

    4s Q Q 32s    magic, number, length of the records, signature: keyed BLAKE2b over run, number and records

A record::

    B Q Q I       kind, two numbers, length of what follows
    …             COMMITTED: task, bytes of its frame; the frame where it travelled inline
                  STORED:    task, bytes of its frame, which lies in the store
                  SHARED:    task, bytes of its frame; its content's number (32 bytes) and the namespace's run
                  UNSENT:    task, whose parts are committed instead of its value
                  LOST:      the values that were lost at once, 8 bytes each
                  CHARGED:   task, how often it failed in one way; that way
                  REPLACED:  operation id and function's name
                  SPENT:     picodollars that the run has spent; those that what is in flight may come to
                  STARTED:   task that may not run twice; 1 before it is sent, 0 when it is known that it did not run
"""

from __future__ import annotations

import struct
from enum import IntEnum
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING, NamedTuple

from graphlambda.compiler.program import Kept
from graphlambda.errors import AuthenticationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphlambda.runtime.frame import Buffer

_MAGIC = b"GLJ1"
_HEAD = struct.Struct("<4sQQ32s")
_RECORD = struct.Struct("<BQQI")


class Kind(IntEnum):
    """What a record tells."""

    COMMITTED = 1
    STORED = 2
    UNSENT = 3
    LOST = 4
    CHARGED = 5
    REPLACED = 6
    STARTED = 7
    SHARED = 8
    SPENT = 9


class Record(NamedTuple):
    """One thing that was done."""

    kind: int
    """A `Kind`."""

    subject: int
    """A task; 0 where it is about none."""

    number: int = 0
    body: bytes = b""


def committed(task: int, frame: bytes | None, size_bytes: int, place: Kept | None = None) -> Record:
    """Return that a task's value is there: in its frame, or in the store, where another place is a namespace's."""
    if place is not None:
        return Record(Kind.SHARED, task, size_bytes, place.id.to_bytes(32) + place.run.encode())
    if frame is None:
        return Record(Kind.STORED, task, size_bytes)
    return Record(Kind.COMMITTED, task, size_bytes, frame)


def place_in(record: Record) -> Kept | None:
    """Return where in a namespace a record says that a value lies; None where it says another place."""
    if record.kind != Kind.SHARED:
        return None
    return Kept(run=record.body[32:].decode(), id=int.from_bytes(record.body[:32]), store="")


def unsent(task: int) -> Record:
    """Return that a task is done whose value is nowhere: all that is read of it came with it."""
    return Record(Kind.UNSENT, task)


def lost(values: Sequence[int]) -> Record:
    """Return that values were gone from the store together, or damaged there, and are made again."""
    return Record(Kind.LOST, 0, 0, struct.pack(f"<{len(values)}Q", *values))


def lost_in(record: Record) -> list[int]:
    """Return the values of a record of lost ones."""
    return list(struct.unpack(f"<{len(record.body) // 8}Q", record.body))


def charged(task: int, way: str, times: int) -> Record:
    """Return how often a task failed in one way, so that its bounds hold over several clients."""
    return Record(Kind.CHARGED, task, times, way.encode())


def started(task: int, *, sent: bool) -> Record:
    """Return that a task which may not run twice is about to be sent, or is known not to have run."""
    return Record(Kind.STARTED, task, int(sent))


def spent(spent_pico: int, in_flight_pico: int) -> Record:
    """Return what a run has spent, over all its clients, and what its invocations in flight may come to."""
    return Record(Kind.SPENT, spent_pico, in_flight_pico)


def replaced(operation: str, function: str) -> Record:
    """Return that another function holds an operation now."""
    return Record(Kind.REPLACED, 0, 0, f"{operation} {function}".encode())


def segment(records: Sequence[Record], number: int, *, run: str, key: bytes) -> list[Buffer]:
    """Return a segment's parts."""
    parts: list[Buffer] = []
    length = 0
    for kind, subject, second, body in records:
        parts.append(_RECORD.pack(kind, subject, second, len(body)))
        length += _RECORD.size + len(body)
        if body:
            parts.append(body)
    return [_HEAD.pack(_MAGIC, number, length, _signature(parts, number, run, key)), *parts]


def records_of(segments: Iterable[bytes], *, run: str, key: bytes) -> Iterator[Record]:
    """Return the records of a journal's segments, in order from number 1.

    A segment that is cut short is the last that counts: it was never flushed. Where another follows it, or one that
    is whole is not what it claims to be, the journal is damaged.

    Raises:
        AuthenticationError: it is.
    """
    torn = 0
    for number, content in enumerate(segments, 1):
        if torn:
            raise AuthenticationError(f"segment {torn} of the journal of run {run} is cut short. {_REMEDY}")
        if is_whole(content):
            yield from _records(_verified(content, number, run, key))
        else:
            torn = number


def is_whole(content: bytes) -> bool:
    """Whether a segment has the end that its head tells of."""
    return len(content) >= _HEAD.size and len(content) >= _HEAD.size + _HEAD.unpack_from(content)[2]


_REMEDY = "The disk lost what was flushed, or somebody else wrote there: compute again"


def _verified(content: bytes, number: int, run: str, key: bytes) -> memoryview:
    """Return the records of a segment that is what it claims to be."""
    magic, told, length, signature = _HEAD.unpack_from(content)
    records = memoryview(content)[_HEAD.size :]
    expected = _signature([records], number, run, key)
    if (magic, told, length) != (_MAGIC, number, len(records)) or not compare_digest(signature, expected):
        raise AuthenticationError(f"segment {number} of the journal of run {run} is damaged. {_REMEDY}")
    return records


def _records(content: memoryview) -> Iterator[Record]:
    at = 0
    while at < len(content):
        kind, subject, second, length = _RECORD.unpack_from(content, at)
        at += _RECORD.size
        yield Record(kind, subject, second, bytes(content[at : at + length]))
        at += length


def _signature(parts: Iterable[Buffer], number: int, run: str, key: bytes) -> bytes:
    digest = blake2b(
        run.encode() + number.to_bytes(8, "little"), key=key, digest_size=32, person=b"graphlambda jou"
    )
    for part in parts:
        digest.update(part)
    return digest.digest()
