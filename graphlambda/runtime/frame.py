"""The frame codec: one value as one authenticated run of bytes, and back.

In: a value, the run's key, what the frame is for (`wire.context`). Out: a frame; or a value that is the
caller's alone. Must not unpickle anything before its signature is verified.

A frame, little-endian::

    32 bytes      signature: keyed BLAKE2b over context length, context and all that follows
    4s I Q        magic, number of buffers b, length of the pickle
    b times Q     length of each buffer
    …             the pickle (protocol 5), then each out-of-band buffer, all at multiples of 64 bytes

Buffers are out of band, so that encoding copies none of them and decoding hands a NumPy array its part of
the frame as memory.
"""

from __future__ import annotations

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

_MAGIC = b"GLF1"
_HEAD = struct.Struct("<4sIQ")
_ALIGNMENT = 64  # a cache line, and what Arrow asks for
_SMALL_BYTES = 1024  # below this, a buffer is cheaper inside the pickle


def encode(value: Any, *, key: bytes, context: bytes, dumps: Dumps | None = None) -> bytes:
    """Return `value` as one frame; raises as `encode_parts` does."""
    return b"".join(encode_parts(value, key=key, context=context, dumps=dumps))


def encode_parts(value: Any, *, key: bytes, context: bytes, dumps: Dumps | None = None) -> list[Buffer]:
    """Return a frame's parts in order; the value's own buffers among them, not copied.

    Without `dumps`, the value is pickled, by cloudpickle only where pickle fails.

    Raises:
        UnshippableValueError: the value does not pickle.
    """
    pickled, buffers = _pickled(value, dumps)
    head = _HEAD.pack(_MAGIC, len(buffers), len(pickled))
    head += struct.pack(f"<{len(buffers)}Q", *map(len, buffers))
    signed = [head + _padding(SIGNATURE_BYTES + len(head)), pickled, *_padded(len(pickled), buffers)]
    return [_signature(key, context, signed), *signed]


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
    signature = _signature(key, context, (view[SIGNATURE_BYTES:],))
    if not compare_digest(signature, view[:SIGNATURE_BYTES]):
        message = (
            f"the frame of {context.decode(errors='replace')} is damaged, or signed for another run or name"
        )
        raise FrameError(message)
    return view


def load(frame: memoryview) -> Any:
    """Return the value of a verified frame; every call on a read-only frame gives a copy of its own."""
    magic, count, pickle_bytes = _HEAD.unpack_from(frame, SIGNATURE_BYTES)
    if magic != _MAGIC:  # signed by us, so not damaged
        raise FrameError(f"a frame of another version: {bytes(magic)!r} instead of {_MAGIC!r}")
    lengths = struct.unpack_from(f"<{count}Q", frame, SIGNATURE_BYTES + _HEAD.size)
    start = _aligned(SIGNATURE_BYTES + _HEAD.size + 8 * count)
    if count == 0:
        return pickle.loads(frame[start : start + pickle_bytes])
    if frame.readonly:
        frame = copied(frame)
    return pickle.loads(
        frame[start : start + pickle_bytes], buffers=_cut(frame, start + pickle_bytes, lengths)
    )


def allocate(size: int) -> memoryview:
    """Return `size` writable bytes of private memory; large ones start at a page and are not zeroed twice."""
    if size < 1 << 16:
        return memoryview(bytearray(size))
    from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap  # noqa: PLC0415  (few operations need it)

    return memoryview(mmap(-1, size, flags=MAP_PRIVATE | MAP_ANONYMOUS))


def copied(buffer: Buffer) -> memoryview:
    """Return a writable copy."""
    copy = allocate(len(buffer))
    copy[:] = buffer
    return copy


def size_of(parts: Sequence[Buffer]) -> int:
    """Return how many bytes the parts have together."""
    return sum(map(len, parts))


def _pickled(value: Any, dumps: Dumps | None) -> tuple[bytes, list[memoryview]]:
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
    return _pickled(value, dumps)


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
        if len(raw) >= _SMALL_BYTES:
            buffers.append(raw)
            return False
        return True

    return dumps(value, protocol=5, buffer_callback=stays_inside), buffers


def _signature(key: bytes, context: bytes, parts: Iterable[Buffer]) -> bytes:
    digest = blake2b(len(context).to_bytes(4, "little") + context, key=key, digest_size=SIGNATURE_BYTES)
    for part in parts:
        digest.update(part)
    return digest.digest()


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
