"""Real S3 servers on loopback: SeaweedFS, which refuses bad signatures, and moto's, as a second opinion.

In: a folder. Out: a server that lives as long as its `with` block. Must not leave a process or a file behind, though this
process be killed.
"""

from __future__ import annotations

import json
import os
import sysconfig
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_hex
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING
from urllib.request import urlopen

from graphlambda.runtime.bucket import Bucket
from graphlambda.runtime.identity import Keys
from graphlambda.runtime.s3 import LEASE
from graphlambda.store.s3 import Location
from graphlambda.store.watched import Watched
from graphlambda.testing.servers import free_ports, self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 60.0
"""How long SeaweedFS may take until all of it runs."""

VACUUM_S = 60.0
"""How long a vacuum may take."""

REGION = "us-east-1"
BUCKET = "graphlambda-test"

_READY = b"All enabled components are running"
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

    master: str = ""
    """Where SeaweedFS takes orders."""

    keys: Keys = field(default_factory=lambda: Keys(f"AKID{token_hex(8)}", token_hex(20)))

    def location(self, prefix: str = "") -> Location:
        """Return a place in the bucket; one of its own unless it is named."""
        return Location(bucket=BUCKET, prefix=prefix or token_hex(8), region=REGION, endpoint=self.endpoint)

    def bucket(self, prefix: str = "", *, tls: bool = False) -> Bucket:
        """Return the objects below a prefix; one of their own unless it is named."""
        url = f"{self.tls_endpoint if tls else self.endpoint}/{BUCKET}"
        ca = str(self.certificate) if tls else None
        return Bucket(url, prefix or f"{token_hex(8)}/", region=REGION, keys=lambda: self.keys, ca=ca)

    def vacuum(self) -> None:
        """Have SeaweedFS give up the room of what was deleted, which it else keeps for a quarter of an hour."""
        with urlopen(f"{self.master}/vol/vacuum?garbageThreshold=0.001", timeout=VACUUM_S) as answer:
            answer.read()


@contextmanager
def seaweed(folder: Path) -> Iterator[S3Server]:
    """Run SeaweedFS with its files in a folder, which goes with it."""
    ports = dict(zip(_LISTENERS, free_ports(len(_LISTENERS)), strict=True))
    certificate, key = self_signed(folder)
    server = S3Server(
        f"http://127.0.0.1:{ports['s3.port']}",
        f"https://localhost:{ports['s3.port.https']}",
        certificate,
        f"http://127.0.0.1:{ports['master.port']}",
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
    variables = {"HOME": str(folder), "TMPDIR": str(folder)}
    with (
        TemporaryFile() as output,  # a pipe without a reader would end the server before it tidied up
        Watched(command, folder, variables=variables, output=output, inside=True) as running,
    ):
        _wait_until_ready(running, output)
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


def _wait_until_ready(running: Watched, output: IO[bytes]) -> None:
    """Return when a server says that it is ready.

    Raises:
        AssertionError: it ended, or took too long; the message is what it said.
    """
    deadline_s = time.monotonic() + START_S
    said = b""
    while running.alive and time.monotonic() < deadline_s:
        said = os.pread(output.fileno(), 1 << 20, 0)
        if _READY in said:
            return
        time.sleep(0.01)
    raise AssertionError(f"the server is not ready after {START_S:.0f} s: {said.decode(errors='replace')}")
