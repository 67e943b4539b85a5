"""The life of the service: a process of its own that ends with its client, however that ends.

In: settings. Out: a `LocalLambda` on the client's side; on the other, a process that watches the client.
Must not leave anything behind: the client holds a pipe and is watched by the kernel's handle of it, environments
are tied to the service by the kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, Any, Self

from graphlambda.errors import LocalLambdaError
from graphlambda.local import gate
from graphlambda.local.client import call
from graphlambda.local.service import Service
from graphlambda.local.settings import Credentials, Description, LocalSettings
from graphlambda.local.upkeep import claim_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType

START_S = 30.0
"""How long a service may take until it answers."""

_ENDING_S = 0.1
"""How long a process may still be there whose connections are gone."""

_VARIABLES = {"LANG": "C.UTF-8", "PATH": os.defpath}
"""The service's environment: nothing of the client's, which may hold credentials."""

_PROGRAM = """
import sys, types
sys.path += [folder for folder in {path!r} if folder not in sys.path]
package = types.ModuleType("graphlambda")
package.__path__ = [{folder!r}]
sys.modules["graphlambda"] = package
from graphlambda.local.process import main
main()
"""
"""The service's program: it finds what the client finds (awslambdaric), but nothing shadows the standard library.
It stands in for the package's own module, which imports Dask: a second of each start."""


class LocalLambda:
    """A running service; use it as a context manager, or call `close`."""

    def __init__(
        self, process: subprocess.Popen[bytes], endpoint: str, credentials: Credentials, log: Path
    ) -> None:
        self.endpoint = endpoint
        """Such as `http://127.0.0.1:40123`, for boto3's `endpoint_url`."""
        self.credentials = credentials
        self._process = process
        self._log = log
        self._owner = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def describe(self) -> Description:
        """Return what the service is, and which isolation is active.

        Raises:
            LocalLambdaError: it has died.
        """
        return Description(**self._call("GET", "describe"))

    def set_visible(self, paths: Iterable[Path]) -> None:
        """Let functions see these paths, and no other ones, from their next environment on.

        Raises:
            LocalLambdaError: the service has died.
        """
        self._call("POST", "visible", {"paths": [str(path.absolute()) for path in paths]})

    def set_identity(self, variables: Mapping[str, str]) -> None:
        """Give functions an AWS identity as environment variables: `AWS_ACCESS_KEY_ID` and so on.

        Raises:
            LocalLambdaError: the service has died.
        """
        self._call("POST", "identity", {"variables": dict(variables)})

    async def see(self) -> None:
        """See that the service lives, as far as its process tells a moment later.

        Raises:
            LocalLambdaError: it has died, and its environments with it.
        """
        await asyncio.sleep(_ENDING_S)
        if self._process.poll() is not None:
            raise LocalLambdaError(
                f"The local Lambda has died, and its environments with it; the next call starts another. {_end_of(self._log)}"
            )

    def close(self) -> None:
        """End the service and all its environments. In a fork of the client, nothing happens."""
        from graphlambda.store.watched import end  # noqa: PLC0415  (the service, which imports this file, closes none)

        if os.getpid() == self._owner:
            end(self._process)
            self._log.unlink(missing_ok=True)

    def _call(self, method: str, name: str, content: Mapping[str, Any] | None = None) -> Any:
        try:
            return call(self.endpoint, self.credentials, method, name, content)
        except OSError as error:
            raise LocalLambdaError(f"The local Lambda has died: {error}. {_end_of(self._log)}") from error


def start(settings: LocalSettings) -> LocalLambda:
    """Start a service in a process of its own and wait until it answers.

    Raises:
        LocalLambdaError: it did not come up in time; the message holds the end of its log.
    """
    folder = settings.state / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = mkstemp(dir=folder, suffix=".log")
    with os.fdopen(descriptor, "wb") as log:
        process = _spawn(log.fileno())
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(
            json.dumps({"client": os.getpid(), "settings": _plain(settings)}).encode() + b"\n"
        )
        process.stdin.flush()
        line = _first_line(process.stdout.fileno())
        endpoint = str(json.loads(line)["endpoint"])
    except (OSError, ValueError) as error:
        process.kill()
        process.wait()
        process.stdin.close()
        raise LocalLambdaError(
            f"The local Lambda did not start within {START_S:.0f} s. {_end_of(Path(name))}"
        ) from error
    finally:
        process.stdout.close()
    return LocalLambda(process, endpoint, gate.credentials(settings.state), Path(name))


