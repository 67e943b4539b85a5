"""The doctor's lines: each fact is ok, or says what to do; what is not known is not claimed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from graphlambda.account.doctor import Bucket, Facts, Fault, Machine, Skipped, Wishes, is_well, lines_of
from graphlambda.deployer.functions import AccountLimits

ROLE = "arn:aws:iam::123456789012:role/graphlambda-a-function"
WELL = Facts(
    place="on AWS, deployment a",
    wishes=Wishes(region="eu-central-1", memory_mb=2048, concurrency=0, reserve=100),
    identity="arn:aws:iam::123456789012:user/ada",
    stack="graphlambda-a",
    limits=AccountLimits(
        concurrency=1000, unreserved=900, code_bytes=1_200_000_000, most_code_bytes=300_000_000_000
    ),
    skew_s=-2.0,
    role=ROLE,
    bucket=Bucket(place="s3://b/graphlambda/a", encryption="AES256", is_private=True),
    cache=Skipped("this deployment has none"),
    probes={"s3://b/graphlambda/a": 3.5},
    machine=Machine(python="3.12", pythons=("3.11", "3.12"), glibc="2.36", aws_glibc="2.34"),
)


def test_where_all_is_well_each_line_says_what_was_found() -> None:
    assert [str(line) for line in lines_of(WELL)] == [
        "functions     ok       on AWS, deployment a",
        "credentials   ok       arn:aws:iam::123456789012:user/ada",
        "region        ok       eu-central-1",
        "clock         ok       2 s behind AWS's",
        "stack         ok       graphlambda-a",
        "concurrency   ok       1,000, of which 900 are not reserved; runs use 800",
        "code storage  ok       1.2 of 300 GB",
        "memory        ok       memory_mb=2048: the function below has it",
        f"role          ok       {ROLE}",
        "bucket        ok       s3://b/graphlambda/a, this account's, encrypted (AES256), no public access",
        "cache         skipped  this deployment has none",
        "a function    ok       wrote and read in s3://b/graphlambda/a; it took 3.5 s, making it and cold starts included",
        "python        ok       3.12, as functions have",
        "glibc         ok       2.36 here, 2.34 there: what would not load there is fetched as a wheel, or refused",
    ]
    assert is_well(lines_of(WELL))


SMALL = AccountLimits(concurrency=10, unreserved=10, code_bytes=280, most_code_bytes=300)
OTHER_PYTHON = Machine(python="3.15", pythons=("3.11", "3.12"), glibc="", aws_glibc="")


@pytest.mark.parametrize(
    ("changed", "subject", "told"),
    [
        ({"identity": Fault("no", "`aws sso login`")}, "credentials", "`aws sso login` (no)"),
        ({"stack": Fault("", "`graphlambda aws init` makes it")}, "stack", "`graphlambda aws init` makes it"),
        (
            {"skew_s": 400.0},
            "clock",
            "set this machine's clock (`timedatectl set-ntp true`): 400 s ahead of AWS's, and 300 s are refused",
        ),
        (
            {"limits": SMALL},
            "concurrency",
            "lower reserve=100, or ask for more (Service Quotas, Lambda): 10, of which 10 are not reserved; runs use 0",
        ),
        (
            {"limits": SMALL},
            "code storage",
            "`graphlambda aws sweep` deletes what nobody uses: 0.0 of 0 GB, and more is not to be had",
        ),
        (
            {"bucket": Bucket(place="s3://b", encryption="AES256", is_private=False)},
            "bucket",
            "block all public access of s3://b: `graphlambda aws init` does for its own",
        ),
        (
            {"bucket": Bucket(place="s3://b", encryption="", is_private=True)},
            "bucket",
            "set default encryption for s3://b: `graphlambda aws init` does for its own",
        ),
        (
            {"probes": {"valkey:h:1": Fault("", "the store is out of reach")}},
            "a function",
            "the store is out of reach",
        ),
        (
            {"machine": OTHER_PYTHON},
            "python",
            "use one of 3.11, 3.12: Lambda runs no 3.15 that we build for",
        ),
    ],
)
def test_what_is_wrong_says_what_to_do(changed: dict[str, Any], subject: str, told: str) -> None:
    lines = lines_of(replace(WELL, **changed))
    assert [line.told for line in lines if (line.subject, line.verdict) == (subject, "do")] == [told]
    assert not is_well(lines)


@pytest.mark.parametrize(
    ("memory_mb", "probes", "verdict"),
    [
        (3008, {}, "ok"),
        (3009, {}, "skipped"),
        (10_240, {"s3://b": 3.5}, "ok"),
        (3009, {"s3://b": Fault("", "no")}, "skipped"),
    ],
)
def test_whether_an_account_allows_much_memory_is_known_once_a_function_has_it(
    memory_mb: int, probes: dict[str, Any], verdict: str
) -> None:
    lines = lines_of(replace(WELL, wishes=replace(WELL.wishes, memory_mb=memory_mb), probes=probes))
    assert [line.verdict for line in lines if line.subject == "memory"] == [verdict]


def test_what_credentials_may_not_see_is_said_and_no_fault() -> None:
    unseen = replace(WELL, bucket=Bucket(place="s3://b", encryption=None, is_private=None))
    (line,) = [line for line in lines_of(unseen) if line.subject == "bucket"]
    assert line.told.count("which these credentials may not see") == 2
    assert is_well(lines_of(unseen))
