"""What AWS asks for, as a dated table with the source of each figure.

In: amounts. Out: US dollars. Must not fetch anything: a price that has changed is wrong by its date, which is beside it.

Not counted: the free tier, and what an account has used before in a month, which volume tiers depend on.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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
    asked: str = ""
    """The region that they stand for, where its own are not known."""

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

    @property
    def told(self) -> str:
        """Whose prices these are, for people."""
        return self.region + (f", since those of {self.asked} are not known" if self.asked else "")


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

    def __sub__(self, other: Traffic) -> Traffic:
        return Traffic(
            self.writes - other.writes, self.reads - other.reads, self.cache_units - other.cache_units
        )


NO_TRAFFIC = Traffic()


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What decides what a second of a function costs."""

    memory_mb: int
    ephemeral_mb: int = _FREE_MB
    architecture: str = "x86_64"
    snap_start: bool = False
    """Whether its environments start from a snapshot."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What is billed, in the units in which it is. GB-seconds are of memory given, not used."""

    requests: int = 0
    """Invocations that were not throttled."""

    gb_s: Mapping[str, float] = field(default_factory=dict)
    """By architecture, while functions ran: initialisation too."""

    ready_gb_s: Mapping[str, float] = field(default_factory=dict)
    """The same in environments that had waited: provisioned concurrency."""

    waiting_gb_s: Mapping[str, float] = field(default_factory=dict)
    """By architecture, of environments that wait, also while they run."""

    ephemeral_gb_s: float = 0.0
    """Of /tmp beyond what is free, while functions ran."""

    snapshot_gb_s: float = 0.0
    """Of snapshots that are kept."""

    restored_gb: float = 0.0
    """Of environments that started from one."""

    traffic: Traffic = NO_TRAFFIC
    """What was asked of stores."""

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            requests=self.requests + other.requests,
            gb_s=_added(self.gb_s, other.gb_s),
            ready_gb_s=_added(self.ready_gb_s, other.ready_gb_s),
            waiting_gb_s=_added(self.waiting_gb_s, other.waiting_gb_s),
            ephemeral_gb_s=self.ephemeral_gb_s + other.ephemeral_gb_s,
            snapshot_gb_s=self.snapshot_gb_s + other.snapshot_gb_s,
            restored_gb=self.restored_gb + other.restored_gb,
            traffic=self.traffic + other.traffic,
        )


class Charge(NamedTuple):
    """One thing that is billed."""

    what: str
    amount: float
    unit: str
    """Of the amount; empty for what is counted."""

    usd: float


_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_TIERS = "https://aws.amazon.com/blogs/compute/introducing-tiered-pricing-for-aws-lambda/"
_S3 = "https://aws.amazon.com/s3/pricing/"
_CACHE = "https://aws.amazon.com/elasticache/pricing/"
_LOGS = "https://aws.amazon.com/cloudwatch/pricing/"
_EC2 = "https://aws.amazon.com/ec2/pricing/on-demand/"

CACHE_LEAST_GB = 0.1
"""What a cache is billed for at least, empty or not. Source: the page of `cache_storage`."""

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
    return _KNOWN.get(region) or replace(US_EAST_1, asked=region)


def gb_seconds(memory_mb: int, seconds: float) -> float:
    """Return what is billed for `memory_mb` during `seconds`: memory given, not memory used."""
    return memory_mb / _MB_A_GB * seconds


def ran(size: Size, seconds: float, *, requests: int = 1, ready_s: float = 0.0, starts: int = 0) -> Usage:
    """Return what invocations used that were billed so many seconds together, `ready_s` of them where environments waited.

    `starts` is how many environments began with them.
    """
    rest_s = seconds - ready_s
    return Usage(
        requests=requests,
        gb_s={size.architecture: gb_seconds(size.memory_mb, rest_s)} if rest_s else {},
        ready_gb_s={size.architecture: gb_seconds(size.memory_mb, ready_s)} if ready_s else {},
        ephemeral_gb_s=gb_seconds(max(0, size.ephemeral_mb - _FREE_MB), seconds),
        restored_gb=starts * size.memory_mb / _MB_A_GB if size.snap_start else 0.0,
    )


def kept(size: Size, environments: int, seconds: float) -> Usage:
    """Return what a function uses whether anything runs or not: environments that wait, a snapshot."""
    gb_s = gb_seconds(size.memory_mb, seconds)
    return Usage(
        waiting_gb_s={size.architecture: environments * gb_s} if environments else {},
        snapshot_gb_s=gb_s if size.snap_start else 0.0,
    )


def charges(usage: Usage, prices: Prices = US_EAST_1) -> tuple[Charge, ...]:
    """Return what each thing costs that was used, at the first so many of a month: all sums of money are made here.

    Raises:
        KeyError: there is no price for an architecture.
    """
    return tuple(charge for charge in _charges(usage, prices) if charge.amount)


def usd_of(usage: Usage, prices: Prices = US_EAST_1) -> float:
    """Return what it costs together. Raises as `charges` does."""
    return sum(charge.usd for charge in charges(usage, prices))


def _charges(usage: Usage, prices: Prices) -> Iterator[Charge]:
    for architecture, gb_s in sorted(usage.gb_s.items()):
        usd = _tiered(gb_s, prices.duration[architecture])
        yield Charge(f"Lambda duration, {architecture}", gb_s, "GB-s", usd)
    per_architecture = (
        ("Lambda duration where environments waited", usage.ready_gb_s, prices.provisioned_duration),
        ("environments that wait", usage.waiting_gb_s, prices.provisioned),
    )
    for what, amounts, each in per_architecture:
        for architecture, gb_s in sorted(amounts.items()):
            yield Charge(f"{what}, {architecture}", gb_s, "GB-s", gb_s * each[architecture].usd)
    traffic = usage.traffic
    for what, amount, unit, price in (
        ("Lambda requests", usage.requests, "", prices.request),
        ("Lambda /tmp", usage.ephemeral_gb_s, "GB-s", prices.ephemeral),
        ("snapshots that are kept", usage.snapshot_gb_s, "GB-s", prices.snapshot),
        ("starts from a snapshot", usage.restored_gb, "GB", prices.restore),
        ("S3 writes and lists", traffic.writes, "", prices.s3_write),
        ("S3 reads", traffic.reads, "", prices.s3_read),
        ("cache", traffic.cache_units, "ECPUs", prices.cache_unit),
    ):
        yield Charge(what, amount, unit, amount * price.usd)


def _tiered(gb_s: float, tiers: tuple[tuple[float, Price], ...]) -> float:
    """Return the price of the first so many GB-seconds of a month."""
    bounds = [*(start for start, _ in tiers), float("inf")]
    return sum(
        max(0.0, min(gb_s, end) - start) * price.usd
        for (start, end), (_, price) in zip(pairwise(bounds), tiers, strict=True)
    )


def _added(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    return {name: one.get(name, 0.0) + other.get(name, 0.0) for name in sorted({*one, *other})}
