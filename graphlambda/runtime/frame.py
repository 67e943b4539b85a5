"""The frame codec: one value as one authenticated run of bytes, and back.

In: a value, the run's key, what the frame is for (`wire.context`). Out: a frame; or a value that is the
caller's alone. Must not unpickle anything before its signature is verified.

A frame, little-endian::

    32 bytes      signature over context and all that follows the signature
    4s I Q        magic, number of buffers b, length of the pickle
    b times Q     length of each buffer
    …             the pickle (protocol 5), then each out-of-band buffer, all at multiples of 64 bytes

Buffers are out of band, so that encoding copies none of them and decoding hands a NumPy array its part of
the frame as memory.

The magic says how the frame is signed. `GLF1`: BLAKE2b under the run's key, over context length, context and what
follows the signature. `GLF2`, for large frames: the signature is a random salt of 16 bytes and the GMAC of what
follows it, under a key of this frame's own: BLAKE2b of context length and context, under the run's key and salt.
"""

from __future__ import annotations

import os
import pickle
import struct
from _blake2 import blake2b  # hashlib and hmac re-export these two, and load OpenSSL for all others
from _operator import _compare_digest as compare_digest

from .faults import FrameError, UnshippableValueError

TYPE_CHECKING = False  # `typing` costs a cold start 3 ms
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview
    Dumps: TypeAlias = Callable[..., bytes]
    """As `pickle.dumps` and `cloudpickle.dumps`: (value, protocol=, buffer_callback=)."""

KEY_BYTES = 32
SIGNATURE_BYTES = 32

_SMALL, _LARGE = b"GLF1", b"GLF2"
_LARGE_BYTES = 1 << 17  # from here on, GMAC wins more than its import and its setting up cost
_SALT_BYTES = 16
_HEAD = struct.Struct("<4sIQ")
HEAD_BYTES = SIGNATURE_BYTES + _HEAD.size
_PAGES_BYTES = 1 << 21
_ALIGNMENT = 64  # a cache line, and what Arrow asks for
_INSIDE_BYTES = 1024  # below this, a buffer is cheaper inside the pickle


def encode(value: Any, *, key: bytes, context: bytes, dumps: Dumps | None = None) -> bytes:
    """Return `value` as one frame; raises as `encode_parts` does."""
    return b"".join(encode_parts(value, key=key, context=context, dumps=dumps))


def encode_parts(
    value: Any, *, key: bytes, context: bytes, dumps: Dumps | None = None, gmac: bool = True
) -> list[Buffer]:
    """Return a frame's parts in order; the value's own buffers among them, not copied.

    Without `dumps`, the value is pickled, by cloudpickle only where pickle fails. `gmac` says whether all that may
    read the frame can verify GMAC.

    Raises:
        UnshippableValueError: the value does not pickle.
    """
    pickled, buffers = taken_apart(value, dumps)
    large = gmac and len(pickled) + sum(map(len, buffers)) >= _LARGE_BYTES and knows_gmac()
    head = _HEAD.pack(_LARGE if large else _SMALL, len(buffers), len(pickled))
    head += struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    signed = [head + _padding(SIGNATURE_BYTES + len(head)), pickled, *_padded(len(pickled), buffers)]
    salt = os.urandom(_SALT_BYTES) if large else b""
    return [
        _large_signature(key, context, salt, signed) if large else _signature(key, context, signed),
        *signed,
    ]


def decode(frame: Buffer, *, key: bytes, context: bytes) -> Any:
    """Return the value of a frame, verified before it is unpickled; its memory is the caller's alone.

    A writable frame becomes the memory of what it held: do not use it again. A read-only one is copied.

    Raises:
        FrameError: the frame is damaged, or belongs to another key, run or name.
    """
    return load(verify(frame, key=key, context=context))


def verify(frame: Buffer, *, key: bytes, context: bytes) -> memoryview:
    """Return a frame that is what it claims to be, ready for `load`.

    Raises:
        FrameError: the frame is damaged, or belongs to another key, run or name.
    """
    view = memoryview(frame)
    if not compare_digest(_expected(view, key, context), view[:SIGNATURE_BYTES]):
        message = (
            f"the frame of {context.decode(errors='replace')} is damaged, or signed for another run or name"
        )
        raise FrameError(message)
    return view


def load(frame: memoryview) -> Any:
    """Return the value of a verified frame; every call on a read-only frame gives a copy of its own."""
    magic, count, pickle_bytes = _HEAD.unpack_from(frame, SIGNATURE_BYTES)
    if magic not in (_SMALL, _LARGE):  # signed by us, so not damaged
        raise FrameError(f"a frame of another version: {magic!r} instead of {_SMALL!r} or {_LARGE!r}")
    lengths = struct.unpack_from(f"<{count}Q", frame, HEAD_BYTES)
    start = _aligned(HEAD_BYTES + 8 * count)
    if count == 0:
        return pickle.loads(frame[start : start + pickle_bytes])
    if frame.readonly:
        frame = copied(frame)
    return pickle.loads(
        frame[start : start + pickle_bytes], buffers=_cut(frame, start + pickle_bytes, lengths)
    )


