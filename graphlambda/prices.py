"""What AWS asks for, as a dated table with the source of each figure.

In: amounts. Out: US dollars. Must not fetch anything: a price that has changed is wrong by its date, which is beside it.

Not counted: the free tier, and what an account has used before in a month, which volume tiers depend on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MB_A_GB = 1024
_FREE_MB = 512
"""Of /tmp."""

HOURS_A_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit costs."""

    usd: float
    unit: str
    """What that buys."""

    as_of: str
    """When the source said so: a year, or a year and a month."""

    source: str
    """The page that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """List prices of one region."""

    region: str

    request: Price
    """An invocation that was not throttled."""

    duration: Mapping[str, tuple[tuple[float, Price], ...]]
    """By architecture (`x86_64`, `arm64`): from which GB-s of a month on, what one costs."""

    ephemeral: Price
    """What a function has of /tmp beyond 512 MiB, while it runs."""

    provisioned: Mapping[str, Price]
    """Provisioned concurrency, by architecture, used or not."""

    provisioned_duration: Mapping[str, Price]
    """What runs in it."""

    snapshot: Price
    """SnapStart's cache, for a function's memory; at least three hours."""

    restore: Price
    """Starting from it, for a function's memory."""

    s3_write: Price
    """PUT, POST, COPY or LIST."""

    s3_read: Price
    """GET or HEAD; DELETE costs nothing."""

    s3_storage: Price
    cache_storage: Price
    """ElastiCache Serverless for Valkey; `CACHE_LEAST_GB` at least."""

    cache_unit: Price
    """An ECPU: a simple command, or each kB that it moves."""

    log_ingestion: Price
    log_storage: Price
    egress: Price
    """What leaves AWS for the internet."""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What was asked of stores."""

    writes: int = 0
    """Requests that S3 bills as PUT, POST, COPY or LIST."""

    reads: int = 0
    """Requests that it bills as GET or HEAD."""

    cache_units: int = 0
    """ECPUs of a cache."""

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.writes + other.writes, self.reads + other.reads, self.cache_units + other.cache_units
        )


NO_TRAFFIC = Traffic()

_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_TIERS = "https://aws.amazon.com/blogs/compute/introducing-tiered-pricing-for-aws-lambda/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_CACHE = "https://aws.amazon.com/elasticache/pricing/"
_LOGS = "https://aws.amazon.com/cloudwatch/pricing/"
_EC2 = "https://aws.amazon.com/ec2/pricing/on-demand/"

CACHE_LEAST_GB = 0.1
"""What a cache is billed for at least, empty or not. Source: the page of `cache_storage`."""

EGRESS_FREE_GB = 100.0
"""What may leave AWS each month at no cost, over all services. Source: the page of `egress`."""

US_EAST_1 = Prices(
    region="us-east-1",
    request=Price(0.20 / 1e6, "request", "2026", _LAMBDA),
    duration={
        "x86_64": (
            (0.0, Price(0.0000166667, "GB-s", "2026", _LAMBDA)),
            (6e9, Price(0.0000150000, "GB-s", "2022-11", _TIERS)),
            (15e9, Price(0.0000133334, "GB-s", "2022-11", _TIERS)),
        ),
        "arm64": (
            (0.0, Price(0.0000133334, "GB-s", "2026", _LAMBDA)),
            (7.5e9, Price(0.0000120001, "GB-s", "2022-11", _TIERS)),
            (18.75e9, Price(0.0000106667, "GB-s", "2022-11", _TIERS)),
        ),
    },
    ephemeral=Price(0.0000000309, "GB-s", "2026", _LAMBDA),
    provisioned={
        "x86_64": Price(0.0000041667, "GB-s", "2026", _LAMBDA),
        "arm64": Price(0.0000033334, "GB-s", "2024", _LAMBDA),
    },
    provisioned_duration={
        "x86_64": Price(0.0000097222, "GB-s", "2026", _LAMBDA),
        "arm64": Price(0.0000077778, "GB-s", "2024", _LAMBDA),
    },
    snapshot=Price(0.0000015046, "GB-s", "2026", _LAMBDA),
    restore=Price(0.0001397998, "GB", "2026", _LAMBDA),
    s3_write=Price(0.005 / 1e3, "request", "2026-03", _S3),
    s3_read=Price(0.0004 / 1e3, "request", "2026-03", _S3),
    s3_storage=Price(0.023, "GB-month", "2026-03", _S3),
    cache_storage=Price(0.084, "GB-hour", "2026-06", _CACHE),
    cache_unit=Price(0.0023 / 1e6, "ECPU", "2026-06", _CACHE),
    log_ingestion=Price(0.50, "GB", "2026-06", _LOGS),
    log_storage=Price(0.03, "GB-month", "2026-06", _LOGS),
    egress=Price(0.09, "GB", "2024", _EC2),
)

_KNOWN = {each.region: each for each in (US_EAST_1,)}


def prices_of(region: str) -> Prices:
    """Return a region's prices; those of us-east-1, which say so, where its own are not known."""
    return _KNOWN.get(region, US_EAST_1)


def gb_seconds(memory_mb: int, seconds: float) -> float:
    """Return what is billed for `memory_mb` during `seconds`: memory given, not memory used."""
    return memory_mb / _MB_A_GB * seconds


def beyond_free_mb(ephemeral_mb: int) -> int:
    """Return what of /tmp is billed."""
    return max(0, ephemeral_mb - _FREE_MB)


def second_usd(memory_mb: int, ephemeral_mb: int, architecture: str, prices: Prices = US_EAST_1) -> float:
    """Return what a second of one function costs, before any discount for volume.

    Raises:
        KeyError: there is no price for `architecture`.
    """
    (_, first), *_ = prices.duration[architecture]
    ephemeral_gb = gb_seconds(beyond_free_mb(ephemeral_mb), 1.0)
    return gb_seconds(memory_mb, 1.0) * first.usd + ephemeral_gb * prices.ephemeral.usd


def duration_usd(billed_gb_s: float, architecture: str, prices: Prices = US_EAST_1) -> float:
    """Return the price of the first so many GB-seconds of a month, tier by tier.

    Raises:
        KeyError: there is no price for `architecture`.
    """
    tiers = prices.duration[architecture]
    bounds = [*(start for start, _ in tiers), float("inf")]
    return sum(
        max(0.0, min(billed_gb_s, end) - start) * price.usd
        for (start, end), (_, price) in zip(pairwise(bounds), tiers, strict=True)
    )


def traffic_usd(traffic: Traffic, prices: Prices = US_EAST_1) -> float:
    """Return the price of what was asked of stores; what they hold meanwhile costs next to nothing."""
    return (
        traffic.writes * prices.s3_write.usd
        + traffic.reads * prices.s3_read.usd
        + traffic.cache_units * prices.cache_unit.usd
    )


def cost_usd(requests: int, billed_gb_s: float, architecture: str, prices: Prices = US_EAST_1) -> float:
    """Return the price of so many requests and GB-seconds.

    Raises:
        KeyError: there is no price for `architecture`.
    """
    return requests * prices.request.usd + duration_usd(billed_gb_s, architecture, prices)
