"""Values in a bucket: found by boto3's own settings, signed for by functions too, and nothing stays behind."""

from __future__ import annotations

import gc
import random
import sys
from typing import TYPE_CHECKING

import dask.array as da
import numpy as np
import pytest

import graphlambda
from graphlambda import config
from graphlambda.api.buckets import identity_for, place_at
from graphlambda.api.surroundings import AwsIdentity
from graphlambda.errors import ConfigError, NoSuchRunError
from graphlambda.store.listing import objects
from graphlambda.testing.s3_servers import BUCKET
from graphlambda.testing.troubled import Trouble, troubled
from tests.whole.conftest import wait_for

if TYPE_CHECKING:
    from graphlambda.runtime.bucket import Bucket
    from graphlambda.testing.s3_servers import S3Server
    from tests.whole.conftest import Scripts

DYING = """
    import os, time
    import dask.array as da
    import graphlambda

    def slow(block, block_id=None):
        time.sleep(0.15)
        return block * block_id[0]

    values = da.ones(12, chunks=1).map_blocks(slow, dtype="f8")
    handle = graphlambda.submit(values, batch=1, progress=False, store=os.environ["STORE"])
    print(handle.id, flush=True)
    time.sleep(120)
"""

WANTED = (np.arange(400_000).reshape(4, -1).sum(axis=0) * 2.0).tolist()


@pytest.fixture
def prefix(seaweed: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Set boto3 up for a server; return a prefix of the test's own."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", seaweed.keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", seaweed.keys.secret_key)
    monkeypatch.setenv("GRAPHLAMBDA_REGION", "us-east-1")
    return seaweed.location().prefix


def array() -> da.Array:
    return da.arange(400_000, chunks=100_000).reshape(4, -1).sum(axis=0) * 2.0


@pytest.mark.parametrize("hot", ["", "file+", "valkey+"])
def test_values_go_through_a_bucket_and_leave_nothing_there(seaweed: S3Server, prefix: str, hot: str) -> None:
    url = f"{hot}s3://{BUCKET}/{prefix}"
    assert graphlambda.compute(array(), store=url, inline_bytes=0)[0].tolist() == WANTED
    assert list(objects(seaweed.bucket(f"{prefix}/"), "")) == []


@pytest.mark.parametrize("hot", ["", "valkey+"])
def test_what_is_persisted_lies_in_the_bucket_for_as_long_as_it_is_held(
    seaweed: S3Server, prefix: str, hot: str
) -> None:
    url, bucket = f"{hot}s3://{BUCKET}/{prefix}", seaweed.bucket(f"{prefix}/values/")
    (kept,) = graphlambda.persist(array(), store=url)
    names = [found.key.partition("/")[2] for found in objects(bucket, "")]
    assert [name for name in names if name.startswith("v-")] == [name for name in names if name != ".lease"]
    assert len(names) == 1 + kept.npartitions
    assert graphlambda.compute(kept, store=url)[0].tolist() == WANTED
    del kept
    gc.collect()  # a collection is part of a circle
    wait_for(lambda: list(objects(bucket, "")) == [], "the kept run is dropped")


@pytest.mark.skipif(sys.platform != "linux", reason="tells by /proc that a client is dead")
def test_another_process_goes_on_from_the_bucket_with_a_run_whose_client_was_killed(
    seaweed: S3Server, prefix: str, scripts: Scripts
) -> None:
    url = f"s3://{BUCKET}/{prefix}"
    journal = seaweed.bucket(f"{prefix}/runs/")
    with scripts.start(DYING, STORE=url) as client:
        assert client.stdout is not None
        run = client.stdout.readline().strip()
        wait_for(lambda: _segments(journal) >= 2, "tasks are committed")
        client.kill()
    (waiting,) = graphlambda.runs(store=url)
    assert (waiting.id, waiting.tasks > waiting.done >= 1) == (run, True)
    assert graphlambda.resume(run, store=url)[0].tolist() == [float(block) for block in range(12)]
    wait_for(lambda: list(objects(seaweed.bucket(f"{prefix}/"), "")) == [], "nothing is left")
    with pytest.raises(NoSuchRunError, match=run):
        graphlambda.resume(run, store=url)


def _segments(journal: Bucket) -> int:
    return sum("/journal" in found.key for found in objects(journal, ""))


def test_a_run_passes_through_a_server_that_gives_trouble(
    seaweed: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passing = [Trouble.SLOW_DOWN, Trouble.UNREACHED, Trouble.ANSWER_LOST, Trouble.TRUNCATED]
    dice = random.Random(7)
    with troubled(seaweed.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", proxy.url)
        proxy.give(dice.choice(passing) if dice.random() < 0.3 else Trouble.NONE for _ in range(2000))
        url = f"s3://{BUCKET}/{prefix}/troubled"
        assert graphlambda.compute(array(), store=url, inline_bytes=0)[0].tolist() == WANTED
    assert sum(proxy.seen[trouble] for trouble in passing) >= 10
    assert list(objects(seaweed.bucket(f"{prefix}/"), "")) == []


def test_a_bucket_without_credentials_is_refused(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ConfigError, match="no AWS credentials are found"):
        graphlambda.compute(array(), store=f"s3://{BUCKET}/{prefix}/none")


def test_functions_are_another_servers_user_themselves(seaweed: S3Server, prefix: str) -> None:
    place = place_at(f"s3://{BUCKET}/{prefix}", config.load())
    assert (place.location.endpoint, place.location.prefix) == (seaweed.endpoint, prefix)
    told = identity_for(place, AwsIdentity("us-east-1")).variables
    assert {name: value for name, value in told.items() if name != "AWS_CA_BUNDLE"} == {
        "AWS_ACCESS_KEY_ID": seaweed.keys.access_key,
        "AWS_SECRET_ACCESS_KEY": seaweed.keys.secret_key,
    }


def test_local_functions_trust_whom_their_client_trusts(
    seaweed: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", seaweed.tls_endpoint)
    monkeypatch.setenv("AWS_CA_BUNDLE", str(seaweed.certificate))
    url = f"s3://{BUCKET}/{prefix}/trusted"
    assert graphlambda.compute(array(), store=url, inline_bytes=0)[0].tolist() == WANTED


def test_at_aws_functions_get_only_keys_that_end(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "ends")
    role = "arn:aws:iam::123456789012:role/functions"
    place = place_at(f"s3://{BUCKET}", config.load({"role": role}))
    assert (place.location.url, place.location.owner) == (
        f"https://{BUCKET}.s3.us-east-1.amazonaws.com",
        "123456789012",
    )
    assert identity_for(place, AwsIdentity("us-east-1")).variables["AWS_SESSION_TOKEN"] == "ends"
