"""What a task gave, in a form that can travel: a value that is computed as it is read is computed here.

In: what an operation returned. Out: the same, or an iterator over what it gave. Must not read an iterator that
travels as it is, which may have no end.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import IOBase
from itertools import accumulate, dropwhile, filterfalse, groupby, islice, starmap, takewhile
from types import CoroutineType, GeneratorType

from .faults import UnshippableValueError
from .pickling import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MOST_ITEMS = 100_000_000
"""How many items an iterator may give; one without an end meets this, or the end of the function's memory."""

_CALLING = (map, filter, accumulate, dropwhile, filterfalse, groupby, starmap, takewhile)
"""Iterators that pickle, but call the user's functions: where the task runs, not where it is read."""


def materialised(value: Any, most_items: int = MOST_ITEMS) -> Any:
    """Return a value that can travel for one that would be computed as it is read: its reader iterates as before.

    An iterator that pickles, such as `itertools.count()`, stays itself.

    Raises:
        UnshippableValueError: an iterator gave more than `most_items`; and what computing the value raises.
    """
    if isinstance(value, CoroutineType):
        import asyncio  # noqa: PLC0415  (30 ms, for those who use it)

        value = asyncio.run(value)
    if isinstance(value, Iterator) and not isinstance(value, IOBase):
        return value if _travels(value) else iter(_drained(value, most_items))
    if type(value) in (list, tuple) and value and isinstance(value[0], Iterator):
        return type(value)(materialised(member, most_items) for member in value)
    return value


def _drained(iterator: Iterator[Any], most_items: int) -> list[Any]:
    items = [materialised(item, most_items) for item in islice(iterator, most_items)]
    for _ in islice(iterator, 1):
        kind = type(iterator)
        raise UnshippableValueError(
            f"an iterator of type {kind.__module__}.{kind.__qualname__} gave more than {most_items:,} items; "
            "has it an end?"
        )
    return items


def _travels(iterator: Iterator[Any]) -> bool:
    if isinstance(iterator, (GeneratorType, *_CALLING)):
        return False
    try:
        dumps(iterator, _refused, buffer_callback=lambda _: False)  # False: copies no array
    except Exception:  # noqa: BLE001  (a user's __reduce__ may raise anything: it is read instead)
        return False
    return True


def _refused(value: Any) -> Any:
    if isinstance(value, _CALLING):
        raise UnshippableValueError("it calls functions as it is read")
    return NotImplemented
