"""What Lambda asks for, as a dated table.

In: nothing. Out: US dollars. Must not fetch anything: a price that has changed is wrong by its date,
which is beside it.

Counted are requests and duration. Not counted: the free tier, volume tiers (from 6 billion GB-s a month),
/tmp beyond 512 MB, stores, logs and traffic that leaves the region.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MB_A_GB = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices of one region."""

    as_of: str
    """When the source said so: a year or an ISO date."""

    source: str
    """The page that says so."""

    region: str
    request_usd: float
    """For one invocation that was not throttled."""

    gb_second_usd: Mapping[str, float]
    """By architecture (`x86_64`, `arm64`), for 1,024 MB during one second."""


LAMBDA = Prices(
    as_of="2026",
    source="https://aws.amazon.com/lambda/pricing/",
    region="us-east-1",
    request_usd=0.20 / 1_000_000,
    gb_second_usd={"x86_64": 0.0000166667, "arm64": 0.0000133334},
)


def gb_seconds(memory_mb: int, seconds: float) -> float:
    """Return what is billed for `memory_mb` during `seconds`: memory given, not memory used."""
    return memory_mb / _MB_A_GB * seconds


def cost_usd(requests: int, billed_gb_s: float, architecture: str, prices: Prices = LAMBDA) -> float:
    """Return the price of so many requests and GB-seconds.

    Raises:
        KeyError: there is no price for `architecture`.
    """
    return requests * prices.request_usd + billed_gb_s * prices.gb_second_usd[architecture]
