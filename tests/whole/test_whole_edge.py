"""Errors and warnings point at the user's line."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import dask
import pytest
from dask import delayed

import graphlambda
from graphlambda.edge import edge
from graphlambda.errors import ConfigError, OperationsWarning

if TYPE_CHECKING:
    from collections.abc import Callable


def refuse(x: int) -> None:
    raise ValueError(f"not {x}") from KeyError("why")


class Unreadable:
    def __reduce__(self) -> Any:
        return int, ("absent",)


def shown(call: Callable[[], Any]) -> list[str]:
    """Return what Python prints of the error that a call raises, from the line in this file on."""
    with pytest.raises(Exception) as raised:  # noqa: PT011  (each test looks at all that is shown)
        call()
    return "".join(traceback.format_exception(raised.value)).splitlines()


@pytest.mark.parametrize(
    "call",
    [
        graphlambda.compute,
        graphlambda.persist,
        lambda each: graphlambda.submit(each).result(),
        lambda each: each.compute(scheduler="graphlambda"),
        lambda each: dask.persist(each, scheduler="graphlambda"),
    ],
)
def test_a_tasks_error_shows_its_own_lines_and_the_users_and_none_of_ours(call: Callable[..., Any]) -> None:
    each = delayed(refuse, pure=False)(3)
    lines = shown(lambda: call(each))
    assert not [line for line in lines if "/graphlambda/" in line or "asyncio" in line]
    assert "KeyError: 'why'" in lines
    assert "ValueError: not 3" in lines
    assert any(line.startswith(f'  File "{__file__}"') and "refuse" in line for line in lines)
    assert len(lines) < 40


def test_an_error_of_ours_shows_the_users_line_alone() -> None:
    lines = shown(lambda: graphlambda.compute(delayed(int)(), memory_mbb=1))
    assert [line for line in lines if line.startswith("  File")] == [
        line for line in lines if __file__ in line
    ]
    assert lines[-1].startswith("graphlambda.errors.ConfigError: memory_mbb=")


def test_what_led_to_an_error_stays_where_it_arose_in_a_users_code() -> None:
    class Odd:
        def __reduce__(self) -> Any:
            raise LookupError("mine")

    lines = shown(lambda: graphlambda.compute(delayed(id)(Odd())))
    assert any("in __reduce__" in line for line in lines)
    assert not [line for line in lines if "/graphlambda/" in line]


def test_a_result_that_cannot_be_rebuilt_shows_none_of_our_lines() -> None:
    lines = shown(lambda: graphlambda.compute(delayed(Unreadable)()))
    assert not [line for line in lines if "/graphlambda/" in line or "asyncio" in line]
    assert "ValueError: invalid literal for int() with base 10: 'absent'" in lines


def test_a_mistake_of_our_own_keeps_all_its_frames() -> None:
    @edge
    def broken() -> None:
        int("absent")

    assert any("in called" in line for line in shown(broken))


def test_the_context_of_the_users_own_handling_stays() -> None:
    def retried() -> None:
        try:
            int("mine")
        except ValueError:
            graphlambda.compute(memory_mbb=1)

    with pytest.raises(ConfigError) as raised:
        retried()
    assert isinstance(raised.value.__context__, ValueError)
    assert not raised.value.__suppress_context__


def test_a_warning_points_at_the_line_that_called_a_verb_though_another_thread_warns() -> None:
    with pytest.warns(OperationsWarning) as warned:
        graphlambda.submit(delayed(int)("3"), operations={"no such": {"memory_mb": 256}}).result()
    line = traceback.extract_stack(limit=1)[0].lineno
    assert [(each.filename, each.lineno) for each in warned] == [(__file__, (line or 0) - 1)]
