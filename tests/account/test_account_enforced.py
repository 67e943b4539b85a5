"""Who reaches what of the bucket, as moto's own evaluation of our policies says: a second opinion beside `guard`.

moto compares actions and resources; of conditions it knows too little, so that what is listed is not asked here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.core.authorization import enable_iam_authentication

from graphlambda.account import policies
from graphlambda.account.choices import Choices
from graphlambda.runtime.bucket import Bucket
from graphlambda.runtime.faults import ValueStoreError
from graphlambda.runtime.identity import Keys
from tests.account.cases import NAMES

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.testing.s3_servers import S3Server

ALL, READ, NOTHING = "get put delete", "get", ""
REACHES = {
    "deployer": {
        "artifacts/a.zip": ALL,
        "keys/root.key": READ,
        "leases/l/lease": ALL,
        "manifests/f/m": ALL,
        "runs/r/program": ALL,
        "values/r/v": ALL,
    },
    "runner": {
        "artifacts/a.zip": NOTHING,
        "keys/root.key": READ,
        "leases/l/lease": ALL,
        "manifests/f/m": READ,
        "runs/r/program": ALL,
        "values/r/v": ALL,
    },
    "function": {
        "artifacts/a.zip": NOTHING,
        "keys/root.key": NOTHING,
        "leases/l/lease": NOTHING,
        "manifests/f/m": NOTHING,
        "runs/r/program": NOTHING,
        "values/r/v": ALL,
    },
}
"""The table of SECURITY.md."""

POLICIES = {"deployer": policies.deployer, "runner": policies.runner, "function": policies.function}


@pytest.fixture
def client(moto: S3Server) -> Callable[[str], Any]:
    """Return what makes clients of an administrator."""
    return lambda service: boto3.client(
        service,  # type: ignore[call-overload]
        NAMES.region,
        endpoint_url=moto.endpoint,
        aws_access_key_id=moto.keys.access_key,
        aws_secret_access_key=moto.keys.secret_key,
    )


def keys_of(user: str, policy: policies.Policy, iam: Any) -> Keys:
    """Make a user who has a policy."""
    iam.create_user(UserName=user)
    iam.put_user_policy(UserName=user, PolicyName=user, PolicyDocument=json.dumps(policy))
    made = iam.create_access_key(UserName=user)["AccessKey"]
    return Keys(made["AccessKeyId"], made["SecretAccessKey"])


def reached(bucket: Bucket, key: str) -> str:
    """Return what of getting, putting and deleting an object is allowed."""
    asks: dict[str, Callable[[], object]] = {
        "get": lambda: bucket.get(key),
        "put": lambda: bucket.put(key, [b"written"], {}),
        "delete": lambda: bucket.delete(key),
    }
    return " ".join(word for word, ask in asks.items() if is_allowed(ask))


def is_allowed(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ValueStoreError as refused:
        if "AccessDenied (403)" not in str(refused):
            raise
        return False
    return True


@pytest.mark.parametrize("who", REACHES)
def test_each_reaches_what_the_table_says_and_nothing_else(
    who: str, moto: S3Server, client: Callable[[str], Any]
) -> None:
    choices = Choices(bucket=f"enforced-{who}")
    place = {"LocationConstraint": NAMES.region}
    client("s3").create_bucket(Bucket=choices.bucket, CreateBucketConfiguration=place)
    for key in REACHES[who]:
        client("s3").put_object(Bucket=choices.bucket, Key=f"{NAMES.prefix}/{key}", Body=b"there")
    keys = keys_of(who, POLICIES[who](NAMES, choices), client("iam"))
    bucket = Bucket(
        f"{moto.endpoint}/{choices.bucket}", f"{NAMES.prefix}/", region=NAMES.region, keys=lambda: keys
    )
    with enable_iam_authentication():
        assert {key: reached(bucket, key) for key in REACHES[who]} == REACHES[who]
