"""A run's part in an AWS bill, at list prices.

In: what was used. Out: US dollars, line by line. Must not know a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from graphlambda.prices import US_EAST_1, Usage, charges, usd_of
from graphlambda.report.tables import render
from graphlambda.report.units import money

if TYPE_CHECKING:
    from graphlambda.prices import Charge, Prices, Traffic

_HEADS = ("of", "amount", "USD")
_WIDTH = 100
_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """What a run is billed; `print` shows it line by line."""

    usage: Usage = field(default_factory=Usage)
    beside: Usage = field(default_factory=Usage)
    """What is used in a second whether anything runs or not: of environments that wait, of snapshots. No part of the sum."""

    prices: Prices = field(default=US_EAST_1, repr=False)

    @property
    def usd(self) -> float:
        """Return the sum."""
        return usd_of(self.usage, self.prices)

    @property
    def lines(self) -> tuple[Charge, ...]:
        """Return what is billed, without what was not used."""
        return charges(self.usage, self.prices)

    @property
    def requests(self) -> int:
        """Return the invocations that were not throttled."""
        return self.usage.requests

    @property
    def billed_gb_s(self) -> float:
        """Return memory given, during what Lambda bills: initialisation too."""
        return sum((*self.usage.gb_s.values(), *self.usage.ready_gb_s.values()))

    @property
    def traffic(self) -> Traffic:
        """Return what was asked of stores."""
        return self.usage.traffic

    @property
    def terms(self) -> str:
        """Return what the sum stands on."""
        prices = self.prices
        hour_usd = usd_of(self.beside, prices) * _HOUR_S
        beside = (
            f" Environments that wait and snapshots cost {money(hour_usd)} an hour beside it, used or not."
            if hour_usd
            else ""
        )
        return (
            f"At list prices of {prices.told} (Lambda: {prices.request.as_of}, S3: {prices.s3_write.as_of}, cache: "
            f"{prices.cache_unit.as_of}), without free tiers, logs, secrets, KMS, and what leaves AWS for the internet.{beside}"
        )

    def __add__(self, other: Bill) -> Bill:
        return replace(self, usage=self.usage + other.usage, beside=self.beside + other.beside)

    def __str__(self) -> str:
        rows = [(line.what, _amount(line), money(line.usd)) for line in self.lines]
        rows.append(("all", "", money(self.usd)))
        return f"{render(_HEADS, rows, numbers={1, 2}, width=_WIDTH)}\n{self.terms}"


def _amount(line: Charge) -> str:
    digits = 0 if isinstance(line.amount, int) else 3
    return f"{line.amount:,.{digits}f} {line.unit}".rstrip()
