"""What Dask's bags do with partitions, with the standard library alone.

In: partitions: lists, or iterators. Out: partitions and results. Must not import NumPy: who has bags may have none.
"""

from __future__ import annotations

import itertools
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NO_RESULT = b"graphlambda: an empty partition has no result"
"""Travels from a function to another as it is: no module is needed to read it."""


def apply(func: Any, args: Any, kwargs: Any = None) -> Any:
    """Call a function with arguments that come as containers."""
    return func(*args, **kwargs) if kwargs else func(*args)


def reify(seq: Any) -> Any:
    """Return a partition as a list, its members, too, where these are iterators."""
    if isinstance(seq, Iterator):
        seq = list(seq)
    for first in seq:
        return list(map(list, seq)) if isinstance(first, Iterator) else seq
    return seq


def map_chunk(f: Any, iters: Any, iter_kwarg_keys: Any = None, kwargs: Any = None) -> Any:
    """Call a function on each member of a partition, or of several side by side."""
    called = partial(f, **kwargs) if kwargs else f
    return _Mapped(called, [iter(each) for each in iters], iter_kwarg_keys or ())


class _Mapped(Iterator):  # type: ignore[type-arg]
    """An iterator, not a generator: a StopIteration of the user's function ends it, another exception does not."""

    def __init__(self, function: Any, iterators: list[Iterator[Any]], names: Any) -> None:
        self._function = function
        self._iterators = iterators
        self._names = names

    def __next__(self) -> Any:
        try:
            values = [next(iterator) for iterator in self._iterators]
        except StopIteration:
            self._check_ends()
            raise
        positional = len(values) - len(self._names)
        named = dict(zip(self._names, values[positional:], strict=False))
        return self._function(*values[:positional], **named)

    def __reduce__(self) -> Any:
        raise TypeError("it calls the user's function as it is read: that is for where it was made")

    def _check_ends(self) -> None:
        if len(self._iterators) <= 1:
            return
        for iterator in self._iterators:
            if not isinstance(iterator, itertools.repeat) and any(
                True for _ in itertools.islice(iterator, 1)
            ):
                raise ValueError(
                    "map called with multiple bags that aren't identically partitioned. "
                    "Please ensure that all bag arguments have the same partition lengths"
                )


def starmap_chunk(f: Any, x: Any, kwargs: Any) -> Any:
    """Call a function on each member of a partition, whose parts are its arguments."""
    return itertools.starmap(partial(f, **kwargs) if kwargs else f, x)


def empty_safe_apply(func: Any, part: Any, is_last: Any) -> Any:
    """Call a function on a partition; one without members has no result, unless it is all there is."""
    if isinstance(part, Iterator):
        first = list(itertools.islice(part, 1))
        if not first:
            return func(part) if is_last else _NO_RESULT
        return func(itertools.chain(first, part))
    if not is_last and _is_empty(part):
        return _NO_RESULT
    return func(part)


def empty_safe_aggregate(func: Any, parts: Any, is_last: Any) -> Any:
    """Call a function on the results of those partitions that have one."""
    return empty_safe_apply(func, (part for part in parts if not _is_no_result(part)), is_last)


def _is_no_result(part: Any) -> bool:
    return type(part) is bytes and part == _NO_RESULT


def _is_empty(part: Any) -> bool:
    """Tell whether a partition has no members: by its length, its non-zero members or its shape, as it has one."""
    for ask in (lambda: len(part) == 0, lambda: part.nnz == 0, lambda: 0 in part.shape):
        with suppress(Exception):  # what a partition may be, and raise when asked, is the user's choice
            return bool(ask())
    return False


def dictitems(d: Any) -> Any:
    """Return the pairs of a dict."""
    return list(d.items())


def merge_frequencies(seqs: Any) -> Any:
    """Add up the counts of several dicts."""
    dicts = list(seqs) if isinstance(seqs, Iterable) else seqs
    if not dicts:
        return {}
    if len(dicts) == 1:
        return dicts[0]
    total: dict[Any, Any] = defaultdict(int)
    total.update(dicts[0])
    for counts in dicts[1:]:
        for member, count in counts.items():
            total[member] += count
    return total


def make_group(k: Any, stage: Any) -> Any:
    """Return what tells the group of a hashed member in one stage of a shuffle: a digit of its hash."""

    def digit(x: Any) -> Any:
        return x[0] // k**stage % k

    return digit


def safe_take(n: Any, b: Any, warn: Any = True) -> Any:
    """Return the first members; warn where there are not so many."""
    taken = list(itertools.islice(b, n))
    if warn and len(taken) != n:
        warnings.warn(
            f"Insufficient elements for `take`. {n} elements requested, only {len(taken)} elements available. "
            "Try passing larger `npartitions` to `take`.",
            stacklevel=2,
        )
    return taken


def getitem(x: Any, key: Any) -> Any:
    """Return a member by its key, which may be named."""
    return x[key]


def foldby_combine2(combine: Any, acc: Any, x: Any) -> Any:
    """Combine with the value of a (key, value) pair."""
    return combine(acc, x[1])


def groupby_tasks_group_hash(x: Any, hash: Any, grouper: Any) -> Any:  # noqa: A002 - graphs name it
    """Return a member with the hash of its group."""
    return hash(grouper(x)), x


def var_chunk(seq: Any) -> Any:
    """Return the sum of squares, the sum and the number of members."""
    squares, total, count = 0.0, 0.0, 0
    for member in seq:
        squares += member**2
        total += member
        count += 1
    return squares, total, count


def var_aggregate(x: Any, ddof: Any) -> Any:
    """Return the variance of all members."""
    squares, totals, counts = zip(*x, strict=False)
    count = sum(counts)
    variance = float(sum(squares)) / count - (float(sum(totals)) / count) ** 2
    return variance * count / (count - ddof)
