"""A run's part in an AWS bill, at list prices.

In: what was used. Out: US dollars, line by line. Must not know a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graphlambda.prices import NO_TRAFFIC, US_EAST_1, duration_usd
from graphlambda.report.tables import render
from graphlambda.report.units import money

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.prices import Prices, Traffic

_HEADS = ("of", "amount", "USD")
_WIDTH = 100


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is billed."""

    what: str
    amount: str
    """With its unit."""

    usd: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a run is billed; `print` shows it line by line."""

    architecture: str
    requests: int = 0
    """Invocations that were not throttled."""

    billed_gb_s: float = 0.0
    """Memory given, during what Lambda bills: initialisation too."""

    ephemeral_gb_s: float = 0.0
    """The same of /tmp beyond what is free."""

    traffic: Traffic = NO_TRAFFIC
    """What was asked of stores."""

    prices: Prices = field(default=US_EAST_1, repr=False)

    @property
    def usd(self) -> float:
        """Return the sum."""
        return sum(line.usd for line in self.lines)

    @property
    def lines(self) -> tuple[Line, ...]:
        """Return what is billed, without what was not used."""
        return tuple(line for line in self._all() if line.usd)

    def _all(self) -> Iterator[Line]:
        prices, traffic = self.prices, self.traffic
        duration = duration_usd(self.billed_gb_s, self.architecture, prices)
        yield Line("Lambda duration", f"{self.billed_gb_s:,.3f} GB-s", duration)
        yield Line("Lambda requests", f"{self.requests:,}", self.requests * prices.request.usd)
        ephemeral = self.ephemeral_gb_s * prices.ephemeral.usd
        yield Line("Lambda /tmp", f"{self.ephemeral_gb_s:,.3f} GB-s", ephemeral)
        yield Line("S3 writes and lists", f"{traffic.writes:,}", traffic.writes * prices.s3_write.usd)
        yield Line("S3 reads", f"{traffic.reads:,}", traffic.reads * prices.s3_read.usd)
        units = traffic.cache_units * prices.cache_unit.usd
        yield Line("cache", f"{traffic.cache_units:,} ECPUs", units)

    @property
    def terms(self) -> str:
        """Return what the sum stands on."""
        prices = self.prices
        return (
            f"At list prices of {prices.region} (Lambda: {prices.request.as_of}, S3: {prices.s3_write.as_of}, cache: "
            f"{prices.cache_unit.as_of}), without free tiers, logs, and what leaves AWS for the internet."
        )

    def __add__(self, other: Bill) -> Bill:
        return replace(
            self,
            requests=self.requests + other.requests,
            billed_gb_s=self.billed_gb_s + other.billed_gb_s,
            ephemeral_gb_s=self.ephemeral_gb_s + other.ephemeral_gb_s,
            traffic=self.traffic + other.traffic,
        )

    def __str__(self) -> str:
        rows = [(line.what, line.amount, money(line.usd)) for line in self.lines]
        rows.append(("all", "", money(self.usd)))
        return f"{render(_HEADS, rows, numbers={1, 2}, width=_WIDTH)}\n{self.terms}"
