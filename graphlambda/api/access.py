"""How Invoke's own client reaches Lambda: as boto3's client reaches it, from the same botocore session.

In: a `Cloud` over boto3. Out: what `HttpInvoker` is given. Must not look for anything by other rules than botocore's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from graphlambda.errors import ConfigError
from graphlambda.scheduler.http import Credentials

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from graphlambda.deployer.aws import AwsCloud


class Keys:
    """The credentials of a botocore session."""

    def __init__(self, find: Callable[[], Any]) -> None:
        """`find` looks for botocore's credentials where they come from: files, variables, a role.

        Raises:
            ConfigError: there are none.
        """
        self._find = find
        self._latest: Credentials | None = None
        self._found = find()
        if self._found is None:
            raise ConfigError(
                "no AWS credentials are found: `aws configure`, `aws sso login`, or set AWS_PROFILE"
            )

    def __call__(self) -> Credentials:
        """Return them; botocore makes those anew that are about to expire. Where it cannot, the service says so of the old.

        Raises:
            ConfigError: it cannot, and there are no old ones.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  (as boto3: when needed)

        try:
            frozen = self._found.get_frozen_credentials()
        except (BotoCoreError, ClientError) as error:
            if self._latest is None:
                raise ConfigError(
                    f"the AWS credentials cannot be had: {error}. Try `aws sso login`"
                ) from error
            return self._latest
        self._latest = Credentials(frozen.access_key, frozen.secret_key, frozen.token)
        return self._latest

    def renew(self) -> None:
        """Look for them once more: somebody may have logged in again meanwhile."""
        self._found = self._find() or self._found


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where Lambda is, and how its requests are sent."""

    url: str

    region: str
    keys: Keys
    proxy: str | None = field(repr=False)
    """Its URL may hold a password."""

    tls: ssl.SSLContext | None
    """Trusts whom boto3 trusts; None where neither the URL nor the proxy is https."""


def access_of(cloud: AwsCloud) -> Access:
    """Return how a cloud's own client sends its requests.

    Raises:
        ConfigError: it has no credentials, or no certificates to trust.
    """
    meta = cloud.client.meta
    proxy = proxy_of(cloud.client)
    return Access(
        url=meta.endpoint_url,
        region=meta.region_name,
        keys=Keys(partial(_credentials_of, cloud)),
        proxy=proxy,
        tls=_trust(cloud) if "https:" in (meta.endpoint_url[:6], (proxy or "")[:6]) else None,
    )


def _credentials_of(cloud: AwsCloud) -> Any:
    from graphlambda.deployer.aws import configured  # noqa: PLC0415  (boto3: when needed)

    with configured():
        return cloud.session().get_credentials()


def proxy_of(client: Any) -> str | None:
    """Return the proxy through which a client of boto3's reaches its service."""
    from botocore.httpsession import ProxyConfiguration  # noqa: PLC0415  (as boto3: when needed)
    from botocore.utils import get_environ_proxies  # noqa: PLC0415

    meta = client.meta
    proxies = get_environ_proxies(meta.endpoint_url) if meta.config.proxies is None else meta.config.proxies
    url: str | None = ProxyConfiguration(proxies).proxy_url_for(meta.endpoint_url)
    return url


def _trust(cloud: AwsCloud) -> ssl.SSLContext:
    """Return a context as botocore makes them: Python's own default asks more of certificates, which those of some firms lack.

    Raises:
        ConfigError: the user's bundle cannot be read.
    """
    from botocore.httpsession import (  # noqa: PLC0415  (as boto3: when needed)
        create_urllib3_context,
        get_cert_path,
    )

    bundle = cloud.session().get_config_variable("ca_bundle") or get_cert_path(True)
    context: ssl.SSLContext = create_urllib3_context()
    context.check_hostname = True  # urllib3 looks at it by itself
    try:
        context.load_verify_locations(cafile=bundle)
    except OSError as error:
        raise ConfigError(
            f"the certificates in {bundle} (AWS_CA_BUNDLE, or `ca_bundle` in ~/.aws/config) cannot be read: {error}"
        ) from error
    return context
