"""A bucket for a session, its values and its runs: where it is and who asks come from the botocore session that boto3's calls use, too.

In: `s3://bucket/prefix`, a configuration. Out: a store, folders of runs, and how functions get keys for it. Must not send AWS's own keys
to the local Lambda, but a session's that end: see `surroundings.AwsIdentity`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from graphlambda.api.access import proxy_of
from graphlambda.api.surroundings import SURE_S, Identity, variables_of
from graphlambda.config import LOCAL_ROLE
from graphlambda.errors import ConfigError
from graphlambda.runtime.bucket import TRUSTED
from graphlambda.runtime.faults import ValueStoreError
from graphlambda.runtime.http1 import Http
from graphlambda.runtime.identity import Keys
from graphlambda.store import Location, S3Store
from graphlambda.store.base import translated
from graphlambda.store.s3_folders import S3Folders
from graphlambda.store.tunnel import through

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.config import Config
    from graphlambda.runtime.bucket import Bucket

_VALUES, _RUNS = "values", "runs"
"""What lies below the prefix that the user names."""

_IN_PATH = "a.bucket"
"""No certificate is for a host of such a name."""


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """A place in a bucket, and what it takes to use it."""

    location: Location
    keys: Callable[[], Keys]
    ca: str | None
    """File of certificates to trust; None: the system's."""

    proxy: str | None = field(default=None, repr=False)
    """Through which this client reaches it over TLS; functions go straight."""

    def below(self, name: str) -> Location:
        """Return a place below this one."""
        prefix = "/".join(part for part in (self.location.prefix, name) if part)
        return replace(self.location, prefix=prefix)

    def objects(self, name: str) -> Bucket:
        """Return the objects below it."""
        return self.below(name).objects(self.keys, ca=self.ca, http=self.http())

    def http(self) -> Http | None:
        """Return connections through the proxy; None where there is none."""
        url = urlsplit(self.location.url)
        if self.proxy is None or url.scheme != "https":
            return None
        return Http(f"https://{url.netloc}", self.ca, dial=through(self.proxy))


def place_at(url: str, config: Config) -> BucketPlace:
    """Return the place at `s3://bucket/prefix`; raises as `bucket_store` does."""
    return _place(url, config.region, config.role)


def bucket_store(url: str, config: Config) -> S3Store:
    """Return the store at `s3://bucket/prefix`.

    Raises:
        ConfigError: no credentials are found.
    """
    place = place_at(url, config)
    return S3Store(place.below(_VALUES), place.keys, ca=place.ca, http=place.http())


def bucket_folders(url: str, config: Config) -> S3Folders:
    """Return the folders of runs at `s3://bucket/prefix`; raises as `bucket_store` does."""
    return S3Folders(place_at(url, config).objects(_RUNS))


def identity_for(place: BucketPlace, identify: Callable[[], Identity]) -> Identity:
    """Return what local functions are to sign with, and whom to trust: at AWS as `identify` says, at another server as its own user.

    Raises:
        StoreError: that user's keys cannot be had. Raises what `identify` does.
    """
    if place.location.endpoint:
        with translated():
            keys = place.keys()
        named = variables_of(keys.access_key, keys.secret_key, keys.token)
        found = Identity(named, time.time() + SURE_S)
    else:
        found = identify()
    return replace(found, variables={**found.variables, TRUSTED: place.ca}) if place.ca else found


@lru_cache(maxsize=16)
def _place(url: str, region: str, role: str) -> BucketPlace:
    import boto3  # noqa: PLC0415  (a fifth of a second, for who uses S3)
    from botocore import UNSIGNED  # noqa: PLC0415
    from botocore.config import Config as BotoConfig  # noqa: PLC0415
    from botocore.session import get_session  # noqa: PLC0415

    from graphlambda.deployer.aws import configured  # noqa: PLC0415

    core = get_session()
    unsigned = BotoConfig(signature_version=UNSIGNED)
    with configured():
        session = boto3.session.Session(botocore_session=core)
        client = session.client("s3", region_name=region, config=unsigned)
    parts = urlsplit(url)
    location = Location(
        bucket=parts.netloc,
        prefix=parts.path.strip("/"),
        region=region,
        endpoint=_endpoint(client, region),
        owner="" if role == LOCAL_ROLE else role.split(":")[4],
    )
    ca = core.get_config_variable("ca_bundle")
    return BucketPlace(
        location, keys_of(core, url), str(Path(ca).absolute()) if ca else None, proxy_of(client)
    )


def _endpoint(client: Any, region: str) -> str:
    """Return where botocore's rules say that S3 is; empty where it is AWS's own for the region.

    What a client's `meta` says knows nothing of FIPS in us-east-1: the rules are asked for a bucket that stands in the path.
    """
    url = client.generate_presigned_url("head_bucket", Params={"Bucket": _IN_PATH}).removesuffix(
        f"/{_IN_PATH}"
    )
    host = urlsplit(url).netloc
    ours = {f"s3.{region}.amazonaws.com", f"s3.{region}.amazonaws.com.cn", "s3.amazonaws.com"}
    return "" if host in ours else url.rstrip("/")


def keys_of(core: Any, url: str) -> Callable[[], Keys]:
    """Return what gives the keys of a botocore session, renewed by it when they are about to expire.

    Raises:
        ConfigError: there are none, or the user's settings for AWS cannot be used. What is returned raises `ValueStoreError` where they cannot be renewed.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (for who uses S3)

    from graphlambda.deployer.aws import configured  # noqa: PLC0415

    with configured():
        found = core.get_credentials()
    if found is None:
        raise ConfigError(f"store={url}: no AWS credentials are found; set AWS_PROFILE or AWS_ACCESS_KEY_ID")

    def keys() -> Keys:
        try:
            frozen = found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            raise ValueStoreError(
                f"the AWS credentials for {url} cannot be renewed: {error}. Try `aws sso login`"
            ) from error
        return Keys(frozen.access_key, frozen.secret_key, frozen.token)

    return keys
