"""Call Dask's function and its kernel with the same arguments, and say where they differ.

In: a reference of the table. Out: differences, as text. Runs with whichever Dask is first on the path.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import itertools
import threading
import warnings
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from graphlambda.compiler.kernels import RELEASES, kernels_for
from graphlambda.kernels import bags
from tests.kernels.more_cases import CASES

if TYPE_CHECKING:
    import types

    from graphlambda.compiler.kernels import Reference

NOTHING = "an empty partition"
_MOST_ITEMS = 50


def references() -> list[Reference]:
    """Return Dask's functions that have a kernel."""
    return sorted(kernels_for(RELEASES[-1]))


def differences(reference: Reference, most: int = 1_000_000) -> tuple[int, list[str]]:
    """Return how many calls were made, about `most` at most, and those whose outcomes differ."""
    theirs, ours = (importlib.import_module(module) for module in (reference[0], _home(reference)))
    name = reference[1]
    found = [] if _signature(theirs, name) == _signature(ours, name) else [f"{name}: its parameters differ"]
    seed = zlib.crc32(":".join(reference).encode())
    make = CASES[":".join(reference)]
    houses = theirs, _House(theirs)
    calls = list(zip(*(make(np.random.default_rng(seed), house) for house in houses), strict=True))
    chosen = range(0, len(calls), -(-len(calls) // most))
    for number, (call, same_call) in ((number, calls[number]) for number in chosen):
        wanted, given = outcome(_uncurried(theirs, name), *call), outcome(getattr(ours, name), *same_call)
        if not same(wanted, given):
            found.append(
                f"{name}, call {number}: {call!r:.600}\n  Dask's: {wanted!r:.600}\n  ours:   {given!r:.600}"
            )
    return len(chosen), found


class _House:
    """Gives the kernel of a function, where it has one, and else Dask's own."""

    def __init__(self, theirs: types.ModuleType) -> None:
        self._theirs = theirs
        self._ours = {
            each[1]: importlib.import_module(_home(each))
            for each in references()
            if each[0] == theirs.__name__
        }

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ours.get(name, self._theirs), name)


def _home(reference: Reference) -> str:
    return kernels_for(RELEASES[-1])[reference][0].replace("graphlambda_kernels", "graphlambda.kernels")


def _signature(module: types.ModuleType, name: str) -> list[tuple[str, Any, str]]:
    parameters = inspect.signature(_uncurried(module, name), follow_wrapped=False).parameters.values()
    return [(each.name, each.kind, _spelled(each.default)) for each in parameters]


def _uncurried(module: types.ModuleType, name: str) -> Any:
    """Return a function of a module: one that calls itself again with fewer arguments would hide what it raises."""
    function = getattr(module, name)
    return getattr(function, "func", function)


def _spelled(default: Any) -> str:
    return getattr(default, "__name__", repr(default))


def outcome(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> tuple[Any, ...]:
    """Return what a call gives or raises, what it changes in its arguments and what it warns of."""
    arguments, keywords = _own(arguments), _own(keywords)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = _read(function(*arguments, **keywords))
        except Exception as error:  # noqa: BLE001 - whatever Dask raises, ours should
            value = ("raised", type(error), str(error), type(error.__cause__))
    return value, [(each.category, str(each.message)) for each in caught]


def _own(value: Any) -> Any:
    """Return a copy of arguments; iterators, locks and functions are made or taken anew."""
    if isinstance(value, tuple | list):
        return type(value)(map(_own, value))
    if type(value) is dict:
        return {key: _own(member) for key, member in value.items()}
    if isinstance(value, type(threading.Lock())):
        return threading.Lock()
    if isinstance(value, np.ndarray | np.random.BitGenerator | np.random.SeedSequence):
        return copy.deepcopy(value) if value is not np.ma.masked else value
    return value


def _read(value: Any) -> Any:
    """Return a value that can be compared: iterators as what they give, a group's function as its digits."""
    if inspect.isfunction(value):
        return [value((number, None)) for number in range(0, 5000, 77)]
    if isinstance(value, type) or (type(value) is bytes and value == bags._NO_RESULT):
        return NOTHING
    if isinstance(value, Iterator):
        return ["items", *map(_read, _items(value))]
    if type(value) in (list, tuple):
        return type(value)(map(_read, value))
    return value


def _items(iterator: Iterator[Any]) -> Iterator[Any]:
    """Yield items, and exceptions in their places: an iterator may go on after one."""
    for _ in range(_MOST_ITEMS):
        try:
            yield next(iterator)
        except StopIteration:
            return
        except Exception as error:  # noqa: BLE001 - whatever Dask raises, ours should
            yield type(error), str(error)


def same(a: Any, b: Any) -> bool:
    """Tell whether two outcomes are one to the bit: types, dtypes, masks, layouts."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return _same_arrays(a, b)
    if isinstance(a, np.generic):
        return a.dtype == b.dtype and (a.tobytes() == b.tobytes() or bool(a != a and b != b))  # noqa: PLR0124 - NaN
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(itertools.starmap(same, zip(a, b, strict=True)))
    return bool(a == b or (a != a and b != b))  # noqa: PLR0124 - NaN


def _same_arrays(a: Any, b: Any) -> bool:
    alike = a.dtype == b.dtype and a.shape == b.shape and _flags(a) == _flags(b)
    if not alike:
        return False
    if isinstance(a, np.ma.MaskedArray):
        if a is np.ma.masked or b is np.ma.masked:
            return a is b
        fills = same(np.asarray(a.fill_value), np.asarray(b.fill_value))
        return fills and same(np.ma.getmask(a), np.ma.getmask(b)) and same(_plain(a.data), _plain(b.data))
    if a.dtype.hasobject:
        return same(a.tolist(), b.tolist())
    return bool(a.tobytes() == b.tobytes())


def _plain(array: Any) -> Any:
    return np.asarray(array)


def _flags(array: Any) -> tuple[bool, ...]:
    flags = array.flags
    return flags.c_contiguous, flags.f_contiguous, flags.writeable
