"""What is one object in a task stays one object in the function.

In: the tokens and leaves of a task, and the things with an identity that code by value reaches. Out: a signature that
says which of them are one. Must not look inside a literal, nor know what a token means.

A function by value, or a container that holds code, is spelled out wherever it is reached; so is a literal. Where one
is reached again, the signature begins with `&`, and two tuples: for each thing the number of the first one that is the
same, for each leaf its port. Most tasks reach nothing twice: theirs begins without.
"""

from __future__ import annotations

import enum
import marshal
from typing import Any, NamedTuple

import numpy as np


class Thing(NamedTuple):
    """A thing with an identity, in the order of the tokens."""

    id: int
    start: int
    """Its first leaf."""

    width: int
    """Its leaves, with those of the things inside it."""


_VALUES: frozenset[type] = frozenset(
    {int, float, complex, bool, type(None), str, bytes, slice, range, type(Ellipsis), type(NotImplemented)}
)
"""Whether two of these are one object is an accident of the process."""


def joined(tokens: list[Any], leaves: list[Any], things: list[Thing]) -> tuple[tuple[Any, ...], list[Any]]:
    """Return the signature of a task, and its leaves, each individual once."""
    repeated = len(things) > 1 and len({thing.id for thing in things}) < len(things)
    if not repeated and len(set(map(id, leaves))) == len(leaves):
        return tuple(tokens), leaves
    individuals = [id(leaf) for leaf in leaves if type(leaf) not in _VALUES and _is_individual(leaf)]
    if not repeated and len(set(individuals)) == len(individuals):
        return tuple(tokens), leaves
    firsts: dict[int, int] = {}
    same = tuple([firsts.setdefault(thing.id, number) for number, thing in enumerate(things)])
    ports, kept = _ports(leaves, things, same, set(individuals))
    if not repeated and len(kept) == len(leaves):
        return tuple(tokens), leaves
    return ("&", same, ports, *tokens), kept


def _ports(
    leaves: list[Any], things: list[Thing], same: tuple[int, ...], individuals: set[int]
) -> tuple[tuple[int, ...], list[Any]]:
    """Return the port of each leaf that is not spelled out again, and what the ports are bound to."""
    captured: set[int] = set()
    again: set[int] = set()
    for number, thing in enumerate(things):
        (captured if same[number] == number else again).update(range(thing.start, thing.start + thing.width))
    inside = {id(leaves[place]) for place in captured} & individuals
    ports: list[int] = []
    kept: list[Any] = []
    known: dict[int, int] = {}
    for place, leaf in enumerate(leaves):
        if place in again:
            continue
        if id(leaf) in inside and id(leaf) in known:
            ports.append(known[id(leaf)])
            continue
        known[id(leaf)] = len(kept)
        ports.append(len(kept))
        kept.append(leaf)
    return tuple(ports), kept


def _is_individual(leaf: Any) -> bool:
    if isinstance(leaf, np.dtype | np.generic | enum.Enum):
        return False
    if type(leaf) not in (tuple, frozenset):
        return True
    try:
        marshal.dumps(leaf)
    except ValueError:
        return True
    return False
