from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from graphlambda.prices import (
    US_EAST_1,
    Charge,
    Price,
    Size,
    Traffic,
    Usage,
    charges,
    gb_seconds,
    kept,
    prices_of,
    ran,
    usd_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


def figures(value: object) -> Iterator[Price]:
    """Yield all prices of a table's field, however deep."""
    if isinstance(value, Price):
        yield value
    elif isinstance(value, dict | tuple):
        for part in value.values() if isinstance(value, dict) else value:
            yield from figures(part)


def test_every_figure_has_a_date_and_a_page_of_aws_that_says_so() -> None:
    found = [price for field in fields(US_EAST_1) for price in figures(getattr(US_EAST_1, field.name))]
    assert len(found) == 22
    for price in found:
        assert price.usd > 0
        assert re.fullmatch(r"20\d\d(-\d\d)?", price.as_of)
        assert price.source.startswith("https://aws.amazon.com/")


def test_a_region_whose_prices_are_not_known_gets_those_of_one_and_that_is_said() -> None:
    assert prices_of("eu-central-1").told == "us-east-1, since those of eu-central-1 are not known"
    assert prices_of("us-east-1").told == "us-east-1"


def test_memory_is_billed_in_binary_gigabytes() -> None:
    assert gb_seconds(1024, 2.0) == 2.0
    assert gb_seconds(128, 8.0) == 1.0


@pytest.mark.parametrize(
    ("gb_s", "usd"),
    [(0.0, 0.0), (1e9, 16_666.7), (6e9, 100_000.2), (7e9, 115_000.2), (16e9, 100_000.2 + 135_000 + 13_333.4)],
)
def test_volume_makes_what_comes_after_it_cheaper(gb_s: float, usd: float) -> None:
    assert usd_of(Usage(gb_s={"x86_64": gb_s})) == pytest.approx(usd)


def test_a_second_uses_its_memory_and_what_of_tmp_is_beyond_the_free_part() -> None:
    assert ran(Size(memory_mb=2048), 1.0) == Usage(requests=1, gb_s={"x86_64": 2.0})
    small = Size(memory_mb=512, ephemeral_mb=1536, architecture="arm64")
    assert ran(small, 4.0, requests=0) == Usage(gb_s={"arm64": 2.0}, ephemeral_gb_s=4.0)


def test_environments_that_waited_and_snapshots_are_used_apart() -> None:
    size = Size(memory_mb=2048, snap_start=True)
    assert ran(size, 3.0, requests=2, ready_s=1.0, starts=4) == Usage(
        requests=2, gb_s={"x86_64": 4.0}, ready_gb_s={"x86_64": 2.0}, restored_gb=8.0
    )
    assert kept(size, 3, 10.0) == Usage(waiting_gb_s={"x86_64": 60.0}, snapshot_gb_s=20.0)
    assert kept(Size(memory_mb=2048), 0, 10.0) == Usage()


def test_what_is_used_adds_up_and_each_part_has_its_price() -> None:
    parts = [
        Usage(requests=1_000_000, gb_s={"arm64": 1000.0}),
        Usage(gb_s={"arm64": 1000.0, "x86_64": 1000.0}, ephemeral_gb_s=1e6),
        Usage(ready_gb_s={"x86_64": 1000.0}, waiting_gb_s={"arm64": 1000.0}),
        Usage(snapshot_gb_s=1000.0, restored_gb=1000.0, traffic=Traffic(1000, 1000, 1000)),
    ]
    every = sum(parts, Usage())
    assert charges(every) == (
        Charge("Lambda duration, arm64", 2000.0, "GB-s", 2000.0 * 0.0000133334),
        Charge("Lambda duration, x86_64", 1000.0, "GB-s", 1000.0 * 0.0000166667),
        Charge("Lambda duration where environments waited, x86_64", 1000.0, "GB-s", 1000.0 * 0.0000097222),
        Charge("environments that wait, arm64", 1000.0, "GB-s", 1000.0 * 0.0000033334),
        Charge("Lambda requests", 1_000_000, "", 1_000_000 * (0.20 / 1e6)),
        Charge("Lambda /tmp", 1e6, "GB-s", 1e6 * 0.0000000309),
        Charge("snapshots that are kept", 1000.0, "GB-s", 1000.0 * 0.0000015046),
        Charge("starts from a snapshot", 1000.0, "GB", 1000.0 * 0.0001397998),
        Charge("S3 writes and lists", 1000, "", 1000 * (0.005 / 1e3)),
        Charge("S3 reads", 1000, "", 1000 * (0.0004 / 1e3)),
        Charge("cache", 1000, "ECPUs", 1000 * (0.0023 / 1e6)),
    )
    assert usd_of(every) == pytest.approx(sum(map(usd_of, parts)))
