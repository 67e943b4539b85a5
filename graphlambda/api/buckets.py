"""An S3 store for a session: where it is and who asks come from the botocore session that boto3's calls use, too.

In: `s3://bucket/prefix`, a configuration. Out: a store, and how functions get keys for it. Must not send AWS's own keys
to the local Lambda, but a session's that end: see `surroundings.aws_identity`.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphlambda.api.surroundings import Identity, aws_identity, variables_of
from graphlambda.config import LOCAL_ROLE
from graphlambda.errors import ConfigError
from graphlambda.runtime.identity import Keys
from graphlambda.store import Location, S3Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.config import Config

_VALUES = "values"
"""Where a store lies below the prefix that the user names: other things of ours may lie beside it."""

_HOUR_S = 3600.0


def bucket_store(url: str, config: Config) -> S3Store:
    """Return the store at `s3://bucket/prefix`.

    Raises:
        ConfigError: no credentials are found.
    """
    import boto3  # noqa: PLC0415  (a fifth of a second, for who uses S3)
    from botocore.session import get_session  # noqa: PLC0415

    core = get_session()
    client = boto3.session.Session(botocore_session=core).client("s3", region_name=config.region)
    parts = urlsplit(url)
    location = Location(
        bucket=parts.netloc,
        prefix="/".join(part for part in (*parts.path.split("/"), _VALUES) if part),
        region=config.region,
        endpoint=_endpoint(client.meta.endpoint_url, config.region),
        owner="" if config.role == LOCAL_ROLE else config.role.split(":")[4],
    )
    return S3Store(location, _keys(core, url), ca=core.get_config_variable("ca_bundle"))


def identity_for(store: S3Store, region: str) -> Identity:
    """Return what local functions are to sign with: at AWS a session's keys, at another server its own."""
    if not store.location.endpoint:
        return aws_identity(region)
    keys = store.keys()
    return Identity(variables_of(keys.access_key, keys.secret_key, keys.token), time.time() + _HOUR_S)


def _endpoint(url: str, region: str) -> str:
    """Return an endpoint; empty where it is AWS's own for the region."""
    host = urlsplit(url).netloc
    ours = {f"s3.{region}.amazonaws.com", f"s3.{region}.amazonaws.com.cn", "s3.amazonaws.com"}
    return "" if host in ours else url.rstrip("/")


def _keys(core: Any, url: str) -> Callable[[], Keys]:
    """Return what gives the session's keys, renewed by botocore when they are about to expire."""
    found = core.get_credentials()
    if found is None:
        raise ConfigError(f"store={url}: no AWS credentials are found; set AWS_PROFILE or AWS_ACCESS_KEY_ID")

    def keys() -> Keys:
        frozen = found.get_frozen_credentials()
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    return keys
