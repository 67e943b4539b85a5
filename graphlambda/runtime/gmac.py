"""GMAC, by the OpenSSL that Python's hashlib stands on: signs large frames about as fast as memory is read.

In: a key that signs one message and no other, the message's parts. Out: a tag of 16 bytes. Must not be imported
for small frames: ctypes and OpenSSL cost a cold start up to 8 ms.

GMAC is AES-256-GCM (NIST SP 800-38D) of nothing, with the message as additional data. Processors multiply in its
field: 16 GB/s from a cache, where SHA-256 with instructions of its own reaches 2 and BLAKE2b 1. Since a key is used
once, the nonce is constant; a forger's chance is at most one in 2**128 for each 16 bytes of the message.
"""

from __future__ import annotations

import ctypes
from ctypes import c_char_p, c_int, c_void_p

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .frame import Buffer

TAG_BYTES = 16

_NONCE = bytes(12)
_GET_TAG = 0x10  # EVP_CTRL_GCM_GET_TAG
_MOST_BYTES = 1 << 30  # OpenSSL's length is an int
_TAG_OF_NOTHING = bytes.fromhex("530f8afbc74536b9a963b4f1c4cb738b")  # under a zero key: GCM's test case 13

_FUNCTIONS = {
    "EVP_aes_256_gcm": (c_void_p, []),
    "EVP_CIPHER_CTX_new": (c_void_p, []),
    "EVP_CIPHER_CTX_free": (None, [c_void_p]),
    "EVP_EncryptInit_ex": (c_int, [c_void_p, c_void_p, c_void_p, c_char_p, c_char_p]),
    "EVP_EncryptUpdate": (c_int, [c_void_p, c_void_p, c_void_p, c_void_p, c_int]),
    "EVP_EncryptFinal_ex": (c_int, [c_void_p, c_void_p, c_void_p]),
    "EVP_CIPHER_CTX_ctrl": (c_int, [c_void_p, c_int, c_int, c_void_p]),
}


class _View(ctypes.Structure):
    """Python's `Py_buffer`; we read two of its fields."""

    _fields_ = (
        ("address", c_void_p),
        ("of", c_void_p),
        ("bytes", ctypes.c_ssize_t),
        ("rest", c_void_p * 8),
    )


def tag_of(key: bytes, parts: Iterable[Buffer]) -> bytes:
    """Return the tag of a message under a key of 32 bytes, which must never sign another message."""
    assert _OPENSSL is not None, "whoever asks has looked at REACHABLE"
    return _tag(_OPENSSL, key, parts)


def _tag(openssl: ctypes.CDLL, key: bytes, parts: Iterable[Buffer]) -> bytes:
    context, tag, written = openssl.EVP_CIPHER_CTX_new(), ctypes.create_string_buffer(TAG_BYTES), c_int()
    try:
        done = openssl.EVP_EncryptInit_ex(context, openssl.EVP_aes_256_gcm(), None, key, _NONCE)
        for part in parts:
            done = done and _update(openssl, context, part)
        done = done and openssl.EVP_EncryptFinal_ex(context, tag, ctypes.byref(written))
        if not (done and openssl.EVP_CIPHER_CTX_ctrl(context, _GET_TAG, TAG_BYTES, tag)):
            raise MemoryError("OpenSSL could not sign a frame")  # its only reason, once it was reached
    finally:
        openssl.EVP_CIPHER_CTX_free(context)
    return tag.raw


def _update(openssl: ctypes.CDLL, context: int, part: Buffer) -> bool:
    view, written = _View(), c_int()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(part), ctypes.byref(view), 0)
    try:
        return all(
            openssl.EVP_EncryptUpdate(
                context, None, ctypes.byref(written), view.address + at, min(view.bytes - at, _MOST_BYTES)
            )
            for at in range(0, view.bytes, _MOST_BYTES)
        )
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))


def _reached() -> ctypes.CDLL | None:
    """Return the OpenSSL that `_hashlib` is linked with; None where that was built into Python out of sight."""
    try:
        import _hashlib  # noqa: PLC0415  (a Python may have none)

        openssl = ctypes.CDLL(getattr(_hashlib, "__file__", None))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(openssl, name)
            function.restype, function.argtypes = result, arguments
        return openssl if _tag(openssl, bytes(32), ()) == _TAG_OF_NOTHING else None
    except (ImportError, OSError, AttributeError, MemoryError):
        return None


_OPENSSL = _reached()
REACHABLE = _OPENSSL is not None
"""Whether this Python can sign and verify so."""
