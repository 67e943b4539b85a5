"""What happens to a state folder while no service uses it: it is cleaned, measured, made smaller.

In: the folder. Out: the mark of who uses it; sums. Must not delete anything under a living service.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from typing import TYPE_CHECKING

from graphlambda.local.catalogue import Catalogue

if TYPE_CHECKING:
    from pathlib import Path

_OLD_LOG_S = 3600.0
"""A log that is older belongs to no service that is just starting."""


def claim_state(state: Path, most_bytes: int) -> int:
    """Mark a state folder as in use, and return the descriptor that holds the mark.

    The first service cleans up after those before it, and keeps what was used last, `most_bytes` at most;
    nothing is deleted under another that lives.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    state.chmod(0o700)
    descriptor = _opened(state)
    if _is_alone(descriptor):
        Catalogue(state).sweep(most_bytes)
        shutil.rmtree(state / "tmp", ignore_errors=True)
        for log in (state / "logs").glob("*.log"):
            if time.time() - log.stat().st_mtime > _OLD_LOG_S:
                log.unlink(missing_ok=True)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def usage(state: Path) -> tuple[int, int]:
    """Return how many functions and layer versions a state folder holds, and their unzipped bytes."""
    return Catalogue(state).usage() if state.is_dir() else (0, 0)


def trim(state: Path, most_bytes: int) -> bool:
    """Delete what was used least recently until the rest fits; False if a living service uses the folder."""
    if not state.is_dir():
        return True
    descriptor = _opened(state)
    try:
        alone = _is_alone(descriptor)
        if alone:
            Catalogue(state).sweep(most_bytes)
    finally:
        os.close(descriptor)
    return alone


def _opened(state: Path) -> int:
    return os.open(state / "in-use", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _is_alone(descriptor: int) -> bool:
    """Take the mark for ourselves if nobody else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
