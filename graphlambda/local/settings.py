"""The nouns of the local Lambda: LocalSettings, Credentials, Description.

In: nothing. Out: what starts a service and what it says of itself. Must not start anything.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

from graphlambda.errors import ConfigError

Level = Literal["namespaces", "landlock", "plain"]
"""How an execution environment is kept apart, strongest first."""

LEVELS: tuple[Level, ...] = get_args(Level)

CREDENTIAL_FOLDERS = (
    ".aws",
    ".azure",
    ".boto",
    ".config/gcloud",
    ".config/gh",
    ".config/rclone",
    ".docker",
    ".git-credentials",
    ".gnupg",
    ".kube",
    ".netrc",
    ".pgpass",
    ".pypirc",
    ".s3cfg",
    ".ssh",
)
"""Below the home folder; no function sees them, whatever it was told to see."""


def credential_paths(home: Path) -> tuple[Path, ...]:
    """Return the paths below `home` that hold credentials, there or not."""
    return tuple(home / name for name in CREDENTIAL_FOLDERS)


def processors() -> int:
    """Return how many processors this process may use: in a container or a batch job, fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """What one service is started with."""

    state: Path
    """Folder of functions, layers and the per-user secret; services of one user share it. Never visible
    to a function."""

    concurrency: int = field(default_factory=processors)
    """Invocations at one moment, as an account's limit; one more is answered with 429. At least 1."""

    environments: int = field(default_factory=lambda: max(4, 2 * processors()))
    """Execution environments alive at one moment, idle ones included; at least `concurrency`."""

    visible: tuple[Path, ...] = ()
    """What functions may read and write beside their own /tmp, at the same paths."""

    hidden: tuple[Path, ...] = field(default_factory=lambda: credential_paths(Path.home()))
    """What no function sees, inside of visible folders included. `state` is always hidden."""

    objects: Path | None = None
    """Folder of the zips that requests may name in S3, each as `packages.object_name` calls it; None: requests carry them."""

    isolation: Literal["auto", "namespaces", "landlock", "plain"] = "auto"
    """A level, or the strongest that this machine allows."""

    client: Literal["auto", "awslambdaric", "pipelined", "pure"] = "auto"
    """Who speaks the Runtime API: AWS's own client, all of it or upon a faster HTTP of ours (the default), or ours where
    that cannot be installed."""

    network: bool = True
    """Whether functions reach the network; they can be cut off where namespaces are allowed."""

    most_bytes: int = 5_000_000_000
    """Unzipped code that a service takes over from those before it; what was used least recently is deleted."""

    event_retry_s: tuple[float, ...] = (60.0, 120.0)
    """Pauses before the next attempts of a failed `Event` invocation: Lambda's own two."""

    def __post_init__(self) -> None:
        if self.concurrency < 1:
            raise ConfigError(f"concurrency is {self.concurrency}; at least 1 invocation must be allowed")
        if self.isolation not in {"auto", *LEVELS}:
            raise ConfigError(f"isolation is {self.isolation!r}; it is auto or one of {', '.join(LEVELS)}")
        if self.client not in {"auto", "awslambdaric", "pipelined", "pure"}:
            raise ConfigError(f"client is {self.client!r}; it is auto, awslambdaric, pipelined or pure")
        if self.environments < self.concurrency:
            object.__setattr__(self, "environments", self.concurrency)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client signs its requests with; AWS's own keys are never sent to the local Lambda."""

    access_key: str
    secret_key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What a running service says of itself."""

    endpoint: str
    isolation: Level
    tmp_limited: bool
    """Whether the size of /tmp is enforced."""

    files_limited: bool
    """Whether functions see their visible paths only."""

    network: bool
    """Whether functions reach the network."""

    client: str
    """`awslambdaric`, `pipelined` or `pure`."""

    python: str
    architecture: str
    concurrency: int
    environments: int
    """Execution environments alive now."""

    parents: int
    """Warmed processes that environments are forked from, alive now."""
