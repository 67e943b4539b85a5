"""How one task's value becomes another's within a process: as if it had travelled, without a frame.

In: a value. Out: the same, or a copy, which nobody else can reach. Must not hand on what would not travel.
"""

from __future__ import annotations

import pickle
from _weakref import getweakrefcount
from sys import getrefcount

from .frame import copied, taken_apart
from .inputs import PLAIN, is_immutable
from .iterators import materialised

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


def handed(value: Any, *, alone: bool = False) -> Any:
    """Return a value as whoever reads it would get it; what is `alone`, which nothing else refers to, need not be copied.

    Raises:
        UnshippableValueError: it does not pickle.
    """
    if is_immutable(value):
        return value
    if alone and _is_all_its_own(value):
        return value
    pickled, buffers = taken_apart(materialised(value))
    return pickle.loads(pickled, buffers=map(copied, buffers))


def _is_all_its_own(value: Any) -> bool:
    """Whether nobody can reach what is in a value but through it, and a copy would be the same in all that one can tell."""
    kind = type(value)
    if kind is list:
        return _are_plain(value) or _are_all_their_own(value)
    if kind is dict:
        return _are_plain(value) and _are_plain(value.values())
    return kind.__module__ == "numpy" and kind.__qualname__ == "ndarray" and _is_plain_array(value)


def _are_plain(members: Iterable[Any]) -> bool:
    """Whether nobody can change any of these; where all are of one kind, counting tells it in two thirds of the time."""
    kinds = list(map(type, members))
    is_one_kind = bool(kinds) and kinds.count(kinds[0]) == len(kinds)
    return PLAIN.issuperset(kinds[:1] if is_one_kind else kinds)


def _are_all_their_own(members: list[Any]) -> bool:
    """Whether a list holds nothing but such values, and lists that nothing else refers to."""
    return all(
        type(member) in PLAIN or (count == _ONE and type(member) is list and _is_all_its_own(member))
        for member, count in zip(members, _references(members), strict=True)
    )


def _references(members: list[Any]) -> list[int]:
    return [getrefcount(member) for member in members]


(_ONE,) = _references([[]])
"""How many references are seen where nothing but the list holds a member."""


def _is_plain_array(value: Any) -> bool:
    """Whether an array of NumPy's has memory of its own, without gaps, with nothing but numbers in it."""
    return value.flags.forc and _is_plain(value) and (_has_memory(value) or _is_all_of_its_base(value))


def _is_all_of_its_base(view: Any) -> bool:
    """Whether an array is all of one that nothing else refers to: axes were added to it, or left out."""
    if _holders(view) != _ONE_HOLDER:
        return False
    base = view.base
    is_alike = type(base) is type(view) and base.nbytes == view.nbytes
    return is_alike and _has_memory(base) and _is_plain(base)


def _has_memory(array: Any) -> bool:
    return array.flags.owndata and array.base is None


def _is_plain(array: Any) -> bool:
    """Whether an array holds nothing but numbers, and nothing will look at it later."""
    dtype = array.dtype
    return not dtype.hasobject and dtype.metadata is None and getweakrefcount(array) == 0


def _holders(view: Any) -> int:
    base = view.base
    return getrefcount(base)


class _View:
    def __init__(self) -> None:
        self.base = object()


_ONE_HOLDER = _holders(_View())
"""How many references are seen where nothing but a view holds its base."""
