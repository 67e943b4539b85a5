"""What local functions get from a session beside their own code: the paths they see, the AWS identity they have.

In: programs about to run, from any thread. Out: calls of the local Lambda when something has to change: each
change makes fresh environments. Must not take away what another run still needs.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from graphlambda.compiler import Program
    from graphlambda.local import LocalLambda

_READ_WITH_AWS = frozenset({"aiobotocore", "boto3", "botocore", "obstore", "s3fs"})
"""Modules of operations that talk to AWS themselves, and so need an identity."""

_RENEW_BEFORE_S = 900.0
"""How long before its end an identity is renewed: as long as one invocation may last."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Short-lived credentials as environment variables; empty where the client has none."""

    variables: Mapping[str, str] = field(repr=False)
    until_s: float
    """Seconds since the epoch."""


class Surroundings:
    """Those of one session: paths are added and stay, an identity is there while a run needs it."""

    def __init__(self, local: LocalLambda, identify: Callable[[], Identity], *, always: bool = False) -> None:
        """`always`: the runtime itself needs the identity, for a store that asks who reads and writes."""
        self._always = always
        self._local = local
        self._identify = identify
        self._guard = threading.Lock()
        self._visible: frozenset[Path] = frozenset()
        self._identity: Identity | None = None
        self._needing = 0
        self._secrets: list[Mapping[str, str]] = []
        self._told: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return "Surroundings()"

    @contextmanager
    def given(
        self, program: Program, paths: Iterable[Path], secrets: Mapping[str, str] = MappingProxyType({})
    ) -> Iterator[None]:
        """Let functions see `paths`, have `secrets`, and be the client's AWS identity if the program needs it."""
        needed = self._always or needs_identity(program)
        with self._guard:
            self._show(frozenset(paths))
            self._identify_as(needed=needed)
            self._needing += needed
            self._secrets.append(secrets)
            self._tell()
        try:
            yield
        finally:
            with self._guard:
                self._needing -= needed
                self._secrets.remove(secrets)

    def _show(self, paths: frozenset[Path]) -> None:
        if not paths <= self._visible:
            self._visible |= paths
            self._local.set_visible(sorted(self._visible))

    def _identify_as(self, *, needed: bool) -> None:
        if needed and (self._identity is None or self._identity.until_s - time.time() < _RENEW_BEFORE_S):
            self._identity = self._identify()
        elif not self._needing and not needed:
            self._identity = None

    def _tell(self) -> None:
        """Say what functions are to have, if that is not what they have: of two runs at once, both have all of both."""
        found: dict[str, str] = {} if self._identity is None else dict(self._identity.variables)
        for secrets in self._secrets:
            found |= secrets
        if found != self._told:
            self._local.set_identity(found)
            self._told = found


def needs_identity(program: Program) -> bool:
    """Tell whether an operation talks to AWS itself."""
    return any(
        module.split(".")[0] in _READ_WITH_AWS
        for table in program.tables
        for module in (*table.operation.imports, *table.operation.value_imports)
    )


def aws_identity(region: str) -> Identity:
    """Return the client's AWS identity as short-lived session credentials; long-lived keys never travel.

    Raises:
        CloudError: AWS refuses to make them.
        ConfigError: the user's settings for AWS cannot be used.
    """
    from graphlambda.account.aws import account  # noqa: PLC0415  (boto3: a fifth of a second that few runs need)
    from graphlambda.deployer.aws import configured  # noqa: PLC0415

    hour_s, ours = time.time() + 3600.0, account(region)
    with configured():
        found = ours.session.get_credentials()
        if found is None:
            return Identity({}, hour_s)
        frozen = found.get_frozen_credentials()
    if frozen.token:
        return Identity(variables_of(str(frozen.access_key), str(frozen.secret_key), frozen.token), hour_s)
    answer = ours.ask("sts", "get_session_token")["Credentials"]
    variables = variables_of(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
    return Identity(variables, answer["Expiration"].timestamp())


def variables_of(access_key: str, secret_key: str, token: str | None) -> dict[str, str]:
    """Return keys as AWS's tools and `runtime.identity` read them."""
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return {**keys, "AWS_SESSION_TOKEN": token} if token else keys
