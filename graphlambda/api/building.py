"""From operations to functions: build, then deploy, with a session's parts.

In: operations, a session. Out: requirements, a `Deployment`. Must not decide what belongs to a stage.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import graphlambda.runtime
from graphlambda.compiler import called_operations
from graphlambda.config import AWS, SAFE, environment
from graphlambda.deployer import Deployment, Plan, deploy, intended
from graphlambda.edge import warn
from graphlambda.errors import TargetError, TargetWarning
from graphlambda.packager import Target, build, foreseen, managed_target, read_installed, this_target
from graphlambda.packager.cache import Cache
from graphlambda.packager.evidence import provided
from graphlambda.packager.installers import user_installers
from graphlambda.packager.levels import AWS as ONE_REQUEST
from graphlambda.packager.levels import THROUGH_S3
from graphlambda.packager.machines import described, glibc_of
from graphlambda.packager.memory import learn
from graphlambda.packager.slim import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from graphlambda.api.given import Given
    from graphlambda.api.session import Session
    from graphlambda.compiler import Operation, Program
    from graphlambda.config import Config
    from graphlambda.packager import Artifact


def target_of(config: Config, architecture: str | None = None, libc: str | None = None) -> Target:
    """Return what functions are built for, of all operations or of some that are to have another architecture.

    `libc` is what their endpoint says of its machine. One that says nothing, or was not asked, has AWS's managed runtime;
    only the local Lambda is known to be this machine.
    """
    here = this_target()
    wanted = architecture or config.architecture or here.architecture
    if libc is not None:
        return Target(python=here.python, architecture=wanted, glibc=glibc_of(libc))
    return here if not config.endpoint and wanted == here.architecture else managed_target(wanted)


def with_requirements(program: Program, config: Config) -> Program:
    """Return a program that also says what each operation needs, as far as evidence tells before it is built."""
    needs = foreseen(
        called_operations(program),
        read_installed(),
        target_of(config),
        Cache(config.cache_dir),
        extra=config.requirements,
        safe=config.deps == SAFE,
    )
    return replace(program, requirements={number: tuple(map(str, found)) for number, found in needs.items()})


def artifacts_of(
    operations: Sequence[Operation],
    config: Config,
    on_progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
    architectures: Mapping[str, str] = MappingProxyType({}),
    libc: str | None = None,
) -> tuple[Artifact, ...]:
    """Return the artifacts of operations, in order, building what the cache does not hold; `libc` as in `target_of`.

    Raises:
        PackageError: an artifact cannot be built.
    """
    targets = [target_of(config, architectures.get(operation.id), libc) for operation in operations]
    built: dict[str, Artifact] = {}
    for target in dict.fromkeys(targets):
        alike = [operation for operation, its in zip(operations, targets, strict=True) if its == target]
        built |= {each.operation: each for each in _artifacts_for(target, alike, config, on_progress)}
    return tuple(built[operation.id] for operation in operations)


def _artifacts_for(
    target: Target,
    operations: Sequence[Operation],
    config: Config,
    on_progress: Callable[[str, int, int], None],
) -> tuple[Artifact, ...]:
    return build(
        operations,
        target,
        cache=config.cache_dir,
        runtime=Path(graphlambda.runtime.__file__).parent,
        extra=config.requirements,
        safe=config.deps == SAFE,
        installed=read_installed(),
        installers=user_installers(environment()),
        limits=THROUGH_S3 if config.endpoint == AWS else ONE_REQUEST,
        on_progress=on_progress,
    )


def functions_of(
    operations: Sequence[Operation],
    session: Session,
    given: Given,
    on_progress: Callable[[str, int, int], None],
) -> Deployment:
    """Return the functions of operations, building and making those that do not exist.

    Raises:
        PackageError: an artifact cannot be built.
        DeployError: the account cannot be made to hold them.
    """
    with _built(operations, session, given, on_progress) as artifacts:
        return deploy(
            artifacts,
            given.all,
            own=given.own,
            cloud=session.cloud,
            deployment_id=session.config.deployment_id,
            manifests=session.manifests,
            shelf=session.shelf,
            on_progress=on_progress,
        )


def plan_of(operations: Sequence[Operation], session: Session, given: Given) -> Plan:
    """Return what `functions_of` would do. What is not in the cache is built; nothing is made. Raises as `functions_of` does."""
    with _built(operations, session, given) as artifacts:
        planned, _ = intended(
            artifacts,
            given.all,
            given.own,
            cloud=session.cloud,
            deployment_id=session.config.deployment_id,
            manifests=session.manifests,
        )
    return planned


@contextmanager
def _built(
    operations: Sequence[Operation],
    session: Session,
    given: Given,
    on_progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> Iterator[tuple[Artifact, ...]]:
    """Give artifacts whose zips nobody removes before they are uploaded."""
    config = session.config
    check_can_run(config, given.architectures.values())
    cache = Cache(config.cache_dir)
    cache.bound(config.cache_mb * 1_000_000 // 2)
    with cache.lease():
        artifacts = artifacts_of(operations, config, on_progress, given.architectures, session.endpoint.libc)
        tell_of_aws(artifacts, config)
        yield artifacts


def check_can_run(config: Config, architectures: Iterable[str] = ()) -> None:
    """Raise TargetError where functions are asked for that the local Lambda cannot run."""
    ours = this_target()
    wanted = {target_of(config).architecture, *architectures} - {ours.architecture}
    if not config.endpoint and wanted:
        raise TargetError(
            f"architecture={min(wanted)!r}: the local Lambda runs functions on this machine, which is "
            f"{ours.architecture}. Leave the setting out to run here; artifacts for {min(wanted)} can be built "
            "here, and explained, but not invoked."
        )


def tell_of_aws(artifacts: Sequence[Artifact], config: Config) -> None:
    """Warn of distributions that load here but would not on AWS: once for each set of them, not at every run."""
    refused = sorted({each for artifact in artifacts for each in artifact.aws_refuses})
    cache, key = Cache(config.cache_dir), key_of(*refused)
    if refused and cache.get("told", key) is None:
        cache.put("told", key, b"")
        listed = "".join(f"\n  {each}" for each in refused)
        aws = described(managed_target(this_target().architecture))
        warn(
            f"This runs in the local Lambda, but AWS ({aws}) would refuse:{listed}",
            TargetWarning,
        )


def learn_module(operation: Operation, module: str, config: Config) -> bool:
    """Note that an operation needs a module; False where no installed distribution provides it."""
    found = provided([module], read_installed())
    if found:
        learn(Cache(config.cache_dir), operation, found)
    return bool(found)
