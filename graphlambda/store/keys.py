"""Keys: the root key that stays with the client, the run keys derived from it, sealed files.

In: a path, a run's id, bytes. Out: keys of 32 bytes, and payloads whose seal was verified. A key is never
printed, logged, or put into a name, an artifact or an environment variable.
"""

from __future__ import annotations

import os
import secrets
from hashlib import blake2b
from hmac import compare_digest
from typing import TYPE_CHECKING

from graphlambda.errors import ConfigError
from graphlambda.runtime.frame import KEY_BYTES

if TYPE_CHECKING:
    from pathlib import Path

_SEAL_BYTES = 32
_MAGIC = b"GLS1"


class SealError(ValueError):
    """What is opened is damaged, was sealed with another root key, or for another purpose."""


def root_key(path: Path) -> bytes:
    """Return the root key in a file, made on first use by whoever comes first.

    Raises:
        ConfigError: the file is not a key, others than its owner may read it, or it cannot be made.
    """
    try:
        if not path.exists():
            _make_key(path)
        mode, key = path.stat().st_mode, path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be made or read: {error.strerror}. Name another folder (`state_dir=`, GRAPHLAMBDA_STATE_DIR)"
        ) from error
    if mode & 0o077:
        raise ConfigError(f"{path} can be read by others: `chmod 600` it, or delete it to get a new key")
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"{path} holds {len(key)} bytes instead of a key of {KEY_BYTES}: delete it to get a new one"
        )
    return key


def derive(root: bytes, run: str) -> bytes:
    """Return the key of one run; it says nothing about the root key or other runs' keys."""
    return blake2b(run.encode(), key=root, digest_size=KEY_BYTES, person=b"graphlambda run").digest()


def seal(payload: bytes, root: bytes, purpose: str) -> bytes:
    """Return a payload with its seal, for a file that may lie anywhere."""
    return b"".join((_MAGIC, _signature(payload, root, purpose), payload))


def open_sealed(sealed: bytes, root: bytes, purpose: str) -> bytes:
    """Return a sealed payload.

    Raises:
        SealError: it is damaged, not ours, or was sealed for another purpose.
    """
    start = len(_MAGIC) + _SEAL_BYTES
    payload = sealed[start:]
    if sealed[: len(_MAGIC)] != _MAGIC:
        raise SealError(f"this is not a sealed {purpose}")
    if not compare_digest(sealed[len(_MAGIC) : start], _signature(payload, root, purpose)):
        raise SealError(f"this {purpose} is damaged, or was sealed with another key")
    return payload


def _signature(payload: bytes, root: bytes, purpose: str) -> bytes:
    head = len(purpose.encode()).to_bytes(4, "little") + purpose.encode()
    digest = blake2b(head, key=root, digest_size=_SEAL_BYTES, person=b"graphlambda sea")
    digest.update(payload)
    return digest.digest()


def _make_key(path: Path) -> None:
    """Make the file whole before it gets its name: of two makers one wins, and nobody reads half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
        path.hardlink_to(made)
    except FileExistsError:
        pass
    finally:
        made.unlink()
