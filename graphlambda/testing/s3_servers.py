"""Real S3 servers on loopback: SeaweedFS, which refuses bad signatures, and moto's, as a second opinion.

In: a folder. Out: a server that lives as long as its `with` block. Must not leave a process or a file outside.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sysconfig
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from typing import IO, TYPE_CHECKING

from graphlambda.runtime.bucket import Bucket
from graphlambda.runtime.identity import Keys
from graphlambda.runtime.s3 import LEASE
from graphlambda.store.s3 import Location
from graphlambda.testing.servers import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

REGION = "us-east-1"
BUCKET = "graphlambda-test"

_READY = "All enabled components are running"
_LISTENERS = (
    "s3.port", "s3.port.grpc", "s3.port.https", "master.port", "master.port.grpc", "volume.port", "volume.port.grpc",
    "filer.port", "filer.port.grpc", "admin.port", "admin.port.grpc",
)  # fmt: skip
_ABSENT = (
    "-admin.ui=false", "-webdav=false", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class S3Server:
    """A server with one bucket."""

    endpoint: str
    tls_endpoint: str = ""
    """The same over TLS; empty where it has none."""

    certificate: Path | None = None
    """What to trust there."""

    keys: Keys = field(default_factory=lambda: Keys(f"AKID{token_hex(8)}", token_hex(20)))

    def location(self, prefix: str = "") -> Location:
        """Return a place in the bucket; one of its own unless it is named."""
        return Location(bucket=BUCKET, prefix=prefix or token_hex(8), region=REGION, endpoint=self.endpoint)

    def bucket(self, prefix: str = "", *, tls: bool = False) -> Bucket:
        """Return the objects below a prefix; one of their own unless it is named."""
        url = f"{self.tls_endpoint if tls else self.endpoint}/{BUCKET}"
        ca = str(self.certificate) if tls else None
        return Bucket(url, prefix or f"{token_hex(8)}/", region=REGION, keys=lambda: self.keys, ca=ca)


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its files in a folder."""
    ports = dict(zip(_LISTENERS, _free_ports(len(_LISTENERS)), strict=True))
    certificate, key = self_signed(folder)
    server = S3Server(
        f"http://127.0.0.1:{ports['s3.port']}", f"https://localhost:{ports['s3.port.https']}", certificate
    )
    credentials = {"accessKey": server.keys.access_key, "secretKey": server.keys.secret_key}
    identity = {"name": "tester", "credentials": [credentials], "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "identities.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    command = [
        f"{sysconfig.get_path('scripts')}/weed", "mini", "-dir=data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3.config=identities.json", "-s3.localSocket=s3.sock", "-filer.localSocket=filer.sock", *_ABSENT,
        f"-s3.cert.file={certificate}", f"-s3.key.file={key}", *(f"-{name}={port}" for name, port in ports.items()),
    ]  # fmt: skip
    with ExitStack() as ending:
        process = ending.enter_context(
            subprocess.Popen(
                command,
                cwd=folder,
                env={"HOME": str(folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
        )
        ending.callback(process.kill)  # its own way to end takes seconds
        assert process.stdout is not None
        _wait_until_ready(process.stdout)
        server.bucket().ask("PUT", "")
        yield server


@contextmanager
def moto() -> Iterator[S3Server]:
    """Run moto's server in threads of this process; it takes any signature."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415  (seconds to import)

    started = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    try:
        server = S3Server("http://{}:{}".format(*started.get_host_and_port()))
        server.bucket().ask("PUT", "")
        yield server
    finally:
        started.stop()


def age_lease(bucket: Bucket, run: str, seconds: float) -> None:
    """Make a run's lease that much older."""
    key = f"{run}/{LEASE}"
    found = bucket.get(key)
    assert found is not None
    held = json.loads(bytes(found[0]))
    bucket.put(key, [json.dumps({**held, "renewed_s": held["renewed_s"] - seconds}).encode()], {})


def _wait_until_ready(output: IO[str]) -> None:
    """Read a server's output until it is ready, then let a thread read on, so that it never waits for us."""
    said = ""
    for line in output:
        said += line
        if _READY in line:
            threading.Thread(target=output.read, daemon=True).start()
            return
    raise AssertionError(f"the server ended: {said}")


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
