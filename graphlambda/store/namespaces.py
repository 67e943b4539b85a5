"""Namespaces: where values lie that later runs may use, and what of them goes.

In: the root key and a namespace's name; what lies there. Out: the run that stands for it; what is deleted. Must not delete
anything.

A namespace is one trust domain. It is a run like any other to stores and functions, but nobody drops it at an end: its
values have names made of their content's digest, are signed with its own key, and go when nobody has used them for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_S = 86_400.0
"""How long a value stays that nobody uses, and a namespace whose lease nobody renews."""

_PREFIX = "shared-"


@dataclass(frozen=True, slots=True)
class Held:
    """A value that is in a store."""

    size_bytes: int
    """Of its frame."""

    age_s: float
    """Seconds since it was written, or used where the store can note that."""


def namespace_run(root: bytes, name: str) -> str:
    """Return the run that stands for a namespace; who has another root key has another one of that name."""
    digest = blake2b(name.encode(), key=root, digest_size=16, person=b"graphlambda ns")
    return _PREFIX + digest.hexdigest()


def is_namespace(run: str) -> bool:
    """Whether a run stands for a namespace: it is no client's, whoever wrote its lease."""
    return run.startswith(_PREFIX)


def stays_s(run: str, older_than_s: float) -> float:
    """Return how long a run stays whose lease nobody renews, where others stay for `older_than_s`."""
    return max(older_than_s, KEPT_S) if is_namespace(run) else older_than_s


def excess(held: Mapping[str, Held], bound_bytes: int) -> list[str]:
    """Return what goes: what nobody has used for long, then the least recently used, until the rest is within bounds."""
    going = [name for name, value in held.items() if value.age_s > KEPT_S]
    left_bytes = sum(value.size_bytes for value in held.values() if value.age_s <= KEPT_S)
    for name in sorted(held.keys() - going, key=lambda name: (-held[name].age_s, name)):
        if left_bytes <= bound_bytes:
            break
        left_bytes -= held[name].size_bytes
        going.append(name)
    return going
