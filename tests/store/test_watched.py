"""Whoever starts a server leaves nothing of it, though killed: no process, no folder, no socket in a place of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import graphlambda

CLIENT = """
import sys, time
from pathlib import Path
from graphlambda.testing.s3_servers import seaweed
folder = Path(sys.argv[1])
folder.mkdir()
with seaweed(folder) as server:
    server.bucket().put("v-1", [bytes(1 << 20)], {})
    print("ready", flush=True)
    time.sleep(60)
"""


def sockets() -> set[Path]:
    """SeaweedFS puts some there, whatever it is told."""
    return set(Path("/tmp").glob("seaweedfs-*.sock"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says at once that a process was killed")
def test_an_s3_server_whose_client_is_killed_leaves_nothing(tmp_path: Path) -> None:
    before, home = sockets(), str(Path(graphlambda.__path__[0]).parent)
    command = [sys.executable, "-c", CLIENT, str(tmp_path / "s3")]
    with subprocess.Popen(command, cwd=home, stdout=subprocess.PIPE, text=True) as client:
        assert client.stdout is not None
        assert client.stdout.readline()
        made = sockets() - before
        client.send_signal(signal.SIGKILL)
    deadline_s = time.monotonic() + 15
    while list(tmp_path.iterdir()) or sockets() & made:
        assert time.monotonic() < deadline_s, (list(tmp_path.iterdir()), sockets() & made)
        time.sleep(0.05)
