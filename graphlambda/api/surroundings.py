"""What local functions get from a session beside their own code: the paths they see, the AWS identity they have.

In: programs about to run, from any thread. Out: calls of the local Lambda when something has to change: each
change makes fresh environments. Must not take away what another run still needs, nor let an identity end under a run.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from graphlambda.errors import GraphlambdaError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from graphlambda.compiler import Program
    from graphlambda.local import LocalLambda

_READ_WITH_AWS = frozenset({"aiobotocore", "boto3", "botocore", "obstore", "s3fs"})
"""Modules of operations that talk to AWS themselves, and so need an identity."""

_RENEW_BEFORE_S = 900.0
"""How long before its end an identity is renewed: as long as one invocation may last."""

SURE_S = _RENEW_BEFORE_S + 300.0
"""How long keys count as good that do not say when they end: they are looked at every five minutes. botocore makes those anew
that it can, a quarter of an hour before their end."""

_AGAIN_S = 60.0
"""After how long is tried again what failed."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Short-lived credentials as environment variables; empty where the client has none."""

    variables: Mapping[str, str] = field(repr=False)
    until_s: float
    """Seconds since the epoch."""


class Surroundings:
    """Those of one session: paths are added and stay, an identity is there while a run needs it."""

    def __init__(
        self,
        local: LocalLambda,
        identify: Callable[[], Identity],
        *,
        always: bool = False,
        again_s: float = _AGAIN_S,
    ) -> None:
        """`always`: the runtime itself needs the identity, for a store that asks who reads and writes."""
        self._always = always
        self._again_s = again_s
        self._local = local
        self._identify = identify
        self._guard = threading.Lock()
        self._visible: frozenset[Path] = frozenset()
        self._identity: Identity | None = None
        self._renewal: threading.Timer | None = None
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
            self._renew_later()
        try:
            yield
        finally:
            with self._guard:
                self._needing -= needed
                self._secrets.remove(secrets)
                if self._renewal is not None and not self._needing:
                    self._renewal.cancel()
                    self._renewal = None

    def _renew_later(self) -> None:
        """Have the identity renewed in time, for as long as a run needs it."""
        if self._renewal is None and self._needing and self._identity is not None:
            left_s = self._identity.until_s - _RENEW_BEFORE_S - time.time()
            self._renewal = threading.Timer(left_s if left_s > 0 else self._again_s, self._renew)
            self._renewal.daemon = True
            self._renewal.start()

    def _renew(self) -> None:
        """Renew the identity; where that fails, the old one is good for a while, and functions say so then."""
        with self._guard:
            if self._renewal is not threading.current_thread():
                return  # nobody needs it any more
            self._renewal = None
            with suppress(GraphlambdaError):
                self._identify_as(needed=True)
                self._tell()
            self._renew_later()

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


def _found(region: str) -> Any:
    from graphlambda.account.aws import account  # noqa: PLC0415  (boto3: a fifth of a second that few runs need)

    return account(region).session.get_credentials()


class AwsIdentity:
    """The client's AWS identity as short-lived session credentials; long-lived keys never travel."""

    def __init__(self, region: str, find: Callable[[str], Any] = _found) -> None:
        """`find` looks for botocore's credentials where they come from: files, variables, a role."""
        self._region = region
        self._find = find
        self._renewed: Any = None
        """Credentials that botocore makes anew before they end; others are looked for again: somebody may log in meanwhile."""

    def __call__(self) -> Identity:
        """Return it.

        Raises:
            CloudError: AWS refuses to make it, or to renew it.
            ConfigError: the user's settings for AWS cannot be used.
        """
        from graphlambda.account.aws import account, told  # noqa: PLC0415  (boto3)
        from graphlambda.deployer.aws import configured  # noqa: PLC0415

        sure_s = time.time() + SURE_S
        with configured():
            found = self._renewed or self._find(self._region)
        if found is None:
            return Identity({}, sure_s)
        self._renewed = found if hasattr(found, "refresh_needed") else None
        with told("get_credentials"):
            keys = found.get_frozen_credentials()
        if keys.token:
            return Identity(variables_of(keys.access_key, keys.secret_key, keys.token), sure_s)
        answer = account(self._region).ask("sts", "get_session_token")["Credentials"]
        variables = variables_of(answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])
        return Identity(variables, answer["Expiration"].timestamp())


def variables_of(access_key: str, secret_key: str, token: str | None) -> dict[str, str]:
    """Return keys as AWS's tools and `runtime.identity` read them."""
    keys = {"AWS_ACCESS_KEY_ID": access_key, "AWS_SECRET_ACCESS_KEY": secret_key}
    return {**keys, "AWS_SESSION_TOKEN": token} if token else keys
