"""What each operation's function is given beside its code: by the run's settings, by annotations, by `operations=`.

In: a program, its configuration. Out: the deployer's `Settings`, by operation. Must not make anything.

What `operations=` says beats an annotation: it is said last, by whoever runs; an annotation beats what the run gives all.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from graphlambda.api.account import stack_of
from graphlambda.compiler import called_operations
from graphlambda.compiler.secrecy import secret_in_value
from graphlambda.config import AWS, secret_values, variables
from graphlambda.deployer import Settings
from graphlambda.deployer.specs import SNAPSHOT_TMP_MB, environment
from graphlambda.edge import warn
from graphlambda.errors import ConfigError, OperationsWarning, RefusedError
from graphlambda.packager import this_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphlambda.compiler import Operation, Program
    from graphlambda.config import Config

_NAMES = {"reserved_concurrency": "reserved", "provisioned_concurrency": "provisioned"}
"""What the deployer calls a setting, where it is not as the user does."""

SNAPSHOT_PYTHON = "3.12"
"""The first Python of which Lambda makes snapshots (AWS: Improving startup performance with Lambda SnapStart)."""

_VARIABLES_BYTES = 4096
"""All variables of a function, as JSON (AWS: Lambda quotas)."""


@dataclass(frozen=True, slots=True)
class Given:
    """What the functions of one program are given."""

    all: Settings
    """But for those of `own`."""

    own: Mapping[str, Settings] = field(default_factory=dict)
    """By operation id."""

    architectures: Mapping[str, str] = field(default_factory=dict)
    """By operation id, where it is not the run's."""

    def of(self, operation: str) -> Settings:
        """Return the settings of one operation's function."""
        return self.own.get(operation, self.all)

    def timeouts_s(self) -> list[int]:
        """Return how long invocations may take, in no order."""
        return [self.all.timeout_s, *(settings.timeout_s for settings in self.own.values())]


def given_to(program: Program, config: Config, *, python: str = "") -> Given:
    """Return what a program's functions are given; `python` is the minor version that they run on, by default this one's.

    Raises:
        ConfigError: Lambda would refuse what an operation is given.
    """
    all_, own, architectures = settings_of(config), {}, {}
    for operation in called_operations(program):
        said = {**program.given.get(operation.id, {}), **_said_of(operation, config)}
        if "architecture" in said:
            architectures[operation.id] = said.pop("architecture")
        if said:
            own[operation.id] = replace(
                all_, **{_NAMES.get(name, name): _frozen(value) for name, value in said.items()}
            )
        settings = own.get(operation.id, all_)
        if mistake := _mistake(settings) or _no_snapshot(settings, config, python or this_target().python):
            raise ConfigError(f"operation {operation.name}: {mistake}")
    return Given(all_, own, architectures)


def settings_of(config: Config) -> Settings:
    """Return what functions are given that nothing particular was said of; in a VPC, where the stack puts them."""
    stack = stack_of(config) if config.endpoint == AWS else None
    return Settings(
        memory_mb=config.memory_mb,
        timeout_s=config.timeout_s,
        ephemeral_mb=config.ephemeral_mb,
        role=config.role,
        logs=config.function_logs,
        subnets=() if stack is None else tuple(sorted(stack.subnets)),
        security_groups=() if stack is None else tuple(sorted(stack.security_groups)),
        variables=tuple(sorted(config.environment.items())),
        secrets=tuple(sorted(config.secrets.items())),
    )


def tell_of_patterns(program: Program, config: Config) -> None:
    """Warn of patterns of `operations=` that no operation of a program matches."""
    names = sorted({operation.name for operation in called_operations(program)})
    for pattern in config.operations:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern.strip("*"), names, n=3, cutoff=0.4) or names[:10]
            warn(
                f"operations={{{pattern!r}: …}} matches no operation of this program; there are {', '.join(near)}",
                OperationsWarning,
            )


def refuse_secrets_in_variables(config: Config) -> None:
    """Refuse variables that hold a secret: whoever may look at a function sees them.

    Raises:
        RefusedError: one does; its value is not shown.
    """
    known = secret_values()
    for name, value in config.environment.items():
        if (kind := secret_in_value({name: value}, known)) is not None:
            raise RefusedError(
                f"environment= holds {kind} in {name}, and the variables of a function are shown to all who may look at it",
                f"Lay it into Secrets Manager or SSM and name it there: `secrets={{{name!r}: ARN}}`.",
            )


def client_secrets(config: Config) -> dict[str, str]:
    """Return this process's variables that stand for secrets, for local functions; none are needed elsewhere.

    Raises:
        ConfigError: some are not set.
    """
    if config.endpoint:
        return {}
    found = variables(config.secrets)
    if missing := sorted(config.secrets.keys() - found.keys()):
        raise ConfigError(
            f"secrets=: local functions get this process's variables instead, and {', '.join(missing)} is not set here: "
            f"`export {missing[0]}=…` before the run"
        )
    return found


def _said_of(operation: Operation, config: Config) -> dict[str, Any]:
    """Return what `operations=` says of an operation: of each setting, what the last pattern says that matches."""
    return {
        name: value
        for pattern, said in config.operations.items()
        if fnmatchcase(operation.name, pattern)
        for name, value in said.items()
    }


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _mistake(settings: Settings) -> str:
    """Return what Lambda would not take, and what to do; empty if it takes all."""
    return next(_mistakes(settings), "")


def _no_snapshot(settings: Settings, config: Config, python: str) -> str:
    """Return why Lambda makes no snapshot; the local Lambda makes none of any Python, so there it may be asked for."""
    if not (settings.snap_start and config.endpoint) or _minor(python) >= _minor(SNAPSHOT_PYTHON):
        return ""
    return (
        f"`snap_start`: Lambda makes snapshots of Python {SNAPSHOT_PYTHON} and later, and this is {python}; "
        "run on a later one, or take `provisioned_concurrency`"
    )


def _minor(python: str) -> int:
    return int(python.partition(".")[2])


def _mistakes(settings: Settings) -> Iterator[str]:
    if bool(settings.subnets) != bool(settings.security_groups):
        yield "`subnets` and `security_groups` go together; give both, or neither"
    if settings.snap_start and settings.provisioned:
        yield "Lambda takes either `snap_start` or `provisioned_concurrency`, not both"
    if settings.snap_start and settings.ephemeral_mb > SNAPSHOT_TMP_MB:
        yield f"Lambda makes no snapshot of more than {SNAPSHOT_TMP_MB} MiB of /tmp: lower `ephemeral_mb`, or leave `snap_start` out"
    if settings.reserved is not None and settings.provisioned > settings.reserved:
        yield "`provisioned_concurrency` is a part of `reserved_concurrency`, and may not be more"
    used = len(json.dumps(dict(environment(settings))).encode())
    if used > _VARIABLES_BYTES:
        yield f"the variables of its function take {used:,} bytes as JSON, and Lambda {_VARIABLES_BYTES:,}: shorten `environment`"
