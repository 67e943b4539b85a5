"""Between two operations that are one, a value is handed on as if it had travelled; what nobody else can reach is not copied."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from graphlambda.runtime.code import own
from graphlambda.testing.values import identical

if TYPE_CHECKING:
    from collections.abc import Callable

SHARED = np.arange(1_000.0)
VIEWED = np.ones((1_000, 2))
INNER = [1]

ITS_OWN: dict[str, Callable[[], Any]] = {
    "an array": lambda: np.ones(1_000),
    "an array in Fortran's order": lambda: np.ones((100, 10), order="F"),
    "an array with one more axis": lambda: np.ones(1_000)[:, np.newaxis],
    "an array of another shape, with one axis less": lambda: np.ones((1, 10, 100)).reshape(1, -1)[0],
    "a list of texts": lambda: [str(number) for number in range(1_000)],
    "lists in a list": lambda: [[str(number), [number]] for number in range(1_000)],
    "a dictionary of numbers": lambda: {number: float(number) for number in range(1_000)},
}


@pytest.mark.parametrize("make", ITS_OWN.values(), ids=ITS_OWN)
def test_what_nothing_else_refers_to_is_handed_on_as_it_is(make: Callable[[], Any]) -> None:
    value = make()
    before = id(value)
    handed = own(value)
    assert id(handed) == before


REACHED: dict[str, Callable[[], Any]] = {
    "an array that another name holds": lambda: SHARED,
    "a view": lambda: VIEWED[:, 0],
    "a view of all": lambda: VIEWED[:],
    "a part of an array": lambda: np.ones(2_000)[:1_000],
    "an array read backwards": lambda: np.ones(1_000)[::-1],
    "an array of objects": lambda: np.array([[], []], dtype=object),
    "an array in a list": lambda: [SHARED],
    "one list twice in a list": lambda: [INNER, [INNER]],
    "a list in a list that another name holds": lambda: [[1], INNER],
    "a tuple in a list": lambda: [([1],)],
    "a frame": lambda: pd.DataFrame({"a": SHARED}),
}


@pytest.mark.parametrize("make", REACHED.values(), ids=REACHED)
def test_what_others_may_reach_is_copied(make: Callable[[], Any]) -> None:
    value = make()
    handed = own(value)
    assert handed is not value
    assert identical(handed, value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        assert not np.shares_memory(handed, value)


def test_an_array_with_a_view_elsewhere_is_copied() -> None:
    value = np.ones(1_000)
    view = value[:10]
    handed: Any = own(value)
    handed[:] = 2
    assert view.tolist() == [1.0] * 10


@pytest.mark.parametrize("elsewhere", [lambda base: base, lambda base: base[:10], memoryview, weakref.ref])
def test_a_view_of_all_is_copied_while_something_else_reaches_its_array(
    elsewhere: Callable[[Any], Any],
) -> None:
    base = np.ones(1_000)
    value, other = base[np.newaxis], elsewhere(base)
    assert other is not None
    del base
    handed: Any = own(value)
    assert not np.shares_memory(handed, value)


def test_an_array_that_something_will_look_at_later_is_copied() -> None:
    value = np.ones(1_000)
    later = weakref.ref(value)
    handed: Any = own(value)
    handed[:] = 2
    seen = later()
    assert seen is not None
    assert seen[0] == 1
