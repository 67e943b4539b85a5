from __future__ import annotations

import io
import itertools
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout

import pytest
from rich.console import Console, RenderableType

from graphlambda.report.board import Board, Counts, Row
from graphlambda.report.display import MOST_ROWS, Display, TerminalPainter, painter_for, picture_of
from graphlambda.scheduler.events import (
    InvocationEnded,
    InvocationStarted,
    RunStarted,
    TasksDone,
    TasksRecalled,
)

START = RunStarted(
    run="r",
    at_s=0.0,
    tasks=4001,
    operations=(("a", "mean-chunk", 1500), ("b", "mean-agg", 1), ("a", "mean-chunk", 2500)),
)
SENT = InvocationStarted(at_s=0.0, operation="a", function="f", tasks=(0,), attempt=1, request_bytes=0)
ENDED = InvocationEnded(
    at_s=0.0,
    operation="a",
    function="f",
    tasks=(0,),
    seconds=0.1,
    billed_s=0.1,
    cold=False,
    reply_bytes=0,
    failure="",
)
DONE = TasksDone(
    at_s=0.0,
    operation="a",
    tasks=(0,),
    started_s=(0.0,),
    seconds=(0.1,),
    value_bytes=(1,),
    inline=(True,),
    peak_mb=1.0,
)


class Recorder:
    """A painter that keeps when it painted what."""

    def __init__(self) -> None:
        self.pictures: list[tuple[float, RenderableType]] = []
        self.closed = 0

    def paint(self, picture: RenderableType) -> None:
        self.pictures.append((time.monotonic(), picture))

    def close(self) -> None:
        self.closed += 1


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def text_of(picture: RenderableType) -> list[str]:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(picture)
    return [
        " ".join(line.replace("━", " ").replace("╸", " ").split())
        for line in console.export_text().splitlines()
    ]


def painters() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "graphlambda-display"]


def test_while_functions_are_built_the_last_one_is_named() -> None:
    counts = Counts(building=Row("mean-chunk", 2, 7), operations=(), in_flight=0)
    assert text_of(picture_of(counts, 1.0)) == ["building functions · mean-chunk 2 / 7"]


def test_in_a_run_every_operation_has_a_bar_and_the_sum_a_line() -> None:
    rows = (Row("mean-chunk", 3, 4), Row("mean-agg", 0, 1))
    counts = Counts(building=Row("mean-agg", 2, 2), operations=rows, in_flight=2)
    assert text_of(picture_of(counts, 12.34)) == [
        "mean-chunk 3 / 4",
        "mean-agg 0 / 1",
        "3 of 5 tasks · 2 invocations in flight · 12.3 s",
    ]


def test_more_operations_than_a_screen_holds_show_what_is_left_to_do() -> None:
    rows = tuple(Row("same", 1, 1) if number < 5 else Row("same", 0, 2) for number in range(30))
    lines = text_of(picture_of(Counts(building=None, operations=rows, in_flight=0), 0.0))
    assert len(lines) == MOST_ROWS + 1
    assert lines[:2] == ["same 0 / 2", "same 0 / 2"]
    assert lines[-2:] == ["15 more operations 5 / 25", "5 of 55 tasks · 0 invocations in flight · 0 ms"]


def test_what_an_earlier_client_committed_counts_as_done() -> None:
    board = Board()
    for event in (START, TasksRecalled(at_s=0.0, operation=START.operations[0][0], tasks=(4, 5, 6)), DONE):
        board.add(event)
    assert [(row.name, row.done) for row in board.counts().operations] == [("mean-chunk", 4), ("mean-agg", 0)]


def test_a_board_loses_no_count_between_threads() -> None:
    board = Board()
    board.add(START)
    with ThreadPoolExecutor(4) as pool:
        for event in (SENT, SENT, DONE, ENDED):
            pool.map(lambda _, event=event: board.add(event), range(1000))
    assert board.counts() == Counts(
        building=None, operations=(Row("mean-chunk", 1000, 4000), Row("mean-agg", 0, 1)), in_flight=1000
    )


def test_a_display_draws_what_it_is_told_and_ends_its_thread() -> None:
    recorder = Recorder()
    with Display(recorder, interval_s=0.01) as display:
        assert painters() == ["graphlambda-display"]
        display.built("mean-chunk", 1, 2)
        _wait_for(lambda: bool(recorder.pictures))
        display(START)
        display(DONE)
        _wait_for(lambda: "mean-chunk 1 / 4,000" in text_of(recorder.pictures[-1][1]))
    assert recorder.closed == 1
    assert painters() == []


def test_a_burst_of_events_is_not_a_burst_of_pictures() -> None:
    recorder = Recorder()
    with Display(recorder, interval_s=0.05) as display:
        display(START)
        began = time.monotonic()
        while time.monotonic() - began < 0.4:
            display(DONE)
    moments = [moment for moment, _ in recorder.pictures]
    assert 1 <= len(moments) <= 9
    assert min(after - before for before, after in itertools.pairwise(moments)) >= 0.04


def test_a_display_closes_when_its_block_fails() -> None:
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt), Display(recorder):
        raise KeyboardInterrupt
    assert (recorder.closed, painters()) == (1, [])


def test_a_display_that_is_off_starts_nothing_and_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with Display(None) as display:
        display.built("mean-chunk", 1, 2)
        display(START)
        assert painters() == []
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_no_display_and_a_terminal_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert painter_for(stream=io.StringIO()) is None
    assert isinstance(painter_for(stream=Terminal()), TerminalPainter)
    assert painter_for(wanted=False, stream=Terminal()) is None
    assert isinstance(painter_for(wanted=True, stream=io.StringIO()), TerminalPainter)
    monkeypatch.setenv("TERM", "dumb")
    assert painter_for(stream=Terminal()) is None


def test_what_is_printed_meanwhile_stays_and_the_picture_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    with redirect_stdout(terminal):
        painter = painter_for()
        assert painter is not None
        painter.paint("a picture")
        print("a task's line")
        painter.close()
        print("the end")
    assert "a picture" in terminal.getvalue()
    *_, last, end = terminal.getvalue().splitlines()
    assert end.endswith("the end")
    assert "a task's line" in terminal.getvalue()
    assert "\x1b[2K" in last + end, "the picture's line is erased"


def _wait_for(happened: object, limit_s: float = 5.0) -> None:
    assert callable(happened)
    end = time.monotonic() + limit_s
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)
