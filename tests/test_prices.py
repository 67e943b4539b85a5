from __future__ import annotations

import re
from dataclasses import fields
from typing import TYPE_CHECKING

import pytest

from graphlambda.prices import US_EAST_1, Price, cost_usd, duration_usd, gb_seconds, prices_of, second_usd

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


def test_a_region_whose_prices_are_not_known_gets_those_of_one_that_says_so() -> None:
    assert prices_of("eu-central-1").region == prices_of("us-east-1").region == "us-east-1"


def test_memory_is_billed_in_binary_gigabytes() -> None:
    assert gb_seconds(1024, 2.0) == 2.0
    assert gb_seconds(128, 8.0) == 1.0


@pytest.mark.parametrize(
    ("gb_s", "usd"),
    [(0.0, 0.0), (1e9, 16_666.7), (6e9, 100_000.2), (7e9, 115_000.2), (16e9, 100_000.2 + 135_000 + 13_333.4)],
)
def test_volume_makes_what_comes_after_it_cheaper(gb_s: float, usd: float) -> None:
    assert duration_usd(gb_s, "x86_64") == pytest.approx(usd)


def test_a_second_costs_its_memory_and_what_of_tmp_is_beyond_the_free_part() -> None:
    assert second_usd(2048, 512, "x86_64") == 2 * 0.0000166667
    assert second_usd(1024, 1536, "arm64") == 0.0000133334 + 0.0000000309


def test_requests_and_duration_add_up() -> None:
    assert cost_usd(1_000_000, 1000.0, "arm64") == pytest.approx(0.20 + 0.0133334)
