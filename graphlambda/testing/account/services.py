"""The services beside Lambda that a deployment stands on: S3, IAM, STS, Logs and CloudFormation, as moto has them.

In: a folder. Out: an endpoint for `AWS_ENDPOINT_URL` that lives as long as its `with` block. Must not leave a process
behind, though this one be killed. moto takes any signature: it shows what is asked, not who may ask.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from secrets import token_hex
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from graphlambda.runtime.identity import Keys
from graphlambda.store.watched import Watched
from graphlambda.testing.account.account import ACCOUNT, REGION
from graphlambda.testing.servers import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 60.0
"""How long moto may take until it answers: it imports for seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Services that run, and who asks them."""

    endpoint: str
    keys: Keys = field(default_factory=lambda: Keys(f"AKIA{token_hex(8).upper()}", token_hex(20)))
    account: str = ACCOUNT
    region: str = REGION

    def identity(self) -> dict[str, str]:
        """Return the environment that functions get."""
        keys = {"AWS_ACCESS_KEY_ID": self.keys.access_key, "AWS_SECRET_ACCESS_KEY": self.keys.secret_key}
        return {"AWS_ENDPOINT_URL": self.endpoint, **keys}

    def variables(self, lambda_url: str = "") -> dict[str, str]:
        """Return the environment of a client of theirs, and of the Lambda at another URL."""
        told = {
            **self.identity(),
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        return {**told, "AWS_ENDPOINT_URL_LAMBDA": lambda_url} if lambda_url else told


@contextmanager
def services(folder: Path) -> Iterator[Services]:
    """Run moto's server in a process of its own, with a folder that goes with it.

    Raises:
        AssertionError: it did not answer; the message is what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    variables = {"HOME": str(folder), "TMPDIR": str(folder), "PATH": os.defpath}
    with (
        TemporaryFile() as output,
        Watched(command, folder, variables=variables, output=output, inside=True) as running,
    ):
        found = Services(endpoint=f"http://127.0.0.1:{port}")
        _wait_until_ready(found.endpoint, running, output)
        yield found


def _wait_until_ready(endpoint: str, running: Watched, output: IO[bytes]) -> None:
    deadline_s = time.monotonic() + START_S
    while running.alive and time.monotonic() < deadline_s:
        try:
            with urlopen(f"{endpoint}/moto-api/", timeout=START_S):
                return
        except (URLError, HTTPException, OSError):
            time.sleep(0.05)
    said = os.pread(output.fileno(), 1 << 16, 0).decode(errors="replace")
    raise AssertionError(f"moto does not answer after {START_S:.0f} s: {said}")
