"""A user's exception comes home as itself, with where it happened; nothing unsigned is un-pickled."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import AuthenticationError, MissingModuleError, StoreError, TaskError
from graphlambda.runtime.frame import encode
from graphlambda.runtime.wire import context, error_name
from graphlambda.scheduler.failures import Culprit, exception_of

if TYPE_CHECKING:
    from pathlib import Path

KEY = bytes(32)
CULPRIT = Culprit(task=7, key="('x', 1)", operation="double", function="gl-a-double-1")
WHERE = "in task ('x', 1) of operation double (function gl-a-double-1)"


class NotQuiteError(ValueError):
    """An exception of the user's own class."""


def framed(error: object, *, key: bytes = KEY, task: int = 7) -> str:
    return b64encode(encode(error, key=key, context=context("r", error_name(task)))).decode()


def wire(**fields: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "kind": "user",
        "type": "builtins.ValueError",
        "message": "no",
        "frame": None,
        "frames": [],
    }
    return {**plain, **fields}


def raised(error: dict[str, Any], locate: Any = lambda *_: None) -> Exception:
    return exception_of(error, CULPRIT, run="r", key=KEY, locate=locate)


def test_the_users_own_exception_comes_back_as_its_own_class() -> None:
    error = raised(wire(frame=framed(NotQuiteError("no", 3))))
    assert (type(error), error.args, error.__notes__) == (NotQuiteError, ("no", 3), [WHERE])


def test_the_remote_traceback_is_told_in_the_users_own_source_lines(tmp_path: Path) -> None:
    source = tmp_path / "mine.py"
    source.write_text("def double(x):\n    return 2 * x / 0\n")
    frames = [["<00112233aabbccdd>", 6, 1, "double"], ["numpy/core.py", 4, 12, "divide"]]
    error = raised(
        wire(
            frame=framed(ZeroDivisionError("by zero")),
            type="builtins.ZeroDivisionError",
            message="by zero",
            frames=frames,
        ),
        lambda place, offset: (
            (str(source), 2, "double") if (place, offset) == ("<00112233aabbccdd>", 6) else None
        ),
    )
    where, traceback = error.__notes__
    assert where == WHERE
    assert traceback.splitlines() == [
        "Traceback in the function (most recent call last):",
        f'  File "{source}", line 2, in double',
        "    return 2 * x / 0",
        '  File "numpy/core.py", line 12, in divide',
        "ZeroDivisionError: by zero",
    ]


def test_a_recursions_frame_is_told_as_often_as_python_tells_it() -> None:
    frames = [["operation.py", 0, 10, "operation"], *[["mine.py", 4, 2, "down"]] * 90]
    *_, told = raised(wire(type="builtins.RecursionError", message="deep", frames=frames)).__notes__
    assert told.splitlines() == [
        "Traceback in the function (most recent call last):",
        '  File "operation.py", line 10, in operation',
        *['  File "mine.py", line 2, in down'] * 3,
        "  [Previous line repeated 87 more times]",
        "RecursionError: deep",
    ]


@pytest.mark.parametrize(
    "frame", [framed(ValueError("no"), key=bytes(31) + b"1"), framed(ValueError("no"), task=8), "AAAA"]
)
def test_an_exception_that_is_not_signed_for_its_task_is_not_unpickled(frame: str) -> None:
    assert type(raised(wire(frame=frame))) is AuthenticationError


@pytest.mark.parametrize(
    ("message", "told"), [("odd", "mylib.StrangeError: odd"), ("", "mylib.StrangeError")]
)
def test_an_exception_that_cannot_come_home_is_told_as_a_task_error(message: str, told: str) -> None:
    error = raised(wire(type="mylib.StrangeError", message=message))
    assert (type(error), str(error)) == (TaskError, f"task ('x', 1) raised {told}")


@pytest.mark.parametrize("kind", [SystemExit, StopIteration, StopAsyncIteration])
def test_what_would_end_the_client_or_its_loop_is_told_as_a_task_error(kind: type[BaseException]) -> None:
    error = raised(wire(frame=framed(kind(3)), type=f"builtins.{kind.__name__}", message="3"))
    assert (type(error), str(error)) == (TaskError, f"task ('x', 1) raised {kind.__name__}: 3")


def test_a_missing_path_names_the_remedies() -> None:
    error = raised(
        wire(
            kind="missing_path", frame=framed(FileNotFoundError(2, "none", "/data/a.csv")), path="/data/a.csv"
        )
    )
    assert type(error) is FileNotFoundError
    assert "/data/a.csv" in error.__notes__[-1]
    assert "paths=" in error.__notes__[-1]
    assert "s3://" in error.__notes__[-1]


@pytest.mark.parametrize(
    ("fields", "kind", "said"),
    [
        (
            {"kind": "missing_module", "module": "scipy"},
            MissingModuleError,
            "does not hold the module 'scipy'",
        ),
        ({"kind": "store", "message": "cannot read v-1"}, StoreError, "cannot read v-1"),
        ({"kind": "lost", "message": "cannot read v-1"}, StoreError, "lost a value"),
        ({"kind": "authentication", "message": "damaged"}, AuthenticationError, "damaged"),
        ({"kind": "unshippable", "message": "a lock"}, TaskError, "a lock"),
    ],
)
def test_our_own_failures_have_their_own_classes(
    fields: dict[str, Any], kind: type[Exception], said: str
) -> None:
    error = raised(wire(**fields))
    assert type(error) is kind
    assert said in str(error)
    assert error.__notes__ == [WHERE]
