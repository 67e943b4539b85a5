"""The parts of a session, chosen once for each configuration: where calls go and where values lie.

In: a `Config`. Out: a `Session` of real parts. With `endpoints` and `account` the only place that
knows whether the endpoint is the local Lambda, somebody's URL or AWS: above it nothing differs.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.api.access import Access, access_of
from graphlambda.api.account import root_of, settled
from graphlambda.api.durability import RESUMABLE_S, folders_of
from graphlambda.api.endpoints import Endpoint, always_visible, endpoint_of
from graphlambda.api.given import client_secrets, refuse_secrets_in_variables
from graphlambda.api.logs import CloudWatchLogs, impatient
from graphlambda.api.records import manifests_of, shelf_of
from graphlambda.api.stores import Opened, opened
from graphlambda.compiler.collector import quiet_collector
from graphlambda.config import AWS, Config
from graphlambda.deployer.names import log_group
from graphlambda.errors import ConfigError, LocalLambdaError, RefusedError
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import HttpInvoker
from graphlambda.scheduler.logs import NoLogs
from graphlambda.store.keys import derive

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from graphlambda.compiler import Program
    from graphlambda.deployer.aws import AwsCloud
    from graphlambda.deployer.manifests import Manifests
    from graphlambda.deployer.shelf import Shelf
    from graphlambda.local import LocalLambda
    from graphlambda.scheduler.logs import Logs
    from graphlambda.store.base import Store


@dataclass(frozen=True, slots=True)
class Session:
    """Where functions are, how they are invoked, where values lie."""

    config: Config
    """With nothing left out."""

    opened: Opened
    root: bytes
    endpoint: Endpoint
    access: Access

    def __repr__(self) -> str:
        return f"Session({self.cloud.endpoint!r})"

    @property
    def cloud(self) -> AwsCloud:
        """Where functions are made."""
        return self.endpoint.cloud

    @property
    def local(self) -> LocalLambda | None:
        """The local Lambda, where it was started for this process."""
        return self.endpoint.local

    @property
    def store(self) -> Store:
        """Where values lie."""
        return self.opened.store

    @property
    def manifests(self) -> Manifests:
        """What proves that functions are ours."""
        return manifests_of(self.config, self.root)

    @property
    def shelf(self) -> Shelf | None:
        """Where zips lie that no request carries."""
        return shelf_of(self.config)

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
            see=self.local.see if self.local else None,
            connections=self.endpoint.concurrency,
            clock=SystemClock(),
            proxy=self.access.proxy,
            tls=self.access.tls,
            tail=True,
        )

    def logs(self) -> Logs:
        """Return who reads functions' logs: on AWS, where functions write any. Elsewhere each reply has its end."""
        if self.config.endpoint != AWS or not self.config.function_logs:
            return NoLogs()
        group, region = log_group(self.config.deployment_id), self.access.region
        return CloudWatchLogs(
            lambda: self.cloud.session().create_client("logs", region_name=region, config=impatient()),
            group,
            SystemClock(),
        )

    @contextmanager
    def shown(self, program: Program) -> Iterator[None]:
        """Let functions see the paths that a program names, and have the AWS identity that it needs.

        Raises:
            RefusedError: the functions are not on this machine, and the program names local paths.
        """
        if self.endpoint.surroundings is None:
            _refuse_paths(program.paths)
            yield
            return
        named = map(Path, program.paths)
        paths = (*always_visible(self.config, self.opened), *named)
        with self.endpoint.surroundings.given(program, paths, client_secrets(self.config)):
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
    """Return the session of a configuration; the local Lambda is started by the first.

    Raises:
        ConfigError, StackError: what it stands on on AWS is not there, or does not let us; a secret is not set here; a
            folder of ours cannot be made.
        RefusedError: a plain variable holds a secret.
    """
    refuse_secrets_in_variables(config)
    client_secrets(config)
    config = settled(config)
    key = (
        config.endpoint,
        config.store,
        config.region,
        config.cache_dir,
        config.state_dir,
        config.isolation,
        config.network,
        config.concurrency,
        *_of_aws(config),
    )
    with _guard:
        if key in _sessions and _is_dead(_sessions[key]):
            _end(_sessions.pop(key))
        if key not in _sessions:
            with quiet_collector():  # boto3 alone is ten thousands of objects
                _sessions[key] = _opened(config)
        return replace(_sessions[key], config=config)


def _of_aws(config: Config) -> tuple[Any, ...]:
    """Return what more a session on AWS is chosen by."""
    if config.endpoint != AWS:
        return ()
    return config.deployment_id, config.role, config.reserve, config.function_logs


def _opened(config: Config) -> Session:
    _make(config.cache_dir)  # before anything below it makes it for all to see
    root = root_of(config)
    found = opened(config)
    folders_of(config).sweep(RESUMABLE_S)
    endpoint = endpoint_of(config, found)
    return Session(config, found, root, endpoint, access_of(endpoint.cloud))


def _make(cache: Path) -> None:
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        why = "" if os.access(cache, os.W_OK | os.X_OK) else "it is not yours to write to"
    except OSError as error:
        why = f"it cannot be made: {error.strerror}"
    if why:
        raise ConfigError(f"cache_dir={cache}: {why}. Name another folder (GRAPHLAMBDA_CACHE_DIR)")


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
