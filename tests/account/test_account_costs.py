"""What costs while nothing runs: what lies somewhere, a cache, and what AWS keeps ready."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphlambda.account import Cache, Stack
from graphlambda.account.costs import monthly
from graphlambda.account.standing import Amount, Ready, Standing
from graphlambda.prices import US_EAST_1, Size
from tests.account.cases import NAMES

STACK = Stack(names=NAMES, bucket=NAMES.bucket, prefix=NAMES.prefix, role_arn=NAMES.role_arn, log_group="log")
BARE = Standing(
    names=NAMES,
    state="CREATE_COMPLETE",
    stack=STACK,
    is_ours=True,
    resources=(),
    functions=("gl-zzzzzzzz-mean-1",),
    ready=(),
    layers={"gl-zzzzzzzz-numpy-1": (1,)},
    bucket=NAMES.bucket,
    parts={},
    uploads=0,
    log_bytes=0,
    living=(),
)


def test_functions_and_layers_alone_cost_nothing() -> None:
    assert monthly(BARE, US_EAST_1) == ()


def test_what_lies_in_bucket_and_log_costs_by_the_gigabyte() -> None:
    parts = {
        "artifacts": Amount(objects=2, size_bytes=1_500_000_000),
        "values": Amount(objects=1, size_bytes=10**9),
    }
    costs = monthly(replace(BARE, parts=parts, log_bytes=2 * 10**9), US_EAST_1)
    assert [each.what for each in costs] == ["2.500 GB in the bucket", "2.000 GB in the log"]
    assert [each.usd for each in costs] == pytest.approx([2.5 * 0.023, 2 * 0.03])


def test_a_cache_costs_six_dollars_though_nothing_is_in_it() -> None:
    cache = Cache(
        kind="valkey-public", name="graphlambda-zzzzzzzz", host="host", port=6379, user="graphlambda-zzzzzzzz"
    )
    (cost,) = monthly(replace(BARE, stack=replace(STACK, cache=cache)), US_EAST_1)
    assert cost.usd == pytest.approx(6.13, abs=0.01)


def test_what_is_kept_ready_costs_while_it_waits() -> None:
    ready = Ready(
        function="gl-zzzzzzzz-mean-1",
        size=Size(memory_mb=2048, snap_start=True),
        environments=3,
    )
    waiting, snapshot = monthly(replace(BARE, ready=(ready,)), US_EAST_1)
    gb_s = 2 * 730 * 3600
    assert waiting.usd == pytest.approx(3 * gb_s * 0.0000041667)
    assert snapshot.usd == pytest.approx(gb_s * 0.0000015046)
