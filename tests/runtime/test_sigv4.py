"""Our signatures are botocore's."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.hooks import HierarchicalEmitter
from botocore.model import ServiceId
from botocore.signers import RequestSigner
from hypothesis import given, settings
from hypothesis import strategies as st

from graphlambda.runtime.identity import Keys
from graphlambda.runtime.sigv4 import UNSIGNED, sign
from graphlambda.runtime.tokens import token_of

ACCESS, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = dt.datetime(2026, 11, 20, 23, 59, 1, tzinfo=dt.UTC)


def botocores(
    auth: type[SigV4Auth],
    method: str,
    url: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    service: str,
) -> dict[str, str]:
    """Return the headers that botocore would send, at its own reading of the clock."""
    request = AWSRequest(method=method, url=url, data=body, headers=headers)
    auth(Credentials(ACCESS, SECRET, token), service, "eu-west-1").add_auth(request)
    return dict(request.headers)


def ours(headers: dict[str, str], like: dict[str, str], **request: Any) -> dict[str, str]:
    """Return our headers for the moment at which botocore signed."""
    at = dt.datetime.strptime(like["X-Amz-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    credentials: dict[str, Any] = {"access_key": ACCESS, "secret_key": SECRET, "region": "eu-west-1"}
    return sign(headers=headers, now=at.timestamp(), **request, **credentials)


REQUESTS = [
    (
        "POST",
        "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/gl-a1-sum-0123/invocations",
        b'{"v":1}',
    ),
    ("GET", "https://lambda.eu-west-1.amazonaws.com", b""),
    ("GET", "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/?Marker=a%2Fb%3D&MaxItems=50", b""),
    ("DELETE", "http://127.0.0.1:9001/2018-10-31/layers/a%3Ab/versions/1", b""),
    ("GET", "https://lambda.eu-west-1.amazonaws.com/a%20b/?z=1&a=2&a=1&empty=&tilde=~x", b""),
]


@pytest.mark.parametrize(("method", "url", "body"), REQUESTS)
@pytest.mark.parametrize("token", [None, "session/token+="])
def test_a_lambda_request_is_signed_as_by_botocore(
    method: str, url: str, body: bytes, token: str | None
) -> None:
    headers = {"Content-Type": "application/json", "X-Amz-Log-Type": "  a   b ", "User-Agent": "us"}
    theirs = botocores(SigV4Auth, method, url, headers, body, token, "lambda")
    assert ours(headers, theirs, method=method, url=url, body=body, token=token, service="lambda") == theirs


@settings(deadline=None)
@given(
    key=st.text(st.characters(codec="ascii", exclude_characters="./\\?#", min_codepoint=33), min_size=1),
    body=st.binary(),
)
def test_an_s3_request_is_signed_as_by_botocore(key: str, body: bytes) -> None:
    from urllib.parse import quote

    url = f"https://bucket.s3.eu-west-1.amazonaws.com/prefix/{quote(key, safe='-_.~')}?x-id=PutObject"
    theirs = botocores(S3SigV4Auth, "PUT", url, {"If-None-Match": "*"}, body, "token", "s3")
    mine = ours({"If-None-Match": "*"}, theirs, method="PUT", url=url, body=body, token="token", service="s3")
    assert mine == theirs


@pytest.mark.parametrize(
    "query", ["", "?uploads=", "?partNumber=3&uploadId=a%2Fb%3D", "?list-type=2&prefix=a%20b%2F"]
)
def test_a_body_that_tls_protects_is_left_out_as_by_botocore(query: str) -> None:
    url = f"https://bucket.s3.eu-west-1.amazonaws.com/a%20b/v-1{query}"
    request = AWSRequest(method="PUT", url=url, data=b"body", headers={"x-amz-expected-bucket-owner": "1"})
    request.context["client_config"] = Config(s3={"payload_signing_enabled": False})
    S3SigV4Auth(Credentials(ACCESS, SECRET, "token"), "s3", "eu-west-1").add_auth(request)
    theirs = dict(request.headers)
    assert theirs["X-Amz-Content-SHA256"] == UNSIGNED
    wanted = {
        "method": "PUT",
        "url": url,
        "body": b"",
        "payload": UNSIGNED,
        "token": "token",
        "service": "s3",
    }
    assert ours({"x-amz-expected-bucket-owner": "1"}, theirs, **wanted) == theirs


def test_a_digest_that_is_known_is_not_made_again() -> None:
    url, body = "http://127.0.0.1:9000/bucket/v-1", b"body"
    theirs = botocores(S3SigV4Auth, "PUT", url, {}, body, None, "s3")
    digest = hashlib.sha256(body).hexdigest()
    assert (
        ours({}, theirs, method="PUT", url=url, body=b"", payload=digest, token=None, service="s3") == theirs
    )


def test_the_given_headers_are_left_alone() -> None:
    headers = {"Host": "localhost:9000"}
    url, now = "http://localhost:9000/", NOW.timestamp()
    signed = sign(
        "GET",
        url,
        headers,
        b"",
        access_key=ACCESS,
        secret_key=SECRET,
        token=None,
        region="r",
        service="s",
        now=now,
    )
    assert headers == {"Host": "localhost:9000"}
    assert (signed["Host"], signed["X-Amz-Date"]) == ("localhost:9000", "20261120T235901Z")


@given(st.text("abcXYZ0189-", min_size=1, max_size=40), st.sampled_from([None, "t/+=ö ~"]))
def test_a_caches_token_is_what_botocore_presigns(cache: str, token: str | None) -> None:
    credentials = Credentials(ACCESS, SECRET, token)
    emitter = HierarchicalEmitter()  # the signer holds it weakly
    signer = RequestSigner(ServiceId("elasticache"), "eu-west-1", "elasticache", "v4", credentials, emitter)
    url = f"https://{cache.lower()}/?Action=connect&User=default&ResourceType=ServerlessCache"
    request = {"method": "GET", "url": url, "body": {}, "headers": {}, "context": {}}
    theirs = signer.generate_presigned_url(
        request, operation_name="connect", expires_in=900, region_name="eu-west-1"
    )
    moment = parse_qs(urlsplit(theirs).query)["X-Amz-Date"][0]
    at = dt.datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    keys = Keys(ACCESS, SECRET, token)
    ours = token_of(cache, "default", "eu-west-1", keys, at.timestamp())
    assert f"https://{ours}" == theirs
