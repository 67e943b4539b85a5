"""Objects of a bucket: boto3 sees what we wrote, we see what boto3 wrote, and trouble is repeated or named."""

from __future__ import annotations

import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.runtime.bucket import ATTEMPTS, FIRST_ONLY, Bucket, seconds_of
from graphlambda.runtime.faults import ValueStoreError
from graphlambda.runtime.http1 import KEPT_S, Http
from graphlambda.runtime.identity import Keys, function_keys
from graphlambda.runtime.multipart import PART_BYTES, cut, get_rest, put_in_parts
from graphlambda.testing.s3_servers import BUCKET, REGION
from graphlambda.testing.troubled import Proxy, Trouble, troubled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.testing.s3_servers import S3Server


@pytest.fixture(params=["seaweed", "moto"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def bucket(server: S3Server) -> Bucket:
    return server.bucket()


def client(server: S3Server) -> Any:
    """Return boto3's client for a server."""
    return boto3.client(
        "s3",
        endpoint_url=server.endpoint,
        region_name=REGION,
        aws_access_key_id=server.keys.access_key,
        aws_secret_access_key=server.keys.secret_key,
    )


class TestBesideBoto3:
    def test_it_sees_what_boto3_wrote(self, server: S3Server, bucket: Bucket) -> None:
        body = os.urandom(300_000)
        written = client(server).put_object(Bucket=BUCKET, Key=f"{bucket.prefix}a", Body=body)
        found = bucket.get("a")
        assert found is not None
        assert (bytes(found[0]), found[1]) == (body, written["ETag"])
        assert bucket.size("a") == len(body)

    def test_boto3_sees_what_it_wrote(self, server: S3Server, bucket: Bucket) -> None:
        etag = bucket.put("a", [b"ab" * 10_000, bytearray(b"cd"), memoryview(b"e")], {})
        found = client(server).get_object(Bucket=BUCKET, Key=f"{bucket.prefix}a")
        assert (found["Body"].read(), found["ETag"]) == (b"ab" * 10_000 + b"cde", etag)

    @pytest.mark.parametrize("prefix", ["a b/ä+ü%/", "q=1&r?/#/", "~-_./"])
    def test_any_prefix_is_the_same_to_both(self, server: S3Server, prefix: str) -> None:
        bucket = server.bucket(prefix)
        bucket.put("a", [b"1"], {})
        assert client(server).get_object(Bucket=BUCKET, Key=f"{prefix}a")["Body"].read() == b"1"
        bucket.delete("a")
        assert bucket.get("a") is None

    def test_an_object_in_parts_is_the_same_to_both(self, server: S3Server, bucket: Bucket) -> None:
        body = os.urandom(PART_BYTES) + b"rest"
        etag = put_in_parts(bucket, "a", [body[:1000], body[1000:]], FIRST_ONLY)
        found = client(server).get_object(Bucket=BUCKET, Key=f"{bucket.prefix}a")
        assert (found["Body"].read(), found["ETag"]) == (body, etag)
        whole = memoryview(bytearray(len(body)))
        whole[:100] = body[:100]
        get_rest(bucket, "a", whole, 100, found["ETag"])
        assert whole == body


class TestObjects:
    @pytest.mark.parametrize("size", [0, 1, 1000, 70_000, 3_000_000])
    def test_bytes_come_back_as_they_were(self, bucket: Bucket, size: int) -> None:
        body = os.urandom(size)
        etag = bucket.put("a", [body], {})
        found = bucket.get("a")
        assert found is not None
        assert (bytes(found[0]), bucket.size("a")) == (body, size)
        assert found[1] == etag or size == 0

    def test_what_is_not_there_is_none(self, bucket: Bucket) -> None:
        bucket.delete("a")
        assert (bucket.get("a"), bucket.size("a")) == (None, None)

    def test_a_condition_that_does_not_hold_changes_nothing(self, bucket: Bucket) -> None:
        first = bucket.put("a", [b"1"], FIRST_ONLY)
        assert first
        assert bucket.put("a", [b"2"], FIRST_ONLY) is None
        second = bucket.put("a", [b"3"], {"If-Match": first})
        assert bucket.put("a", [b"4"], {"If-Match": first}) is None
        assert bucket.put("b", [b"5"], {"If-Match": first}) is None
        found = bucket.get("a")
        assert found is not None
        assert (bytes(found[0]), found[1]) == (b"3", second)

    def test_an_upload_in_parts_loses_to_who_was_first(self, bucket: Bucket) -> None:
        bucket.put("a", [b"first"], {})
        assert put_in_parts(bucket, "a", [bytes(PART_BYTES + 1)], FIRST_ONLY) is None
        assert bucket.size("a") == 5


class TestOverTls:
    def test_bytes_come_back_as_they_were(self, seaweed: S3Server) -> None:
        bucket = seaweed.bucket(tls=True)
        parts = [os.urandom(1000), os.urandom(900_000), b"", b"end"]
        assert bucket.put("a", parts, FIRST_ONLY)
        found = bucket.get("a")
        assert found is not None
        assert bytes(found[0]) == b"".join(parts)
        assert (bucket.put("a", parts, FIRST_ONLY), bucket.size("a")) == (None, 901_003)

    def test_a_server_that_nobody_vouches_for_gets_no_request(self, seaweed: S3Server) -> None:
        url = f"{seaweed.tls_endpoint}/{BUCKET}"
        pauses: list[float] = []
        bucket = Bucket(url, "", region=REGION, keys=lambda: seaweed.keys, pause=pauses.append)
        with pytest.raises(
            ValueStoreError, match=r"SSLCertVerificationError: .*AWS_CA_BUNDLE: .*`environment=`"
        ):
            bucket.get("a")
        assert pauses == []


class TestRefusals:
    def test_a_wrong_key_is_refused_and_named(self, seaweed: S3Server) -> None:
        wrong = Keys(seaweed.keys.access_key, "not the secret")
        bucket = Bucket(f"{seaweed.endpoint}/{BUCKET}", "p/", region=REGION, keys=lambda: wrong)
        with pytest.raises(ValueStoreError, match=r"SignatureDoesNotMatch \(403\)") as raised:
            bucket.get("a")
        assert "not the secret" not in str(raised.value)

    def test_a_missing_bucket_is_named(self, seaweed: S3Server) -> None:
        bucket = Bucket(f"{seaweed.endpoint}/no-such-bucket", "", region=REGION, keys=lambda: seaweed.keys)
        with pytest.raises(ValueStoreError, match=r"NoSuchBucket.*Make the bucket first"):
            bucket.get("a")

    def test_no_server_is_named_after_all_attempts(self) -> None:
        pauses: list[float] = []
        bucket = Bucket(
            "http://127.0.0.1:1/b", "", region=REGION, keys=lambda: Keys("a", "b"), pause=pauses.append
        )
        with pytest.raises(ValueStoreError, match=rf"ConnectionRefusedError.*tried {ATTEMPTS} times"):
            bucket.get("a")
        assert len(pauses) == ATTEMPTS - 1
        assert all(0 <= pause <= 5 for pause in pauses)

    def test_a_function_without_an_identity_says_so(self, seaweed: S3Server) -> None:
        bucket = Bucket(f"{seaweed.endpoint}/{BUCKET}", "", region=REGION, keys=function_keys)
        with pytest.raises(ValueStoreError, match="AWS_ACCESS_KEY_ID is not set"):
            bucket.get("a")

    def test_keys_do_not_show_their_secret(self) -> None:
        assert "secret" not in repr(Keys("AKID", "secret", "secret-token"))


class TestTrouble:
    @pytest.fixture
    def proxy(self, seaweed: S3Server) -> Iterator[Proxy]:
        with troubled(seaweed.endpoint) as proxy:
            yield proxy

    @pytest.fixture
    def bucket(self, seaweed: S3Server, proxy: Proxy) -> Bucket:
        where = {"region": REGION, "keys": lambda: seaweed.keys, "pause": lambda _: None}
        return Bucket(f"{proxy.url}/{BUCKET}", f"{os.urandom(8).hex()}/", **where)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "trouble", [Trouble.SLOW_DOWN, Trouble.UNREACHED, Trouble.ANSWER_LOST, Trouble.TRUNCATED]
    )
    def test_what_passes_is_repeated_and_nothing_wrong_comes_back(
        self, bucket: Bucket, proxy: Proxy, trouble: Trouble
    ) -> None:
        body = os.urandom(400_000)
        proxy.give([trouble] * 3)
        assert bucket.put("a", [body], {})
        proxy.give([trouble] * 3)
        found = bucket.get("a")
        assert found is not None
        assert bytes(found[0]) == body
        assert proxy.seen[trouble] == 6

    def test_a_server_that_is_silent_is_asked_again(self, seaweed: S3Server, proxy: Proxy) -> None:
        url = f"{proxy.url}/{BUCKET}"
        bucket = Bucket(url, "silent/", region=REGION, keys=lambda: seaweed.keys, calm_s=0.2)
        proxy.give([Trouble.SILENT] * 2)
        assert bucket.put("a", [b"1"], {})
        proxy.give([Trouble.SILENT])
        with pytest.raises(ValueStoreError, match="TimeoutError: timed out"):
            bucket.get("a", attempts=1)

    def test_who_was_first_stays_first_when_its_answer_is_lost(self, bucket: Bucket, proxy: Proxy) -> None:
        proxy.give([Trouble.ANSWER_LOST])
        assert bucket.put("a", [b"1"], FIRST_ONLY) is None
        found = bucket.get("a")
        assert found is not None
        assert bytes(found[0]) == b"1"

    @pytest.mark.parametrize(
        ("trouble", "name"),
        [
            (Trouble.SLOW_DOWN, "SlowDown"),
            (Trouble.UNREACHED, "ConnectionReset"),
            (Trouble.TRUNCATED, "Connection"),
        ],
    )
    def test_what_does_not_pass_is_named(
        self, bucket: Bucket, proxy: Proxy, trouble: Trouble, name: str
    ) -> None:
        bucket.put("a", [bytes(400_000)], {})
        proxy.give([trouble] * ATTEMPTS)
        with pytest.raises(ValueStoreError, match=rf"GET .*{name}.*tried {ATTEMPTS} times"):
            bucket.get("a")

    def test_parts_pass_through_trouble(self, bucket: Bucket, proxy: Proxy) -> None:
        body = os.urandom(PART_BYTES * 2 + 5)
        proxy.give(
            [Trouble.SLOW_DOWN, Trouble.NONE, Trouble.ANSWER_LOST, Trouble.UNREACHED, Trouble.SLOW_DOWN]
        )
        put_in_parts(bucket, "a", [body], FIRST_ONLY)
        etag = bucket.ask("HEAD", "a").headers.get("etag")
        proxy.give([Trouble.TRUNCATED, Trouble.SLOW_DOWN, Trouble.UNREACHED] * 2)
        whole = memoryview(bytearray(len(body)))
        get_rest(bucket, "a", whole, 0, etag)
        assert whole == body


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("late_s", [-3600.0, 3600.0])
def test_a_clock_that_is_wrong_is_corrected_by_the_servers_and_costs_no_attempt(
    seaweed: S3Server, method: str, late_s: float
) -> None:
    bucket = seaweed.bucket()
    bucket._skew_s = late_s
    assert bucket.ask(method, "a", good=(200, 204, 404), attempts=1)
    assert abs(bucket.now_s() - time.time()) < 60


def test_a_clock_that_the_servers_date_does_not_mend_is_named_with_what_to_do() -> None:
    class Skewed(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        asked = 0

        def do_GET(self) -> None:
            Skewed.asked += 1
            body = b"<Error><Code>RequestTimeTooSkewed</Code><Message>too far apart</Message></Error>"
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Skewed) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/b"
        bucket = Bucket(url, "", region=REGION, keys=lambda: Keys("a", "b"))
        bucket._skew_s = 3600.0
        with pytest.raises(ValueStoreError, match=r"RequestTimeTooSkewed \(403\), too far apart\. .*set-ntp"):
            bucket.get("a")
        bucket._http.close()
        server.shutdown()
        thread.join()
    assert Skewed.asked == 2


def test_a_connection_that_its_server_ended_or_that_was_idle_for_long_is_replaced_and_costs_no_attempt() -> (
    None
):
    now_s = [0.0]
    ended = threading.Event()

    class Ending(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "5")
            self.end_headers()
            self.wfile.write(b"%5d" % self.client_address[1])
            self.close_connection = self.path == "/ends"  # and does not say so

        def finish(self) -> None:
            super().finish()
            self.connection.close()
            ended.set()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Ending) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        http = Http(f"http://127.0.0.1:{server.server_port}", clock=lambda: now_s[0])
        ports = [bytes(http.exchange("GET", "/ends", {}).body)]
        assert ended.wait(10)
        for now_s[0] in (0.0, KEPT_S - 1, 2 * KEPT_S):
            ports.append(bytes(http.exchange("GET", "/", {}).body))
        http.close()
        server.shutdown()
        thread.join()
    assert ports[0] != ports[1] == ports[2] != ports[3]
    assert KEPT_S < 350


def test_a_forked_child_speaks_on_connections_of_its_own(seaweed: S3Server) -> None:
    bucket = seaweed.bucket()
    bucket.put("a", [b"1"], {})
    parents = bucket._http._idle[-1]
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        found = bucket.get("a")
        fresh = found is not None and bytes(found[0]) == b"1" and parents not in bucket._http._idle
        os.write(theirs, b"fresh" if fresh else b"shared")
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as told:
        assert told.read() == b"fresh"
    os.waitpid(child, 0)
    assert bucket.size("a") == 1


@given(st.lists(st.binary(max_size=20)), st.integers(1, 30))
def test_pieces_are_the_parts_again(parts: list[bytes], size: int) -> None:
    pieces = [b"".join(piece) for piece in cut(parts, size)]
    assert b"".join(pieces) == b"".join(parts)
    assert all(len(piece) == size for piece in pieces[:-1])


def test_a_date_is_read_as_http_writes_it() -> None:
    assert seconds_of("Fri, 27 Nov 2026 09:18:41 GMT") == 1795771121.0
    assert abs(seconds_of("") - time.time()) < 5
