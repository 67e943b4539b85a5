"""Exceptions come home with what the client needs to raise them as themselves."""

from __future__ import annotations

import pickle
import urllib.error
import xmlrpc.client
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.runtime.failures import dumps_in_parts, is_like

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]


def failing(started: BareFunction, requests: Requests, *bound: Any) -> dict[str, Any]:
    """Return the error of a request's only task."""
    (outcome,) = started(requests.request([("l", value) for value in bound]))["outcomes"]
    error: dict[str, Any] = outcome["error"]
    return error


def test_an_exception_keeps_its_arguments_and_its_place(function: Start, requests: Requests) -> None:
    files = {"user/deep.py": "def fall(x):\n    raise KeyError(x, 'gone')\n"}
    error = failing(
        function("import deep\ndef operation(p0):\n    return deep.fall(p0)\n", files=files), requests, 7
    )
    raised = requests.decode(error.pop("frame"), "e-0")
    assert (type(raised), raised.args) == (KeyError, (7, "gone"))
    offsets = [place.pop(1) for place in error["frames"]]
    assert all(offset > 0 for offset in offsets)
    assert error == {
        "kind": "user",
        "type": "builtins.KeyError",
        "message": "(7, 'gone')",
        "frames": [["operation.py", 3, "operation"], ["deep.py", 2, "fall"]],
    }


def test_by_value_code_is_named_by_its_fingerprint(function: Start, requests: Requests) -> None:
    source = "code = compile('def operation(): 1 / 0', '<0123456789abcdef>', 'exec')\nexec(code)\n"
    error = failing(function(source), requests)
    assert [(file, name) for file, _, _, name in error["frames"]] == [("<0123456789abcdef>", "operation")]


def test_an_exception_that_cannot_be_rebuilt_comes_as_text(function: Start, requests: Requests) -> None:
    source = """
class Odd(Exception):
    def __new__(cls, a, b):
        return super().__new__(cls)
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")
def operation():
    raise Odd(1, 2)
"""
    error = failing(function(source), requests)
    assert (error["type"], error["message"], error["frame"]) == ("graphlambda_operation.Odd", "1 2", None)


@pytest.mark.parametrize(
    "made",
    [
        "xmlrpc.client.Fault(3, 'no')",
        "urllib.error.ContentTooShortError('short', b'abc')",
        "ExceptionGroup('all', [xmlrpc.client.Fault(3, 'no')])",
    ],
)
def test_an_exception_whose_constructor_asks_for_other_arguments_comes_with_its_attributes(
    function: Start, requests: Requests, made: str
) -> None:
    source = f"import urllib.error, xmlrpc.client\ndef operation():\n    raise {made}\n"
    raised = requests.decode(failing(function(source), requests)["frame"], "e-0")
    wanted = eval(made, {"urllib": urllib, "xmlrpc": xmlrpc})
    assert (type(raised), str(raised), vars(raised)) == (type(wanted), str(wanted), vars(wanted))


def test_a_cause_whose_constructor_asks_for_other_arguments_comes_along(
    function: Start, requests: Requests
) -> None:
    source = (
        "import xmlrpc.client\ndef operation():\n    raise KeyError(7) from xmlrpc.client.Fault(3, 'no')\n"
    )
    raised = requests.decode(failing(function(source), requests)["frame"], "e-0")
    assert (repr(raised), repr(raised.__cause__)) == ("KeyError(7)", "<Fault 3: 'no'>")


def test_a_message_that_the_constructor_makes_is_made_once(
    function: Start, requests: Requests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "class ToldError(Exception):\n    def __init__(self, text): super().__init__(f'told: {text}')\n"
    (tmp_path / "telling.py").write_text(told)
    monkeypatch.syspath_prepend(tmp_path)
    source = "from telling import ToldError\ndef operation():\n    raise ToldError('no')\n"
    error = failing(function(source, files={"user/telling.py": told}), requests)
    assert requests.decode(error["frame"], "e-0").args == ("told: no",)


def test_the_path_of_an_error_with_a_constructor_of_its_own_comes_home(tmp_path: Path) -> None:
    class AbsentError(FileNotFoundError):
        def __init__(self, path: Path) -> None:
            super().__init__(2, "absent", str(path))

    error = AbsentError(tmp_path)
    rebuilt = pickle.loads(dumps_in_parts(error))
    assert is_like(rebuilt, error)
    assert (rebuilt.errno, rebuilt.filename) == (2, str(tmp_path))


def test_an_exception_brings_what_it_was_raised_from(function: Start, requests: Requests) -> None:
    source = """
def operation():
    try:
        try:
            int("x")
        finally:
            {}["gone"]
    except KeyError as error:
        raise RuntimeError("outer") from error
"""
    raised = requests.decode(failing(function(source), requests)["frame"], "e-0")
    cause = raised.__cause__
    assert [repr(raised), repr(cause)] == ["RuntimeError('outer')", "KeyError('gone')"]
    assert repr(cause.__context__) == repr(ValueError("invalid literal for int() with base 10: 'x'"))


def test_an_exception_comes_without_a_cause_that_cannot_travel(function: Start, requests: Requests) -> None:
    source = "def operation():\n    raise KeyError(7) from ValueError(open(__file__))\n"
    raised = requests.decode(failing(function(source), requests)["frame"], "e-0")
    assert (repr(raised), raised.__cause__) == ("KeyError(7)", None)


def test_an_exception_whose_text_raises_is_described(function: Start, requests: Requests) -> None:
    source = "class Mute(Exception):\n    def __str__(self): 1 / 0\ndef operation():\n    raise Mute\n"
    assert failing(function(source), requests)["message"] == "(its __str__ raised ZeroDivisionError)"


def test_an_exception_whose_text_is_never_twice_the_same_comes_home(
    function: Start, requests: Requests
) -> None:
    error = failing(function("def operation():\n    raise ValueError(object())\n"), requests)
    assert type(requests.decode(error["frame"], "e-0")) is ValueError


def test_a_missing_module_is_named_through_a_librarys_own_error(function: Start, requests: Requests) -> None:
    source = """
def operation():
    try:
        import fastparquet
    except ImportError as error:
        raise ImportError("install fastparquet") from error
"""
    error = failing(function(source), requests)
    assert (error["kind"], error["module"]) == ("missing_module", "fastparquet")


def test_a_path_that_is_not_there_is_named(function: Start, requests: Requests, tmp_path: Path) -> None:
    started = function("def operation(p0):\n    return open(p0).read()\n")
    missing = failing(started, requests, str(tmp_path / "data.csv"))
    assert (missing["kind"], missing["path"]) == ("missing_path", str(tmp_path / "data.csv"))
    assert isinstance(requests.decode(missing["frame"], "e-0"), FileNotFoundError)
    assert failing(started, requests, "data.csv")["path"] == "data.csv"


def test_a_deep_recursion_comes_home_in_both_its_ends(function: Start, requests: Requests) -> None:
    error = failing(function("def operation(p0):\n    return operation(p0 + 1)\n"), requests, 0)
    assert error["type"] == "builtins.RecursionError"
    assert len(error["frames"]) == 100


def test_ten_thousand_failures_fit_into_a_reply(function: Start, requests: Requests) -> None:
    started = function("def operation(p0):\n    raise ValueError('x' * 10_000)\n")
    outcomes = started(requests.request(*[[("l", i)] for i in range(10_000)]))["outcomes"]
    assert [len(o["error"]["message"]) for o in outcomes] == [8192] * 16 + [200] * 9984
    assert sum(o["error"]["frame"] is not None for o in outcomes) == 16
    assert len(str(outcomes)) < 6_000_000
