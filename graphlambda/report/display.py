"""The live display: functions being built, then tasks done of total for each operation.

In: build steps and events, from any thread. Out: a picture in the terminal or notebook, drawn by a thread of its
own at most ten times a second, so that neither the builder nor the loop waits for a screen.
Must not leave anything behind: the picture is gone when the display closes, and what is off starts no thread.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Protocol, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from graphlambda.report.board import Board, Counts, Row
from graphlambda.report.units import count, duration, money

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from graphlambda.scheduler.events import Event

INTERVAL_S = 0.1
"""Ten pictures a second look continuous; a notebook's page keeps up with no more."""

MOST_ROWS = 16
"""A picture taller than the terminal cannot be redrawn in place."""

_CLOSE_S = 2.0
"""How long a painter may take to end: a terminal that has been stopped (Ctrl-S) would hold it for ever."""


class Painter(Protocol):
    """Where pictures go."""

    def paint(self, picture: RenderableType) -> None:
        """Show a picture in the place of the one before."""

    def close(self) -> None:
        """Take the last picture away."""


class Display:
    """A context manager that draws; callable as a run's listener, `built` as a builder's callback."""

    def __init__(self, painter: Painter | None, *, interval_s: float = INTERVAL_S) -> None:
        """`painter` is where to draw; None draws nothing (see `painter_for`)."""
        self._painter = painter
        self._interval_s = interval_s
        self._board = Board()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._so_far: Callable[[], float] = lambda: 0.0

    def counting(self, so_far: Callable[[], float]) -> None:
        """Show from now on what `so_far` gives: US dollars."""
        self._so_far = so_far

    def __enter__(self) -> Self:
        """Start to draw."""
        if self._painter is not None:
            self._stop.clear()
            self._thread = threading.Thread(
                target=self._draw, args=(self._painter,), name="graphlambda-display", daemon=True
            )
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Take the picture away."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join(_CLOSE_S)
            self._thread = None

    def built(self, name: str, done: int, total: int) -> None:
        """Note that `done` of `total` functions are there, `name` being the last."""
        if self._thread is not None:
            self._board.built(name, done, total)

    def __call__(self, event: Event, /) -> None:
        """Count one event of a run."""
        if self._thread is not None:
            self._board.add(event)

    def _draw(self, painter: Painter) -> None:
        """Draw until told to stop; the clock in the picture goes on even where nothing happens."""
        started_s = time.monotonic()
        try:
            while not self._stop.wait(self._interval_s):
                counts = self._board.counts()
                if counts.building or counts.operations:
                    painter.paint(picture_of(counts, time.monotonic() - started_s, self._so_far()))
        finally:
            painter.close()


def painter_for(wanted: bool | None = None, stream: TextIO | None = None) -> Painter | None:
    """Return where to draw: a notebook's cell, a terminal, or None.

    `wanted` None draws where a person looks: not in a pipe, a file or a terminal that cannot redraw.
    True draws in a notebook and on a terminal of any kind; False never draws.
    """
    if wanted is False:
        return None
    if in_notebook():
        return NotebookPainter()
    stream = sys.stdout if stream is None else stream
    console = Console(file=stream, force_terminal=wanted)
    redraws = stream.isatty() and not console.is_dumb_terminal
    return TerminalPainter(console) if wanted or redraws else None


def in_notebook() -> bool:
    """Return whether this process is a Jupyter kernel; imports nothing to find out."""
    if "IPython" not in sys.modules:
        return False
    shell: Any = sys.modules["IPython"].get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class TerminalPainter:
    """Redraws in place; what others print meanwhile appears above."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def paint(self, picture: RenderableType) -> None:
        """Show a picture in the place of the one before."""
        self._live.start()
        self._live.update(picture, refresh=True)

    def close(self) -> None:
        """Take the last picture away."""
        self._live.stop()


class NotebookPainter:
    """Updates one output of the cell. Rich's own way would ask for ipywidgets."""

    def __init__(self) -> None:
        self._handle: Any = None

    def paint(self, picture: RenderableType) -> None:
        """Show a picture in the place of the one before."""
        mime = Padding(picture, 0)  # a picture by itself has no form for a notebook
        display: Any = importlib.import_module("IPython.display").display
        if self._handle is None:
            self._handle = display(mime, display_id=True)
        else:
            self._handle.update(mime)

    def close(self) -> None:
        """Take the last picture away."""
        if self._handle is not None:
            self._handle.update(Text(""))


def picture_of(counts: Counts, elapsed_s: float, usd: float = 0.0) -> Group:
    """Draw the counts: while functions are built, how many there are; then one bar an operation and a sum."""
    if not counts.operations:
        return Group(_bars(_building(counts)))
    done = sum(row.done for row in counts.operations)
    total = sum(row.total for row in counts.operations)
    foot = f"{done:,} of {count(total, 'task')} · {count(counts.in_flight, 'invocation')} in flight"
    spent = f" · {money(usd)}" if usd else ""
    return Group(
        _bars(_folded(counts.operations)), Text(f"{foot} · {duration(elapsed_s)}{spent}", style="dim")
    )


def _building(counts: Counts) -> list[Row]:
    row = counts.building
    return [] if row is None else [Row(f"building functions · {row.name}", row.done, row.total)]


def _folded(rows: tuple[Row, ...]) -> list[Row]:
    """Fit the rows to a screen: the first that are incomplete, and one line for all the others."""
    if len(rows) <= MOST_ROWS:
        return list(rows)
    by_need = sorted(rows, key=lambda row: row.complete)
    shown, rest = by_need[: MOST_ROWS - 1], by_need[MOST_ROWS - 1 :]
    others = Row(
        count(len(rest), "more operation"), sum(row.done for row in rest), sum(row.total for row in rest)
    )
    return [*shown, others]


def _bars(rows: list[Row]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_column()
    grid.add_column(justify="right", no_wrap=True)
    for row in rows:
        bar = ProgressBar(total=max(row.total, 1), completed=row.done, width=30)
        grid.add_row(Text(row.name), bar, Text(f"{row.done:,} / {row.total:,}"))
    return grid
