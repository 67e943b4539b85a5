"""Invoke's own client goes where boto3's goes, the same way, as the same identity."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import ssl
import threading
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import UnauthorizedSSOTokenError
from botocore.httpsession import get_cert_path

from graphlambda.api.access import Keys, access_of
from graphlambda.api.buckets import bucket_store, keys_of
from graphlambda.config import load
from graphlambda.deployer.aws import aws_cloud, endpoint_cloud
from graphlambda.errors import ConfigError, StoreError
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.http import Credentials, HttpInvoker
from graphlambda.store import Location, S3Store
from graphlambda.store.tunnel import through
from graphlambda.testing.s3_servers import BUCKET
from graphlambda.testing.servers import self_signed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.awsrequest import AWSPreparedRequest

    from graphlambda.deployer.aws import AwsCloud
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
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_LAMBDA",
        *(name for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (proxy, proxy.lower())),
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


class Empty:
    """The body of an answer that has none."""

    def read(self, *_: object) -> bytes:
        return b""

    stream = read


def asked_by_boto3(cloud: AwsCloud) -> str:
    """Return the URL of an Invoke of boto3's own client, which is not sent."""
    urls = []

    def answer(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        urls.append(request.url)
        return AWSResponse(request.url, 200, HTTPHeaders.from_dict({}), Empty())

    cloud.client.meta.events.register("before-send.lambda.Invoke", answer)
    cloud.client.invoke(FunctionName="f", Payload=b"{}")
    (url,) = urls
    return str(url)


@pytest.mark.parametrize(
    ("region", "variables"),
    [
        ("us-east-1", {}),
        ("cn-north-1", {}),
        ("us-east-1", {"AWS_USE_FIPS_ENDPOINT": "true"}),
        ("eu-west-1", {"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        ("us-gov-west-1", {"AWS_USE_FIPS_ENDPOINT": "true", "AWS_USE_DUALSTACK_ENDPOINT": "true"}),
        ("eu-west-1", {"AWS_ENDPOINT_URL": "https://all.example:8443"}),
        ("eu-west-1", {"AWS_ENDPOINT_URL": "https://all.example", "AWS_ENDPOINT_URL_LAMBDA": "http://one.example/a/"}),
        ("eu-west-1", {"AWS_ENDPOINT_URL": "https://all.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}),
    ],
)  # fmt: skip
def test_invoke_goes_where_botocore_would_send_it(
    account: Path, monkeypatch: pytest.MonkeyPatch, region: str, variables: dict[str, str]
) -> None:
    logged_in(account, "AKONE")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    cloud = aws_cloud(region)
    access = access_of(cloud)
    assert f"{access.url.rstrip('/')}/2015-03-31/functions/f/invocations" == asked_by_boto3(cloud)


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({"HTTPS_PROXY": "http://me:p%40ss@proxy.example:3128"}, "http://me:p%40ss@proxy.example:3128"),
        ({"https_proxy": "proxy.example:3128"}, "http://proxy.example:3128"),
        ({"HTTPS_PROXY": "https://proxy.example"}, "https://proxy.example"),
        ({"HTTP_PROXY": "http://proxy.example"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "lambda.eu-central-1.amazonaws.com"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "no_proxy": "other.example,.amazonaws.com"}, None),
        ({"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "*"}, None),
    ],
)
def test_proxies_are_those_that_botocore_would_take(
    account: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], proxy: str | None
) -> None:
    logged_in(account, "AKONE")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    access = access_of(aws_cloud(REGION))
    assert (access.proxy, "p%40ss" in repr(access)) == (proxy, False)


def test_a_bundle_that_cannot_be_read_is_named(account: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in(account, "AKONE")
    (account / "config").write_text(f"[default]\nca_bundle = {account / 'none.pem'}\n")
    with pytest.raises(ConfigError, match=r"none\.pem \(AWS_CA_BUNDLE, or `ca_bundle`"):
        access_of(aws_cloud(REGION))


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


async def answer_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a Lambda that says {} to everything."""
    with closing(writer), suppress(asyncio.IncompleteReadError, ConnectionError):
        while told := (await reader.readuntil(b"\r\n\r\n")).decode().lower():
            await reader.readexactly(int(told.partition("content-length: ")[2].partition("\r")[0]))
            writer.write(ANSWER)


@contextmanager
def tunnelled(
    tls: ssl.SSLContext, proxy_tls: ssl.SSLContext | None
) -> Iterator[tuple[int, int, list[dict[str, str]]]]:
    """Serve in a thread; yield the ports of server and proxy, and the heads that the proxy is asked with."""
    asked: list[dict[str, str]] = []

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {line.partition(": ")[0].lower(): line.partition(": ")[2] for line in lines if line}
        asked.append({**headers, "target": first.split()[1]})
        there, to = await asyncio.open_connection(*first.split()[1].split(":"))
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(hand_on(reader, to), hand_on(there, writer))

    async def hand_on(from_: asyncio.StreamReader, into: asyncio.StreamWriter) -> None:
        with closing(into), suppress(ConnectionError, ssl.SSLError):
            while data := await from_.read(65_536):
                into.write(data)

    async def serve() -> list[asyncio.Server]:
        return [
            await asyncio.start_server(answer_all, "localhost", 0, ssl=tls),
            await asyncio.start_server(connect, "localhost", 0, ssl=proxy_tls),
        ]

    with asyncio.Runner() as runner:
        servers, loop = runner.run(serve()), runner.get_loop()
        port, proxy_port = (each.sockets[0].getsockname()[1] for each in servers)
        thread = threading.Thread(target=loop.run_forever, daemon=True)
        thread.start()
        try:
            yield port, proxy_port, asked
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(10)
            for each in servers:
                each.close()


def both_ask() -> tuple[Any, Any]:
    """Return what boto3's client, and Invoke's own, get of function `echo`; in that order."""
    cloud = aws_cloud(REGION)
    by_boto3 = cloud.client.invoke(FunctionName="echo", Payload=b"{}")["StatusCode"]

    async def by_own() -> int:
        access = access_of(cloud)
        invoker = HttpInvoker(
            access.url, region=REGION, credentials=access.keys, connections=1, clock=SystemClock(),
            proxy=access.proxy, tls=access.tls,
        )  # fmt: skip
        try:
            return (await invoker.invoke("echo", b"{}", timeout_s=10)).status
        finally:
            await invoker.close()

    return by_boto3, asyncio.run(by_own())


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_through_a_proxy_and_tls_with_a_ca_of_ones_own_both_clients_do_the_same(
    account: Path, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """A real proxy, which speaks TLS or does not, and a real server behind it, both with a certificate of our own CA."""
    logged_in(account, "AKONE")
    certificate, key = self_signed(account)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with tunnelled(tls, tls if scheme == "https" else None) as (port, proxy_port, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", f"https://localhost:{port}")
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://me:p%40ss@localhost:{proxy_port}")
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        assert both_ask() == (200, 200)
    of_boto3, own = asked
    assert of_boto3["target"] == own["target"] == f"localhost:{port}"
    assert of_boto3["proxy-authorization"] == own["proxy-authorization"] == "Basic bWU6cEBzcw=="


def test_who_asks_for_validated_endpoints_gets_them_for_lambda_and_for_the_bucket(
    account: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, "AKONE")
    monkeypatch.setenv("AWS_USE_FIPS_ENDPOINT", "true")
    assert access_of(aws_cloud("us-east-1")).url == "https://lambda-fips.us-east-1.amazonaws.com"
    store = bucket_store("s3://bucket/fips", load({"region": "us-east-1"}))
    assert store.location.url == "https://s3-fips.us-east-1.amazonaws.com/bucket"


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
    with pytest.raises(ConnectionRefusedError, match=r"does not connect to a:1: HTTP/1.1 407 Who are you"):
        through(f"http://127.0.0.1:{port}")(("a", 1))
