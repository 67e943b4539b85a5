"""Settings: flags and environment → one frozen `Config`. The only reader of the environment.

In: what the user passed (keywords or command-line flags) and `os.environ`. Out: a `Config`, or one
`ConfigError` that lists every mistake. Must not act on a setting: no folder is made, nothing is looked up.

Flags beat `GRAPHLAMBDA_<NAME>` variables, these beat the defaults (for the region: AWS's own two variables).
`None` means "not given".
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda import parsers
from graphlambda.errors import ConfigError
from graphlambda.parsers import AWS, EXACT, FILE, SAFE, VALKEY, tiers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["AWS", "EXACT", "FILE", "SAFE", "VALKEY", "Config", "load", "tiers"]

PREFIX = "GRAPHLAMBDA_"
REGION = "us-east-1"
"""Where nothing names one; the local Lambda takes any."""

LOCAL_ROLE = "arn:aws:iam::000000000000:role/graphlambda"
"""A well-formed role for the local Lambda, which assumes none."""

LOCAL_ID = "local"
"""Deployment id of the local Lambda: its functions are one user's anyway."""

_SECRET_NAME = re.compile(
    r"SECRET|TOKEN$|PASSW|API_?KEY|ACCESS_KEY$|ACCOUNT_KEY|CONNECTION_STRING|CREDENTIAL|PRIVATE_KEY",
    re.IGNORECASE,
)
_CREDENTIALS = re.compile(r"(//).*(@)|(functions=).*")
"""Of a URL: what no message may show."""

_LEFT_OUT_IF_EMPTY = frozenset({"role", "store"})
"""Settings that are saved as empty text where a deployment's stack says them."""

_SECRET_LENGTH = 8
"""A shorter value is a word, which turns up anywhere."""


