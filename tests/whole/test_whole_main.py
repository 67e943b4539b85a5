"""Objects of a script (`__main__`) travel to functions and come home as themselves: classes, exceptions, values."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.whole.conftest import Scripts

if TYPE_CHECKING:
    from pathlib import Path

SCRIPT = '''
import json, traceback
from dataclasses import dataclass
from enum import Enum
import dask.array as da
import dask.bag as db
import numpy as np
from dask import delayed
import graphlambda

found = {}

class Point:
    def __init__(self, x):
        self.x = x
    def moved(self, by):
        return Point(self.x + by)

@dataclass(frozen=True)
class Pair:
    left: int
    right: int

class Colour(Enum):
    RED = 1

class Refused(ValueError):
    """Takes more than a message."""
    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

class Odd(Exception):
    """Does not rebuild from its args."""
    def __init__(self, code, *, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code

def failing(number):
    if number == 3:
        raise Refused(number, "too large")  # the user's own line
    return number

def odd():
    raise Odd(7, reason="peculiar")

def from_another():
    try:
        {}["absent"]
    except KeyError as error:
        raise Refused(1, "wrapped") from error

def holding_what_cannot_travel():
    import threading
    error = RuntimeError("holds a lock")
    error.lock = threading.Lock()
    raise error

def caught(collection):
    try:
        graphlambda.compute(collection)
    except BaseException as error:
        return error
    raise AssertionError("it did not fail")

(point,) = graphlambda.compute(delayed(Point)(3).moved(4))
found["instance"] = [isinstance(point, Point), type(point) is Point, point.x]
found["dataclass"] = graphlambda.compute(delayed(Pair)(1, 2)) == (Pair(1, 2),)
found["enum"] = graphlambda.compute(delayed(lambda: Colour.RED)())[0] is Colour.RED
found["argument"] = graphlambda.compute(delayed(lambda pair: pair.left + pair.right)(Pair(3, 4)))
found["in a bag"] = [p.x for p in graphlambda.compute(db.from_sequence([Point(1), Point(2)]).map(Point.moved, 5))[0]]
found["in an array"] = graphlambda.compute(da.from_array(np.array([Colour.RED] * 3, dtype=object), chunks=2))[0].tolist() == [Colour.RED] * 3

try:
    graphlambda.compute([delayed(failing)(number, dask_key_name=f"failing-{number}") for number in range(5)])
except Refused as error:
    found["exception"] = [error.code, error.reason, list(error.args)]
    found["notes"] = "\\n".join(error.__notes__)

error = caught(delayed(odd)())
found["odd"] = [type(error).__name__, str(error), getattr(error, "code", None)]
error = caught(delayed(from_another)())
found["cause"] = [type(error).__name__, repr(error.__cause__)]
error = caught(delayed(holding_what_cannot_travel)())
found["unpicklable"] = [type(error).__name__, str(error)]
error = caught(db.from_sequence(range(4), npartitions=2).map(lambda v: 1 // (v - 2)))
found["lambda"] = [type(error).__name__, str(error), "lambda v: 1 // (v - 2)" in "\\n".join(error.__notes__)]

class Counter:
    def __init__(self):
        self.count = 0
    def __call__(self, _value):
        self.count += 1
        return self.count

K = 3
def uses_global(value):
    return value * K
first = graphlambda.compute(delayed(uses_global)(2))
K = 5
found["global"] = [*first, *graphlambda.compute(delayed(uses_global)(2))]
found["callable instance"] = list(graphlambda.compute(delayed(Counter())(1), delayed(Counter())(1)))

print(json.dumps(found))
'''


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what one script found out: starting one for each claim would take a minute more."""
    folder: Path = tmp_path_factory.mktemp("main")
    return json.loads(Scripts(folder).run(SCRIPT).splitlines()[-1])


def test_instances_of_a_scripts_classes_are_instances_of_them_when_they_come_home(found: Any) -> None:
    assert found["instance"] == [True, True, 7]
    assert found["dataclass"]
    assert found["enum"]


def test_instances_of_a_scripts_classes_travel_as_arguments_and_in_collections(found: Any) -> None:
    assert found["argument"] == [7]
    assert found["in a bag"] == [6, 7]
    assert found["in an array"]


def test_a_scripts_own_exception_is_caught_by_its_class_with_its_attributes(found: Any) -> None:
    assert found["exception"] == [3, "too large", [3, "too large"]]


def test_an_exceptions_notes_name_the_task_and_show_the_users_own_line(found: Any) -> None:
    assert "in task failing-3 of operation failing-refused (function gl-" in found["notes"]
    assert 'script.py", line ' in found["notes"]
    assert 'raise Refused(number, "too large")  # the user\'s own line' in found["notes"]
    assert "Refused: (3, 'too large')" in found["notes"]


def test_a_scripts_own_exception_that_its_args_do_not_rebuild_is_itself_with_its_attributes(
    found: Any,
) -> None:
    assert found["odd"] == ["Odd", "7: peculiar", 7]


def test_an_exception_comes_with_what_it_was_raised_from(found: Any) -> None:
    assert found["cause"] == ["Refused", "KeyError('absent')"]


def test_an_exception_that_does_not_pickle_is_told_by_a_task_error(found: Any) -> None:
    assert found["unpicklable"][0] == "TaskError"
    assert "RuntimeError: holds a lock" in found["unpicklable"][1]


def test_a_lambdas_line_is_found(found: Any) -> None:
    assert found["lambda"] == ["ZeroDivisionError", "integer division or modulo by zero", True] or found[
        "lambda"
    ] == [
        "ZeroDivisionError",
        "division by zero",
        True,
    ]


def test_a_changed_global_is_seen_by_the_next_run(found: Any) -> None:
    assert found["global"] == [6, 10]


def test_a_callable_object_is_each_tasks_own(found: Any) -> None:
    assert found["callable instance"] == [1, 1]
