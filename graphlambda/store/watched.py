"""Programs that end with this process, however it ends, and leave no folder behind.

In: a command, the folder that is its alone. Out: the running command. Must not outlive this process (see `watch`), nor
leave the command this process's environment, which may hold credentials.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STOP_S = 10.0
"""How long a program and its watch may take to end."""


class Watched:
    """A command and what watches it; both end with `close`, or with this process."""

    def __init__(
        self,
        command: Sequence[str | Path],
        folder: Path,
        *,
        variables: Mapping[str, str],
        output: int | IO[bytes] = subprocess.DEVNULL,
        inside: bool = False,
    ) -> None:
        """Run a command that has these variables alone; with `inside`, its working directory is the folder."""
        self._owner = os.getpid()
        watch = Path(__file__).with_name("watch.py")
        self._process: subprocess.Popen[Any] = subprocess.Popen(
            [sys.executable, "-I", "-S", watch, str(self._owner), folder, *command],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=variables,
            start_new_session=True,
            cwd=folder if inside else "/",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Return the process id of what watches the command."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the command still runs."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the command; its folder is gone. In a fork of this process, nothing happens."""
        if os.getpid() == self._owner:
            end(self._process)


def end(process: subprocess.Popen[Any]) -> None:
    """End a child that ends with its standard input; one that does not is killed."""
    assert process.stdin is not None, "it was started with a pipe"
    process.stdin.close()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
