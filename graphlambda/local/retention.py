"""Which functions and layers a state folder can afford to keep.

In: what holds unzipped code, and when it was used. Out: what stays. Pure: the catalogue deletes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Claim:
    """A function or a layer version, as far as it holds unzipped code."""

    name: str
    used_s: float
    """When it was used last, in seconds since the epoch."""

    needs: Mapping[str, int]
    """Bytes by digest of each folder that it needs."""


def affordable(claims: Iterable[Claim], most_bytes: int) -> frozenset[str]:
    """Return the names of those that may stay: the ones used last, each folder counted once."""
    stay: set[str] = set()
    held: dict[str, int] = {}
    for claim in sorted(claims, key=lambda each: (-each.used_s, each.name)):
        together = {**held, **claim.needs}
        if sum(together.values()) <= most_bytes:
            held = together
            stay.add(claim.name)
    return frozenset(stay)