def serve(settings: LocalSettings, *, port: int = 0, ready: Callable[[str, Credentials], None]) -> None:
    """Be the service, in this process, until SIGINT or SIGTERM; `ready` is told the endpoint and the credentials.

    Raises:
        LocalLambdaError: the isolation that was asked for does not work here.
        OSError: the port is taken.
    """
    asyncio.run(_serve(settings, port, ready, lambda _: None))


def main() -> None:
    """Be the service of the client at the other end of standard input."""
    order = json.loads(sys.stdin.buffer.readline())
    settings = _settings(order["settings"])

    def ready(endpoint: str, credentials: Credentials) -> None:
        del credentials
        os.write(1, json.dumps({"endpoint": endpoint}).encode() + b"\n")
        os.close(1)

    asyncio.run(_serve(settings, 0, ready, lambda stop: _watch_client(order["client"], stop)))


async def _serve(
    settings: LocalSettings,
    port: int,
    ready: Callable[[str, Credentials], None],
    watch: Callable[[Callable[[], None]], None],
) -> None:
    claim = claim_state(settings.state, settings.most_bytes)
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    watch(stopped.set)
    service = Service(settings, gate.credentials(settings.state))
    endpoint = await service.open(port)
    try:
        ready(endpoint, service.credentials)
        await stopped.wait()
    finally:
        await service.close()
        os.close(claim)


def _watch_client(client: int, stop: Callable[[], None]) -> None:
    """Stop when the client closes its end of the pipe, or ends while a fork of it still holds that end."""
    loop = asyncio.get_running_loop()

    def readable(descriptor: int) -> None:
        loop.remove_reader(descriptor)
        stop()

    loop.add_reader(0, readable, 0)
    if hasattr(os, "pidfd_open"):
        try:
            handle = os.pidfd_open(client)
        except ProcessLookupError:
            stop()
        else:
            loop.add_reader(handle, readable, handle)


def _spawn(log: int) -> subprocess.Popen[bytes]:
    program = _PROGRAM.format(
        folder=str(Path(__file__).parents[1]), path=[folder for folder in sys.path if folder]
    )
    return subprocess.Popen(
        [sys.executable, "-P", "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=_VARIABLES,
        start_new_session=True,
        cwd="/",
    )


def _first_line(descriptor: int) -> bytes:
    """Return the line that the service says when it answers.

    Raises:
        TimeoutError: it said none in time.
        ConnectionError: it ended.
    """
    deadline = datetime.now(UTC).timestamp() + START_S
    line = b""
    while not line.endswith(b"\n"):
        left = deadline - datetime.now(UTC).timestamp()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise TimeoutError("the local Lambda said nothing")
        data = os.read(descriptor, 4096)
        if not data:
            raise ConnectionError("the local Lambda ended")
        line += data
    return line


def _end_of(log: Path) -> str:
    with contextlib.suppress(OSError):
        text = log.read_text(errors="replace").strip()
        return f"The end of its log:\n{text[-2000:]}" if text else "It wrote nothing to its log"
    return "Its log is gone"


def _plain(settings: LocalSettings) -> dict[str, Any]:
    """Return settings as JSON has them."""
    paths = {
        name: [str(path.absolute()) for path in getattr(settings, name)] for name in ("visible", "hidden")
    }
    objects = settings.objects and str(settings.objects.absolute())
    return {**asdict(settings), **paths, "state": str(settings.state.absolute()), "objects": objects}


def _settings(plain: Mapping[str, Any]) -> LocalSettings:
    paths = {name: tuple(map(Path, plain[name])) for name in ("visible", "hidden")}
    rest = {"state": Path(plain["state"]), "event_retry_s": tuple(plain["event_retry_s"])}
    objects = plain["objects"] and Path(plain["objects"])
    return LocalSettings(**{**plain, **paths, **rest, "objects": objects})
