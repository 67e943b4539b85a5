"""Invoke's own client goes where boto3's goes, the same way, as the same identity."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import UnauthorizedSSOTokenError
from botocore.httpsession import get_cert_path

from graphlambda.api.access import Keys, access_of
from graphlambda.api.buckets import keys_of
from graphlambda.deployer.aws import aws_cloud, endpoint_cloud
from graphlambda.errors import ConfigError, StoreError
from graphlambda.scheduler.http import Credentials
from graphlambda.store import Location, S3Store

REGION = "eu-central-1"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's folder of AWS settings, and nothing of this machine's."""
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_CA_BUNDLE",
    ):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def logged_in(account: Path, access_key: str) -> None:
    (account / "credentials").write_text(
        f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = s\naws_session_token = t\n"
    )


def test_at_aws_url_proxy_and_identity_are_those_of_the_users_session(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, "AKONE")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    access = access_of(aws_cloud(REGION))
    assert (access.url, access.region) == (f"https://lambda.{REGION}.amazonaws.com", REGION)
    assert (access.proxy, access.keys()) == ("http://127.0.0.1:9", Credentials("AKONE", "s", "t"))
    monkeypatch.setenv("NO_PROXY", ".amazonaws.com")
    assert access_of(aws_cloud(REGION)).proxy is None


def test_a_users_ca_bundle_is_trusted_alone(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in(account, "AKONE")
    known = Path(str(get_cert_path(True))).read_text()
    end = "-----END CERTIFICATE-----"
    (account / "own.pem").write_text(known[known.index("-----BEGIN") : known.index(end)] + end + "\n")
    everybody, own = access_of(aws_cloud(REGION)).tls, None
    monkeypatch.setenv("AWS_CA_BUNDLE", str(account / "own.pem"))
    own = access_of(aws_cloud(REGION)).tls
    assert isinstance(everybody, ssl.SSLContext)
    assert isinstance(own, ssl.SSLContext)
    assert len(everybody.get_ca_certs()) > 1 == len(own.get_ca_certs())


def test_who_logs_in_again_is_found_when_credentials_are_renewed(account: Path) -> None:
    logged_in(account, "AKONE")
    keys = access_of(aws_cloud(REGION)).keys
    logged_in(account, "AKTWO")
    assert keys() == Credentials("AKONE", "s", "t")
    keys.renew()
    assert keys() == Credentials("AKTWO", "s", "t")


class Ending:
    """Credentials of botocore's, or a session that has them; they can be had once, and not renewed."""

    def __init__(self, *left: str) -> None:
        self._left = list(left)

    def get_credentials(self) -> Ending:
        return self

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        if not self._left:
            raise UnauthorizedSSOTokenError
        return ReadOnlyCredentials(self._left.pop(), "s", "t")


def test_where_credentials_cannot_be_renewed_lambda_is_asked_with_the_old_ones_and_says_so() -> None:
    keys = Keys(lambda: Ending("AKONE"))
    assert [keys(), keys()] == [Credentials("AKONE", "s", "t")] * 2
    with pytest.raises(ConfigError, match="aws sso login"):
        Keys(Ending)()


def test_where_credentials_cannot_be_renewed_the_store_fails_and_says_why() -> None:
    location = Location(bucket="b", region=REGION, endpoint="http://127.0.0.1:9")
    store = S3Store(location, keys_of(Ending(), "s3://b"))
    with pytest.raises(StoreError, match=r"for s3://b cannot be renewed.*aws sso login"):
        store.get("run", "v-1")


def test_without_credentials_the_error_says_how_to_get_some() -> None:
    with pytest.raises(ConfigError, match="aws sso login"):
        Keys(lambda: None)


def test_at_a_url_neither_the_users_identity_nor_a_proxy_is_used(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, "AKONE")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    access = access_of(endpoint_cloud("http://127.0.0.1:1", REGION, access_key="a", secret_key="b"))
    assert (access.url, access.proxy, access.tls) == ("http://127.0.0.1:1", None, None)
    access.keys.renew()
    assert access.keys() == Credentials("a", "b")
