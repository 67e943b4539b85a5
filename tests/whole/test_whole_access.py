"""Invoke's own client goes where boto3's goes, the same way, as the same identity."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import UnauthorizedSSOTokenError
from botocore.httpsession import get_cert_path

from graphlambda.api.access import Keys, access_of
from graphlambda.api.buckets import bucket_store, keys_of
from graphlambda.config import load
from graphlambda.deployer.aws import aws_cloud, endpoint_cloud
from graphlambda.errors import ConfigError, StoreError
from graphlambda.scheduler.http import Credentials
from graphlambda.store import Location, S3Store
from graphlambda.testing.s3_servers import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.testing.s3_servers import S3Server

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


class Tunnel(socketserver.ThreadingTCPServer):
    """A proxy that connects to whom it is asked for, if a password is shown."""

    daemon_threads = True
    asked: list[str]


class Tunnelled(socketserver.StreamRequestHandler):
    server: Tunnel

    def handle(self) -> None:
        line, *headers = iter(lambda: self.rfile.readline().decode().strip(), "")
        self.server.asked.append(line)
        if "Proxy-Authorization: Basic YWRhOnBA" not in headers:
            self.wfile.write(b"HTTP/1.1 407 Who are you?\r\n\r\n")
            return
        host, _, port = line.split(" ")[1].rpartition(":")
        with socket.create_connection((host, int(port)), 5) as far:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\nVia: a test\r\n\r\n")
            back = threading.Thread(target=pour, args=(far, self.connection))
            back.start()
            pour(self.connection, far)
            back.join()


def pour(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while found := source.recv(1 << 16):
            sink.sendall(found)
        sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def tunnel() -> Iterator[Tunnel]:
    with Tunnel(("127.0.0.1", 0), Tunnelled) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("account")
def test_the_client_reaches_its_bucket_through_the_proxy_that_boto3_would_use(
    seaweed: S3Server, tunnel: Tunnel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.tls_endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(seaweed.certificate))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.keys.secret_key)
    port = tunnel.server_address[1]
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:p%40@127.0.0.1:{port}")
    store = bucket_store(f"s3://{BUCKET}/tunnelled", load({"region": "us-east-1"}))
    store.touch("run")
    store.put("run", "v-1", [b"value"])
    assert bytes(store.get("run", "v-1")) == b"value"
    store.drop("run")
    assert set(tunnel.asked) == {f"CONNECT {seaweed.tls_endpoint.removeprefix('https://')} HTTP/1.1"}
    assert "proxy" not in f"{store.spec()}"  # functions go straight
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
    with pytest.raises(
        StoreError, match=rf"the proxy 127.0.0.1:{port} does not connect to .*407 Who are you"
    ):
        bucket_store(f"s3://{BUCKET}/refused", load({"region": "us-east-1"})).get("run", "v-1")
