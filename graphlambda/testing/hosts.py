"""Hosts that share no network: each is a program in a network namespace, for which nobody has to be root.

In: a command. Out: a running one, and sockets of its network. Must not outlive this process, nor leave anything behind.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import TYPE_CHECKING, Self

from graphlambda.store.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

START_S = 60.0
"""How long a program may take on a busy machine until it listens."""

LOOPBACK = "127.0.0.1"

_UNSHARED = ("unshare", "--user", "--map-root-user", "--net")


def why_not() -> str:
    """Return why there can be no hosts on this machine; empty where they can."""
    if shutil.which(_UNSHARED[0]) is None:
        return "this machine has no program `unshare`"
    tried = subprocess.run([*_UNSHARED, "true"], capture_output=True, text=True, timeout=START_S, check=False)
    return f"this machine gives its users no network namespaces: {tried.stderr}" if tried.returncode else ""


class Host:
    """A program on a host of its own; ends with `close`, or with this process."""

    def __init__(self, command: Sequence[str | Path], variables: Mapping[str, str]) -> None:
        """Start a command that has these variables alone."""
        folder = Path(mkdtemp(prefix="gl-host-"))  # a unix socket's path is short
        self._door = str(folder / "sockets")
        self._log = TemporaryFile()  # noqa: SIM115  (as long as the host)
        script = Path(__file__).with_name("sockets.py")
        inside = [*_UNSHARED, sys.executable, "-I", "-S", script, self._door, *command]
        self._process = Watched(inside, folder, variables=variables, output=self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.close()
        self._log.close()

    def socket(self) -> socket.socket:
        """Return a new TCP socket of the host's network.

        Raises:
            OSError: the host is not there.
        """
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(START_S)
            asking.connect(self._door)
            _, (given, *_), *_ = socket.recv_fds(asking, 1, 1)
        return socket.socket(fileno=given)

    def wait_for(self, port: int) -> None:
        """Return when the program listens at a port.

        Raises:
            TimeoutError: it ended, or did not in time; the message has the end of its log.
        """
        deadline_s = time.monotonic() + START_S
        while self._process.alive and time.monotonic() < deadline_s:
            try:
                with self.socket() as trying:
                    trying.connect((LOOPBACK, port))
                    return
            except OSError:
                time.sleep(0.02)  # it is not there yet, and says so to nobody
        said = os.pread(self._log.fileno(), 1 << 20, 0)[-2000:].decode(errors="replace")
        raise TimeoutError(f"a host's program did not listen at {port} within {START_S:g} s. It said: {said}")
