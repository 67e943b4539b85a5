"""Shipped code has no lines of its own, and yet every traceback works: in a function as Python's own, at home in the user's lines."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import pytest
from dask._task_spec import Task

from graphlambda.compiler import compile_graph
from graphlambda.compiler.code import locate, stripped
from graphlambda.testing.inline import run_inline

if TYPE_CHECKING:
    from pathlib import Path

SHORT = "def f(x):\n    return 1 / x\n"
LONG = "# f\n\ndef f(x):\n    return 1/x  # of two numbers\n"


def defined(file: Path, source: str) -> Any:
    """Return `f` of a file, as `exec` makes it."""
    file.write_text(source)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, file, "exec"), names)
    return names["f"]


def located(*functions: Any) -> Any:
    """Return where the failure of the last function's task is said to be, once the tasks of all are compiled."""
    program = compile_graph(
        {n: Task(n, each, 0) for n, each in enumerate(functions)}, list(range(len(functions)))
    )
    with pytest.raises(ZeroDivisionError) as caught:
        run_inline(program)
    last = traceback.walk_tb(caught.value.__traceback__)
    code, offset = [(frame.f_code, frame.f_lasti) for frame, _ in last][-1]
    return locate(code.co_filename, offset)


def test_code_that_formats_its_own_traceback_does_so_in_a_function() -> None:
    def formatted(long: Any) -> str:
        try:
            return long[0] + long[1] + long[2] + long[3] + long[4] + long[5] + long[6]  # type: ignore[no-any-return]
        except IndexError:
            return traceback.format_exc()

    (text,) = run_inline(compile_graph({"a": Task("a", formatted, [1])}, ["a"]))
    assert text.splitlines()[1].endswith(", line 1, in formatted")
    assert text.splitlines()[-1] == "IndexError: list index out of range"


def test_all_of_a_shipped_function_is_on_line_one() -> None:
    for function in (locate, traceback.format_exc, test_all_of_a_shipped_function_is_on_line_one):
        code = stripped(function.__code__)
        assert {position[0] for position in code.co_positions()} == {1}
        assert len(list(code.co_positions())) == len(code.co_code) // 2


def test_equal_functions_of_two_files_are_at_home_in_both(tmp_path: Path) -> None:
    short, long = defined(tmp_path / "short.py", SHORT), defined(tmp_path / "long.py", LONG)
    assert located(short) == (f"{tmp_path}/short.py", 2, "f")
    assert located(short, long) == (f"{tmp_path}/long.py", 4, f"f, or f in {tmp_path}/short.py:2")
    assert located(long, short) == (f"{tmp_path}/short.py", 2, f"f, or f in {tmp_path}/long.py:4")


def test_equal_lines_of_two_files_are_one(tmp_path: Path) -> None:
    one = defined(tmp_path / "one.py", SHORT.replace("1 / x", "2 / x"))
    other = defined(tmp_path / "other.py", SHORT.replace("1 / x", "2 / x"))
    assert located(one, other) == (f"{tmp_path}/other.py", 2, "f")
