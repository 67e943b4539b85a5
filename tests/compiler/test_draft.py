"""Keys become integers; a key that nothing holds is refused, however much it looks like one of a layer by rule."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from graphlambda.compiler.draft import Draft
from graphlambda.errors import MissingKeyError

MANY = 40
"""So many keys are looked up by arithmetic."""

OTHER_NUMBERS = [1, True, 1.0, np.int64(1), np.int8(1), np.float64(1.0), Decimal(1)]
MISSING = [-1, 3, 0.9, -0.1, float("nan"), float("inf"), "1", None, (1,), 2**70, np.int64(3), 1j]


def draft() -> Draft:
    made = Draft()
    made.add_data("other", 1)
    made.add_block("x", (2, 3))
    made.add_block("scalar", ())
    return made


def refused(made: Draft, number: int) -> MissingKeyError:
    needed = np.zeros(made.count, bool)
    needed[number] = True
    with pytest.raises(MissingKeyError) as caught:
        made.refuse_absent(needed)
    return caught.value


def test_keys_of_a_layer_by_rule_lie_in_order() -> None:
    keys: list[Any] = [("x", row, place) for row in range(2) for place in range(3)]
    assert [draft().lookup(key) for key in keys] == [1, 2, 3, 4, 5, 6]
    assert draft().lookup_all(keys * MANY).tolist() == [1, 2, 3, 4, 5, 6] * MANY
    assert draft().lookup_all([("scalar",)] * MANY).tolist() == [7] * MANY


@pytest.mark.parametrize("part", OTHER_NUMBERS, ids=repr)
def test_what_equals_an_integer_is_the_same_key(part: Any) -> None:
    assert draft().lookup(("x", 1, part)) == 5
    assert draft().lookup_all([("x", 1, 1), ("x", 1, part)] * MANY).tolist() == [5, 5] * MANY


@pytest.mark.parametrize("part", MISSING, ids=repr)
def test_a_key_outside_a_layer_or_between_its_blocks_is_refused(part: Any) -> None:
    key = ("x", 0, part)
    alone, among_many = draft(), draft()
    number = alone.lookup(key)
    ids = among_many.lookup_all([*[("x", 0, 0)] * MANY, key]).tolist()
    assert ids == [1] * MANY + [number]
    told = refused(alone, number)
    assert refused(among_many, ids[-1]).args == told.args
    assert f"needs {key!r}, which it does not hold" in told.what


@pytest.mark.parametrize("key", [("x", 0), ("x", 0, 0, 0), ("x",), ("y", 0, 0), "x", ()], ids=repr)
def test_a_key_of_another_length_or_name_is_refused(key: Any) -> None:
    made = draft()
    (number,) = set(made.lookup_all([key] * MANY).tolist())
    assert f"needs {key!r}, which it does not hold" in refused(made, number).what


def test_a_missing_key_that_no_output_needs_is_not_refused() -> None:
    made = draft()
    number = made.lookup("absent")
    needed = np.ones(made.count, bool)
    needed[number] = False
    made.refuse_absent(needed)
