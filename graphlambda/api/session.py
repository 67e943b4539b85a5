"""The parts of a session, chosen once for each configuration: where calls go and where values lie.

In: a `Config`. Out: a `Session` of real parts. The only place that knows whether the endpoint is the local
Lambda, somebody's URL or AWS: above it nothing differs.
"""

from __future__ import annotations

import atexit
import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphlambda.api.access import Access, access_of
from graphlambda.api.durability import RESUMABLE_S, folders_of
from graphlambda.api.stores import Opened, opened
from graphlambda.api.surroundings import Surroundings, aws_identity
from graphlambda.config import AWS, Config
from graphlambda.errors import ConfigError, LocalLambdaError, RefusedError
from graphlambda.local import LocalLambda, LocalSettings, gate, start
from graphlambda.local.settings import credential_paths
from graphlambda.packager import read_installed
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import HttpInvoker
from graphlambda.scheduler.memory import free_bytes
from graphlambda.store.keys import derive, root_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphlambda.compiler import Program
    from graphlambda.deployer.aws import AwsCloud
    from graphlambda.store.base import Store

_ENVIRONMENT_BYTES = 256 * 2**20
"""What a warm environment with dataframes takes; one with arrays takes a third."""

_MOST_WARM = 64


@dataclass(frozen=True, slots=True)
class Session:
    """Where functions are, how they are invoked, where values lie."""

    config: Config
    cloud: AwsCloud
    opened: Opened
    root: bytes
    access: Access
    concurrency: int
    local: LocalLambda | None
    surroundings: Surroundings | None

    def __repr__(self) -> str:
        return f"Session({self.cloud.endpoint!r})"

    @property
    def store(self) -> Store:
        """Where values lie."""
        return self.opened.store

    def key_of(self, run: str) -> bytes:
        """Return the key that signs a run's frames."""
        return derive(self.root, run)

    def invoker(self) -> HttpInvoker:
        """Return a new invoker; whoever runs with it closes it."""
        return HttpInvoker(
            self.access.url,
            region=self.access.region,
            credentials=self.access.keys,
            renew=self.access.keys.renew,
            connections=self.concurrency,
            clock=SystemClock(),
            proxy=self.access.proxy,
            tls=self.access.tls,
        )

    @contextmanager
    def shown(self, program: Program) -> Iterator[None]:
        """Let functions see the paths that a program names, and have the AWS identity that it needs.

        Raises:
            RefusedError: the functions are not on this machine, and the program names local paths.
        """
        if self.surroundings is None:
            _refuse_paths(program.paths)
            yield
            return
        named = map(Path, program.paths)
        paths = (*_always_visible(self.config, self.opened), *named)
        with self.surroundings.given(program, paths):
            yield


_sessions: dict[Any, Session] = {}
_guard = threading.Lock()


def _forget() -> None:
    """Give up a parent process's sessions: its local Lambda ends with it."""
    global _guard  # noqa: PLW0603  (the parent's may be held by a thread that did not survive the fork)
    _guard = threading.Lock()
    _sessions.clear()


os.register_at_fork(after_in_child=_forget)


def session_of(config: Config) -> Session:
    """Return the session of a configuration; the local Lambda is started by the first."""
    key = (
        config.endpoint,
        config.store,
        config.region,
        config.cache_dir,
        config.state_dir,
        config.isolation,
        config.network,
        config.concurrency,
    )
    with _guard:
        if key in _sessions and _is_dead(_sessions[key]):
            _end(_sessions.pop(key))
        if key not in _sessions:
            _sessions[key] = _opened(config)
        return replace(_sessions[key], config=config)


def root_of(config: Config) -> bytes:
    """Return this user's root key; it never leaves the client."""
    return root_key(config.state_dir / "root.key")


def _opened(config: Config) -> Session:
    if config.endpoint == AWS:
        raise ConfigError(
            "endpoint 'aws': running on AWS itself is not in this version. Leave the endpoint empty for the local Lambda"
        )
    config.cache_dir.mkdir(
        mode=0o700, parents=True, exist_ok=True
    )  # before anything below it makes it for all to see
    root = root_of(config)
    found = opened(config)
    folders_of(config).sweep(RESUMABLE_S)
    return _at_url(config, found, root) if config.endpoint else _at_home(config, found, root)


def _at_home(config: Config, found: Opened, root: bytes) -> Session:
    concurrency = config.concurrency or os.cpu_count() or 1
    visible = tuple(sorted(set(_always_visible(config, found))))
    meanwhile = threading.Thread(target=_foreseen)
    meanwhile.start()
    local = start(
        LocalSettings(
            state=config.cache_dir / "local",
            most_bytes=config.cache_mb * 1_000_000 // 2,
            concurrency=concurrency,
            environments=_environments(concurrency),
            visible=visible,
            hidden=(*credential_paths(Path.home()), config.state_dir),
            isolation=cast("Any", config.isolation),  # the configuration checked the word
            network=config.network,
        )
    )
    atexit.register(local.close)
    meanwhile.join()
    return _session(config, found, root, local.endpoint, local.credentials, concurrency, local)


def _foreseen() -> None:
    """Have ready what every first run needs, while the local Lambda starts."""
    import_module("graphlambda.deployer.aws")  # boto3
    read_installed()


def _environments(concurrency: int) -> int:
    """Return how many environments may stay warm: what fits into half of the free memory, at least a few."""
    return max(4, 2 * concurrency, min(_MOST_WARM, free_bytes() // 2 // _ENVIRONMENT_BYTES))


def _at_url(config: Config, found: Opened, root: bytes) -> Session:
    credentials = gate.credentials(config.cache_dir / "local")
    session = _session(config, found, root, config.endpoint, credentials, config.concurrency, None)
    return session if config.concurrency else replace(session, concurrency=session.cloud.concurrency())


def _session(
    config: Config,
    found: Opened,
    root: bytes,
    url: str,
    credentials: Any,
    concurrency: int,
    local: LocalLambda | None,
) -> Session:
    from graphlambda.deployer.aws import endpoint_cloud  # noqa: PLC0415  (boto3, when something is deployed)

    cloud = endpoint_cloud(
        url, config.region, access_key=credentials.access_key, secret_key=credentials.secret_key
    )
    identify, always = found.identify or partial(aws_identity, config.region), found.identify is not None
    surroundings = Surroundings(local, identify, always=always) if local is not None else None
    return Session(config, cloud, found, root, access_of(cloud), concurrency, local, surroundings)


def _is_dead(session: Session) -> bool:
    if session.opened.server is not None and not session.opened.server.alive:
        return True
    try:
        return session.local is not None and session.local.describe() is None
    except LocalLambdaError:
        return True


def _end(session: Session) -> None:
    """End what a session has left of which a part has died."""
    if session.local is not None:
        session.local.close()
    if session.opened.server is not None:
        session.opened.server.close()


def _refuse_paths(paths: Iterable[str]) -> None:
    for path in paths:
        what = f"The graph names {path}, which functions on another machine do not see"
        raise RefusedError(what, "Put the data where both sides see it, such as s3://.")


def _working_folder() -> list[Path]:
    folder = Path.cwd()
    return [] if folder in (Path("/"), Path.home()) else [folder]


def _always_visible(config: Config, found: Opened) -> list[Path]:
    """Return what functions see in each run of a session, for as long as nobody changes the working folder."""
    return [*_working_folder(), *config.paths, *found.visible]
