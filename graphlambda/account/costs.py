"""What a deployment costs a month while nothing runs, by a dated table.

In: what stands. Out: US dollars, each with what they are for. Must not fetch anything: see `PRICES`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.account.stack import NONE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from graphlambda.account.standing import Standing

AS_OF, REGION = "2026-06", "us-east-1"
"""When and where the prices were these."""

PRICES: Mapping[str, tuple[float, str]] = {
    "bucket": (0.023, "https://aws.amazon.com/s3/pricing/"),
    "log": (0.03, "https://aws.amazon.com/cloudwatch/pricing/"),
    "cache": (0.084 * 730, "https://aws.amazon.com/elasticache/pricing/"),
}
"""US dollars for a GB during a month, and the page that says so. Of a cache, at least `LEAST_GB` are billed."""

LEAST_GB = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One thing that costs while it stands."""

    what: str
    usd: float
    """A month."""


def monthly(standing: Standing) -> tuple[Cost, ...]:
    """Return what costs, at least; functions, layers, roles and policies do not."""
    return tuple(_costs(standing))


def _costs(standing: Standing) -> Iterator[Cost]:
    stored_gb = sum(part.size_bytes for part in standing.parts.values()) / 1e9
    if stored_gb:
        yield Cost(what=f"{stored_gb:,.3f} GB in the bucket", usd=stored_gb * PRICES["bucket"][0])
    if standing.log_bytes:
        log_gb = standing.log_bytes / 1e9
        yield Cost(what=f"{log_gb:,.3f} GB in the log", usd=log_gb * PRICES["log"][0])
    if standing.cache != NONE:
        yield Cost(what=f"a cache of {LEAST_GB} GB or more", usd=LEAST_GB * PRICES["cache"][0])
