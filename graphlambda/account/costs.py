"""What a deployment costs a month while nothing runs.

Pure. In: what stands, prices. Out: US dollars, each with what they are for. Must not count what only a run costs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphlambda.account.stack import NONE
from graphlambda.prices import CACHE_LEAST_GB, HOURS_A_MONTH, charges, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphlambda.account.standing import Ready, Standing
    from graphlambda.prices import Prices

_MONTH_S = HOURS_A_MONTH * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """One thing that costs while it stands."""

    what: str
    usd: float
    """A month."""


def monthly(standing: Standing, prices: Prices) -> tuple[Cost, ...]:
    """Return what costs, at least; functions that nobody keeps ready, layers, roles and policies do not."""
    return tuple(_costs(standing, prices))


def _costs(standing: Standing, prices: Prices) -> Iterator[Cost]:
    stored_gb = sum(part.size_bytes for part in standing.parts.values()) / 1e9
    if stored_gb:
        yield Cost(what=f"{stored_gb:,.3f} GB in the bucket", usd=stored_gb * prices.s3_storage.usd)
    if standing.log_bytes:
        log_gb = standing.log_bytes / 1e9
        yield Cost(what=f"{log_gb:,.3f} GB in the log", usd=log_gb * prices.log_storage.usd)
    if standing.cache != NONE:
        usd = CACHE_LEAST_GB * HOURS_A_MONTH * prices.cache_storage.usd
        yield Cost(what=f"a cache of {CACHE_LEAST_GB} GB or more", usd=usd)
    for each in standing.ready:
        yield from _readiness(each, prices)


def _readiness(ready: Ready, prices: Prices) -> Iterator[Cost]:
    for charge in charges(kept(ready.size, ready.environments, _MONTH_S), prices):
        yield Cost(what=f"{charge.what}: {ready.function}", usd=charge.usd)