def settled(mapped: memoryview) -> memoryview:
    """Return a frame that is a private mapping of a file, with its pickle out of reach of whoever writes to the file.

    What is un-pickled is then what was verified. Buffers stay mapped: they hold data only.
    """
    mapped[:HEAD_BYTES] = bytes(mapped[:HEAD_BYTES])  # a page that is written to is ours from then on
    end = pickle_end(mapped)
    mapped[:end] = bytes(mapped[:end])
    return mapped


def pickle_end(frame: Buffer) -> int:
    """Return where a frame's pickle ends, by its first `HEAD_BYTES`; nobody has verified that."""
    if len(frame) < HEAD_BYTES:
        return 0
    _, count, pickle_bytes = _HEAD.unpack_from(frame, SIGNATURE_BYTES)
    return _aligned(HEAD_BYTES + 8 * count) + int(pickle_bytes)


def allocate(size: int) -> memoryview:
    """Return `size` writable bytes of private memory; large ones are aligned as buffers are in a frame."""
    if size < _LARGE_BYTES:
        return memoryview(bytearray(size))
    if size < _PAGES_BYTES:
        return _from_heap(size)
    from .pages import lend  # noqa: PLC0415  (large values only)

    return lend(size)


def _from_heap(size: int) -> memoryview:
    """Return memory that earlier values of this size left to the allocator: fresh pages cost seven times as much."""
    from ctypes import addressof, c_char  # noqa: PLC0415  (here already, with GMAC)

    whole = memoryview(bytearray(size + _ALIGNMENT - 1))
    start = -addressof(c_char.from_buffer(whole)) % _ALIGNMENT
    return whole[start : start + size]


def copied(buffer: Buffer) -> memoryview:
    """Return a writable copy."""
    copy = allocate(len(buffer))
    copy[:] = buffer
    return copy


def knows_gmac() -> bool:
    """Whether this Python can sign and verify large frames fast."""
    from .gmac import REACHABLE  # noqa: PLC0415  (it loads OpenSSL)

    return REACHABLE


def size_of(parts: Sequence[Buffer]) -> int:
    """Return how many bytes the parts have together."""
    return sum(map(len, parts))


def taken_apart(value: Any, dumps: Dumps | None = None) -> tuple[bytes, list[memoryview]]:
    """Return a value's pickle and the buffers that are not in it, not copied; see `encode_parts`."""
    try:
        return _dumped(value, dumps or pickle.dumps)
    except MemoryError:
        raise
    except Exception as error:  # a user's __reduce__ may raise anything
        if dumps is not None:
            raise _unshippable(value, error) from error
        return _pickled_by_value(value, error)


def _pickled_by_value(value: Any, error: Exception) -> tuple[bytes, list[memoryview]]:
    """Try again with cloudpickle, which is imported only by operations that come here."""
    try:
        from cloudpickle import dumps  # noqa: PLC0415
    except ModuleNotFoundError:
        raise _unshippable(value, error) from error
    return taken_apart(value, dumps)


def _unshippable(value: Any, error: Exception) -> UnshippableValueError:
    kind = type(value)
    named = f"{kind.__module__}.{kind.__qualname__}"
    return UnshippableValueError(
        f"a value of type {named} cannot be pickled: {type(error).__name__}: {error}"
    )


def _dumped(value: Any, dumps: Dumps) -> tuple[bytes, list[memoryview]]:
    buffers: list[memoryview] = []

    def stays_inside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if len(raw) >= _INSIDE_BYTES:
            buffers.append(raw)
            return False
        return True

    return dumps(value, protocol=5, buffer_callback=stays_inside), buffers


def _expected(frame: memoryview, key: bytes, context: bytes) -> bytes:
    """Return what the signature of a frame must be; how it was made is told by what is not verified yet."""
    signed = (frame[SIGNATURE_BYTES:],)
    if signed[0][: len(_LARGE)] != _LARGE:
        return _signature(key, context, signed)
    if not knows_gmac():
        raise FrameError(
            "a large frame cannot be verified: this Python's OpenSSL is out of reach; use another build"
        )
    return _large_signature(key, context, bytes(frame[:_SALT_BYTES]), signed)


def _signature(key: bytes, context: bytes, parts: Iterable[Buffer]) -> bytes:
    digest = blake2b(_prefixed(context), key=key, digest_size=SIGNATURE_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _large_signature(key: bytes, context: bytes, salt: bytes, parts: Iterable[Buffer]) -> bytes:
    from .gmac import tag_of  # noqa: PLC0415  (it loads OpenSSL)

    once = blake2b(_prefixed(context), key=key, salt=salt, person=b"graphlambda gmac", digest_size=KEY_BYTES)
    return salt + tag_of(once.digest(), parts)


def _prefixed(context: bytes) -> bytes:
    return len(context).to_bytes(4, "little") + context


def _padded(offset: int, buffers: Iterable[memoryview]) -> Iterable[Buffer]:
    """Yield each buffer after the zeros that align it, given where the pickle ends (it starts aligned)."""
    for buffer in buffers:
        if padding := _padding(offset):
            yield padding
        yield buffer
        offset = len(buffer)


def _cut(frame: memoryview, end: int, lengths: Iterable[int]) -> Iterable[memoryview]:
    for length in lengths:
        start = _aligned(end)
        end = start + length
        yield frame[start:end]


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def _padding(offset: int) -> bytes:
    return bytes(-offset % _ALIGNMENT)
