"""What tests of the whole share: scripts run as a user runs them, and a look at what they leave behind.

All of them, in this process or another, use the session's one cache: an artifact is built once.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from graphlambda.store.file import FileStore, default_root

if TYPE_CHECKING:
    from collections.abc import Callable

START_S = 120.0
"""How long a script may take on a loaded machine before it is taken for hung."""


@dataclass(frozen=True)
class Scripts:
    """Runs Python programs in a folder, and knows the processes that are of their making."""

    folder: Path
    before: frozenset[int] = field(default_factory=lambda: frozenset(_of_session()))

    def start(self, text: str, **variables: str) -> subprocess.Popen[str]:
        """Start a script in a session of its own; the caller ends it."""
        script = self.folder / "script.py"
        script.write_text(textwrap.dedent(text))
        return subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", script],
            cwd=self.folder,
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, text: str, **variables: str) -> str:
        """Run a script to its good end and return what it printed."""
        with self.start(text, **variables) as process:
            try:
                printed, errors = process.communicate(timeout=START_S)
            finally:
                process.kill()
        assert process.returncode == 0, f"{printed}\n{errors}"
        return printed

    def left(self) -> list[str]:
        """Return what still runs of all that was started since these scripts began."""
        return [_command(pid) for pid in sorted(_of_session() - self.before)]


@pytest.fixture
def scripts(tmp_path: Path) -> Scripts:
    return Scripts(tmp_path)


@pytest.fixture
def runs() -> Callable[[], set[str]]:
    """Return what lists the runs that have a folder in the store."""
    store = FileStore(default_root(Path(os.environ["GRAPHLAMBDA_CACHE_DIR"])))
    return lambda: set(store.runs())


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 10.0) -> None:
    """Wait until a condition holds; a failure says which did not."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


def _of_session() -> set[int]:
    """Return the processes, beside this one, that have the session's cache in their variables or arguments."""
    mark = os.environ["GRAPHLAMBDA_CACHE_DIR"].encode()
    numbers = {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()}
    return {pid for pid in numbers - {os.getpid()} if mark in _texts(pid)}


def _texts(pid: int) -> bytes:
    """Return a living process's arguments, variables and log; nothing of one that has ended.

    The service has none of its client's variables, but its standard error is a file of the cache.
    """
    folder = Path(f"/proc/{pid}")
    try:
        log = os.fsencode((folder / "fd/2").readlink()) if (folder / "fd/2").is_symlink() else b""
        return log + b"".join((folder / name).read_bytes() for name in ("cmdline", "environ"))
    except OSError:
        return b""


def _command(pid: int) -> str:
    try:
        return f"{pid}: {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
    except OSError:
        return f"{pid}: gone by now"
