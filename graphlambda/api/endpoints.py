"""Where functions are: at home, at a URL, or at AWS; and what each of the three allows.

In: a configuration in which nothing is left out, and what its store asks for. Out: an `Endpoint`. Must not open a store.
"""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from graphlambda.account.remedies import remedy
from graphlambda.api.surroundings import AwsIdentity, Surroundings
from graphlambda.config import AWS
from graphlambda.errors import CloudError, ConfigError
from graphlambda.local import LocalLambda, LocalSettings, gate, start
from graphlambda.local.settings import credential_paths, processors
from graphlambda.packager import read_installed
from graphlambda.scheduler.limits import AT_AWS, AT_AWS_WITHOUT_LOGS, UNPACED, Rates
from graphlambda.scheduler.memory import free_bytes
from graphlambda.scheduler.pace import planned

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphlambda.api.stores import Opened
    from graphlambda.config import Config
    from graphlambda.deployer.aws import AwsCloud

_ENVIRONMENT_BYTES = 256 * 2**20
"""What a warm environment with dataframes takes; one with arrays takes a third."""

_MOST_WARM = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where functions are."""

    cloud: AwsCloud
    concurrency: int
    """Most invocations at one moment."""

    libc: str | None = None
    """C library of the machine that runs functions, where it says so; see `AccountLimits`."""

    rates: Rates = UNPACED
    """How fast the account lets a run go."""

    local: LocalLambda | None = None
    """The local Lambda, where it was started for this process."""

    surroundings: Surroundings | None = None
    """Of local functions; None for others, which see no path of this machine and have a role."""


def endpoint_of(config: Config, found: Opened) -> Endpoint:
    """Return where a configuration's functions are; the local Lambda is started.

    Raises:
        ConfigError: AWS, or what is to be at a URL, cannot be used; the message has the remedy.
        LocalLambdaError: the local Lambda does not start.
    """
    if config.endpoint == AWS:
        return _at_aws(config)
    return _at_url(config) if config.endpoint else _at_home(config, found)


def always_visible(config: Config, found: Opened) -> list[Path]:
    """Return what local functions see in each run of a session, for as long as nobody changes the working folder."""
    return [*_working_folder(), *config.paths, *found.visible]


def _working_folder() -> list[Path]:
    folder = Path.cwd()
    return [] if folder in (Path("/"), Path.home()) else [folder]


def local_settings(config: Config, visible: Iterable[Path]) -> LocalSettings:
    """Return what a local Lambda is started with."""
    concurrency = config.concurrency or processors()
    return LocalSettings(
        state=config.cache_dir / "local",
        most_bytes=config.cache_mb * 1_000_000 // 2,
        concurrency=concurrency,
        environments=_environments(concurrency),
        visible=tuple(sorted(set(visible))),
        hidden=(*credential_paths(Path.home()), config.state_dir),
        isolation=cast("Any", config.isolation),  # the configuration checked the word
        network=config.network,
    )


def _at_home(config: Config, found: Opened) -> Endpoint:
    meanwhile = threading.Thread(target=_foreseen)
    meanwhile.start()
    settings = local_settings(config, always_visible(config, found))
    local = start(settings)
    atexit.register(local.close)
    meanwhile.join()
    identify, always = found.identify or AwsIdentity(config.region), found.identify is not None
    return Endpoint(
        cloud=_local_cloud(local.endpoint, local.credentials, config),
        concurrency=settings.concurrency,
        local=local,
        surroundings=Surroundings(local, identify, always=always),
    )


def _foreseen() -> None:
    """Have ready what every first run needs, while the local Lambda starts."""
    import_module("graphlambda.deployer.aws")  # boto3
    read_installed()


def _environments(concurrency: int) -> int:
    """Return how many environments may stay warm: what fits into half of the free memory, at least a few."""
    return max(4, 2 * concurrency, min(_MOST_WARM, free_bytes() // 2 // _ENVIRONMENT_BYTES))


def _at_url(config: Config) -> Endpoint:
    cloud = _local_cloud(config.endpoint, gate.credentials(config.cache_dir / "local"), config)
    try:
        limits = cloud.limits()
    except CloudError as error:
        raise ConfigError(
            f"endpoint={config.endpoint} is not to be used: {error}. Is it up? `graphlambda local` serves a local Lambda, and "
            "prints its URL"
        ) from error
    return Endpoint(cloud=cloud, concurrency=config.concurrency or limits.unreserved, libc=limits.libc)


def _local_cloud(url: str, credentials: Any, config: Config) -> AwsCloud:
    from graphlambda.deployer.aws import endpoint_cloud  # noqa: PLC0415  (boto3, when something is deployed)

    return endpoint_cloud(
        url, config.region, access_key=credentials.access_key, secret_key=credentials.secret_key
    )


def _at_aws(config: Config) -> Endpoint:
    from graphlambda.deployer.aws import aws_cloud  # noqa: PLC0415  (boto3, when something is deployed)

    cloud = aws_cloud(config.region)
    try:
        limits = cloud.limits()
    except CloudError as error:
        raise ConfigError(f"the account does not tell its concurrency: {error}. {remedy(error)}") from error
    concurrency = planned(limits.unreserved, wanted=config.concurrency, reserve=config.reserve)
    if concurrency < 1:
        raise ConfigError(
            f"reserve={config.reserve}: the account in {config.region} runs {limits.unreserved} invocations at one moment, "
            "so that none is left; lower it, or ask AWS for more (Service Quotas, Lambda, Concurrent executions)"
        )
    return Endpoint(
        cloud=cloud,
        concurrency=concurrency,
        libc=limits.libc,
        rates=AT_AWS if config.function_logs else AT_AWS_WITHOUT_LOGS,
    )