def _by(parser: parsers.Parser) -> dict[str, parsers.Parser]:
    """Return a field's metadata: what reads its flag or variable."""
    return {"parser": parser}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All settings of a session, checked."""

    cache_dir: Path = field(metadata=_by(parsers.a_path))
    """What can be made again: artifacts, layers, unpacked distributions."""

    cache_mb: int = field(default=10_000, metadata=_by(parsers.whole(100, 10_000_000, "MB")))
    """Most that `cache_dir` may hold, half of it for packages and half for the local Lambda's functions; what was
    used least recently goes first."""

    state_dir: Path = field(metadata=_by(parsers.a_path))
    """What cannot: the root key and the local Lambda's secret; the owner's alone."""

    endpoint: str = field(default="", metadata=_by(parsers.an_endpoint))
    """Empty: the local Lambda, started by itself; `aws`; or the URL of something that speaks Lambda."""

    region: str = field(
        default=REGION, metadata=_by(parsers.like(r"[a-z]{2}(-[a-z]+)+-\d", "a region such as eu-central-1"))
    )
    """AWS region, which signatures name too."""

    role: str = field(
        default=LOCAL_ROLE,
        metadata=_by(parsers.like(r"arn:aws[a-zA-Z-]*:iam::\d{12}:role/[\w+=,.@/-]+", "the ARN of a role")),
    )
    """ARN of the functions' role; on AWS, where it is left out, that of the deployment's stack."""

    architecture: str | None = field(default=None, metadata=_by(parsers.ARCHITECTURE))
    """Processor of the functions; None: this machine's, the only one that the local Lambda has."""

    memory_mb: int = field(default=2048, metadata=_by(parsers.MEMORY_MB))
    """MiB of each execution environment; 1,769 buy a vCPU; new accounts stop at 3,008."""

    timeout_s: int = field(default=300, metadata=_by(parsers.TIMEOUT_S))
    """Longest that one invocation may take."""

    ephemeral_mb: int = field(default=512, metadata=_by(parsers.EPHEMERAL_MB))
    """MiB of /tmp."""

    operations: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict, metadata=_by(parsers.some_operations)
    )
    """What single operations are given instead, by patterns of their names as in `fnmatch`; of several that match, the last
    that says something of a setting. As a variable: JSON. They beat what `dask.annotate(graphlambda={…})` says."""

    environment: Mapping[str, str] = field(default_factory=dict, metadata=_by(parsers.some_variables))
    """Variables of all functions, by name; plain, for all who may look at a function. As a variable: JSON."""

    secrets: Mapping[str, str] = field(default_factory=dict, metadata=_by(parsers.some_secrets))
    """By the variable that a function finds it in, the ARN of a secret of Secrets Manager or of a parameter of SSM, which it
    reads when it starts. Local functions get this process's variable of that name instead. As a variable: JSON."""

    concurrency: int = field(default=0, metadata=_by(parsers.whole(0, 100_000, "invocations")))
    """Most invocations at one moment; 0: what the account allows, but for `reserve`."""

    reserve: int = field(default=0, metadata=_by(parsers.whole(0, 100_000, "invocations")))
    """Concurrency of the account that runs leave to others, on AWS."""

    function_logs: bool = field(default=True, metadata=_by(parsers.a_switch))
    """Whether functions write logs. Each new environment on AWS then needs a log stream, of which there are 50 more a second
    in an account, and runs grow no faster; without logs, they do, and of a failure there is what its reply tells."""

    batch: int | None = field(default=None, metadata=_by(parsers.whole(1, 10_000, "tasks")))
    """Tasks of one invocation; None: as measured durations suggest."""

    fuse: bool | None = field(default=None, metadata=_by(parsers.a_switch))
    """Whether tasks that only feed one other become part of it; None: where earlier runs showed that it pays."""

    inline_bytes: int = field(default=65_536, metadata=_by(parsers.whole(0, 4_000_000, "bytes")))
    """Largest frame of a value that travels in replies and requests instead of the store."""

    store_mb: int | None = field(default=None, metadata=_by(parsers.whole(1, 10_000_000, "MB")))
    """MB that the values of one run may take in the store at once: tasks that only make more wait; None: most of
    what the store has room for."""

    store: str = field(default=FILE, repr=False, metadata=_by(parsers.a_store))
    """Where values lie that do not travel; on AWS, where it is left out: the deployment's bucket, behind its cache where that
    can be reached from here. `file`, in memory where there is room; `valkey`, a server that is started for
    this process; the URL of a server, whose password functions are not sent; `s3://bucket/prefix`, with the
    credentials, endpoint and certificates of boto3's own settings; or `valkey+s3://…`: what is large or a result in S3."""

    content_cache: bool = field(default=False, metadata=_by(parsers.a_switch))
    """Whether runs leave values for later runs, and start from what earlier ones have left: of tasks that are known to be
    pure, where making a value took longer than reading it will."""

    content_cache_mb: int = field(default=1000, metadata=_by(parsers.whole(1, 10_000_000, "MB")))
    """Most MB that such values take, once a run has ended; what was used least recently goes first, and what nobody has
    used for a day."""

    namespace: str = field(
        default="default",
        metadata=_by(parsers.like(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, '-' and '_'")),
    )
    """Which runs share values: those of one namespace and one root key, all of which trust each other."""

    idempotent: bool | None = field(default=None, metadata=_by(parsers.a_switch))
    """Whether tasks may run twice where a reply is lost: True, at once; False, never, the run ends instead; None: once the
    attempt before is known to be over. What is known to be pure may always."""

    retries: int = field(default=0, metadata=_by(parsers.whole(0, 100, "times")))
    """How often a task that raised runs again. What is not the task's own error has bounds of its own."""

    deadline_s: int | None = field(default=None, metadata=_by(parsers.whole(1, 10_000_000, "seconds")))
    """Longest that one run may take; then it is cancelled."""

    budget_usd: float | None = field(default=None, metadata=_by(parsers.an_amount(0, "US dollars")))
    """Most that one run may cost, at list prices, over all its clients: nothing is invoked by which it could be passed, and
    the run ends with a `BudgetError`; see `prices`."""

    progress: bool | None = field(default=None, metadata=_by(parsers.a_switch))
    """Whether to draw; None: in a terminal or notebook only."""

    paths: tuple[Path, ...] = field(default=(), metadata=_by(parsers.some_paths))
    """Folders that local functions see, besides those that the graph names."""

    isolation: str = field(
        default="auto", metadata=_by(parsers.one_of("auto", "namespaces", "landlock", "plain"))
    )
    """How local functions are kept from the machine; `auto`: the strongest that works here."""

    network: bool = field(default=True, metadata=_by(parsers.a_switch))
    """Whether local functions reach the network; `no` needs a machine that allows namespaces."""

    deployment_id: str = field(
        metadata=_by(parsers.like(r"[a-z0-9]{1,8}", "1 to 8 lower-case letters or digits"))
    )
    """Stands in all names that we make in an account; who shares it shares functions."""

    deps: str = field(default=EXACT, metadata=_by(parsers.deps))
    """What a function holds: `exact`, what its operation is known to need; `safe`: also all that this is seen to
    import here, optional imports included."""

    requirements: tuple[str, ...] = field(default=(), metadata=_by(parsers.some_names))
    """What no analysis can know: distributions that every function gets, such as `lz4` or `fsspec[s3]`."""


def load(flags: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None) -> Config:
    """Return the settings: flags beat `GRAPHLAMBDA_*` variables, these beat the defaults.

    Raises:
        ConfigError: some are wrong, unknown or missing; the message lists all of them.
    """
    environ = os.environ if environ is None else environ
    given = _given(flags or {}, environ)
    values, mistakes = _parse(given)
    values = _defaults(values, environ) | values
    mistakes += _contradictions(values)
    if mistakes:
        raise ConfigError("\n".join(sorted(mistakes)))
    return Config(**values)


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of this process, for the tools of the user's own that are run: uv and pip."""
    return dict(os.environ if environ is None else environ)


def time_zone(environ: Mapping[str, str] | None = None) -> str | None:
    """Return the time zone that this process was given; None for the system's."""
    return (os.environ if environ is None else environ).get("TZ")


def variables(names: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables of this process that have these names."""
    environ = os.environ if environ is None else environ
    return {name: environ[name] for name in names if name in environ}


def secret_values(environ: Mapping[str, str] | None = None) -> frozenset[str]:
    """Return the values of variables whose names say that they are secrets: where one turns up, it was copied."""
    environ = os.environ if environ is None else environ
    return frozenset(
        value
        for name, value in environ.items()
        if _SECRET_NAME.search(name)
        and len(value) >= _SECRET_LENGTH
        and not value.startswith(("/", "~", "."))
    )


def _given(flags: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, tuple[str, Any]]:
    """Return, by setting, where it comes from and its text or value."""
    ours = [(name.removeprefix(PREFIX).lower(), name) for name in environ if name.startswith(PREFIX)]
    sources = [("region", "AWS_DEFAULT_REGION"), ("region", "AWS_REGION"), *ours]
    variables = {key: (name, environ[name]) for key, name in sources if environ.get(name)}
    left_out = {key for key, value in flags.items() if value == "" and key in _LEFT_OUT_IF_EMPTY}
    said = {key: value for key, value in flags.items() if value is not None and key not in left_out}
    return variables | {key: (f"{key}=", value) for key, value in said.items()}


def _parse(given: Mapping[str, tuple[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    known: dict[str, parsers.Parser] = {
        setting.name: setting.metadata["parser"] for setting in fields(Config)
    }
    values: dict[str, Any] = {}
    mistakes: list[str] = []
    for name, (source, value) in given.items():
        if name not in known:
            mistakes.append(f"{source}: there is no such setting{parsers.near(name, known)}")
            continue
        try:
            values[name] = known[name](value)
        except parsers.MistakeError as error:
            mistakes.append(f"{source}: {error}")
        except ValueError as error:
            shown = _CREDENTIALS.sub(r"\1\3…\2", repr(value))
            mistakes.append(f"{source} must be {error}, not {shown}")
    return values, mistakes


def _defaults(values: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the defaults that depend on the user, the machine or another setting."""
    endpoint = values.get("endpoint", "")
    where = f"{endpoint} {values.get('region', REGION)}"
    return {
        "cache_dir": _home(environ, "XDG_CACHE_HOME", ".cache"),
        "state_dir": _home(environ, "XDG_STATE_HOME", ".local/state"),
        "deployment_id": _deployment_id(where, environ) if endpoint else LOCAL_ID,
        **({"role": "", "store": ""} if endpoint == AWS else {}),
    }


def _home(environ: Mapping[str, str], variable: str, folder: str) -> Path:
    """Return our folder in one of the user's; relative paths in the variable do not count (XDG base directories)."""
    named = environ.get(variable, "")
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    return (Path(named) if named.startswith("/") else home / folder) / "graphlambda"


def _deployment_id(where: str, environ: Mapping[str, str]) -> str:
    """Return eight digits of their own for each user of an account and region."""
    user = environ.get("USER") or environ.get("LOGNAME") or ""
    return hashlib.sha256(f"{where} {user}".encode()).hexdigest()[:8]


def _contradictions(values: Mapping[str, Any]) -> list[str]:
    found = []
    if values.get("endpoint") == AWS and not _is_shared(values.get("store", "")):
        found.append(
            f"store= ({PREFIX}STORE) is on this machine, where functions on AWS see nothing; leave it out, or name s3://…"
        )
    if both := sorted(values.get("environment", {}).keys() & values.get("secrets", {}).keys()):
        found.append(f"environment= and secrets= both name {', '.join(both)}")
    if values.get("endpoint") and not values.get("network", True):
        found.append(
            f"network= ({PREFIX}NETWORK) is for the local Lambda: a VPC says what functions on AWS reach"
        )
    return found


def _is_shared(store: str) -> bool:
    return tiers(store)[0] not in {FILE, VALKEY} and not store.startswith("unix:")
