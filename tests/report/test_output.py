from __future__ import annotations

import logging
import warnings

import pytest

from graphlambda.report.output import Output, TaskWarning, warning_class
from graphlambda.scheduler.events import RunEnded, TaskOutput

END = RunEnded(run="r", at_s=1.0, seconds=1.0, failure="")


def told(
    key: str = "('x', 0)",
    *,
    stdout: str = "",
    stderr: str = "",
    warned: tuple[tuple[str, str], ...] = (),
    logs: tuple[tuple[str, int, str], ...] = (),
    dropped_bytes: int = 0,
) -> TaskOutput:
    return TaskOutput(
        at_s=0.0,
        task=0,
        key=key,
        stdout=stdout,
        stderr=stderr,
        warnings=warned,
        logs=logs,
        dropped_bytes=dropped_bytes,
    )


def test_streams_are_told_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Output()(told(stdout="half a li", stderr="oh\n"))
    Output()(told(stdout="ne\n"))
    assert capsys.readouterr() == ("half a line\n", "oh\n")


def test_a_run_that_prints_without_end_is_cut_and_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(limit_characters=10)
    for event in (told(stdout="123456"), told(stderr="7890ab"), told(stdout="more\n"), END):
        output(event)
    assert capsys.readouterr() == (
        "123456",
        "7890graphlambda: 7 more characters of tasks' output are not shown\n",
    )


def test_what_a_reply_could_not_hold_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    Output()(told(dropped_bytes=2048))
    assert (
        capsys.readouterr().err
        == "graphlambda: task ('x', 0) told more than a reply may hold: 2.0 kB are not here\n"
    )


def test_a_warning_comes_once_with_its_class_and_the_key_of_its_first_task(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = Output()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for key in ("('x', 0)", "('x', 1)", "('x', 2)"):
            output(told(key, warned=(("RuntimeWarning", "divide by zero"),)))
        output(END)
    assert [(each.category, str(each.message)) for each in caught] == [
        (RuntimeWarning, "divide by zero (in task ('x', 0))")
    ]
    assert capsys.readouterr().err == "graphlambda: 2 more warnings of other tasks said the same\n"


def test_a_filter_that_makes_errors_of_warnings_does_not_stop_the_listener(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Output()(told(warned=(("UserWarning", "odd"),), stdout="after\n"))
    assert capsys.readouterr() == ("after\n", "<task>:0: UserWarning: odd (in task ('x', 0))\n")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DeprecationWarning", DeprecationWarning),
        ("builtins.UserWarning", UserWarning),
        ("graphlambda.report.output.TaskWarning", TaskWarning),
        ("no_such_module.Odd", TaskWarning),
        ("ValueError", TaskWarning),
        ("builtins.print", TaskWarning),
        ("", TaskWarning),
    ],
)
def test_a_name_from_a_function_gives_a_loaded_warning_class_or_ours(
    name: str, expected: type[Warning]
) -> None:
    assert warning_class(name) is expected


def test_log_records_go_to_their_logger_with_the_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mine"):
        Output()(told(logs=(("mine", logging.INFO, "100% done"), ("mine", logging.DEBUG, "unheard"))))
    records = [(each.name, each.levelno, each.getMessage(), vars(each)["task"]) for each in caplog.records]
    assert records == [("mine", logging.INFO, "100% done", "('x', 0)")]
