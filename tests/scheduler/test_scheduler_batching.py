"""How many tasks share an invocation, and the measurements that it follows from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.scheduler.batching import MOST_TASKS, Measured, Size, batch_size, fitting
from graphlambda.scheduler.limits import Limits
from graphlambda.scheduler.pace import RECENT, Durations, Window


def measured(
    task_s: float | None = None,
    overhead_s: float | None = None,
    *,
    late_s: float | None = None,
    reply_bytes: float = 0.0,
) -> Measured:
    late_s = task_s if late_s is None else late_s
    return Measured(task_s=task_s, late_s=late_s, overhead_s=overhead_s, reply_bytes=reply_bytes)


@pytest.mark.parametrize(
    ("ready", "concurrency", "known", "limits", "size"),
    [
        (500, 2, measured(), Limits(), Size(1, 1)),  # nothing is known yet
        (500, 2, measured(1e-5, 1e-3), Limits(batch=1), Size(1, 1)),  # one a task was asked for
        (3, 2, measured(9.0, 1e-3), Limits(batch=50), Size(3, 50)),
        (500, 10, measured(2.0, 1e-3), Limits(), Size(1, 1)),  # long tasks gain nothing
        (400, 10, measured(1e-3, 1e-2), Limits(), Size(20, 200)),  # half a fair share
        (8, 10, measured(1e-4, 1e-2), Limits(), Size(8, 1000)),  # too little work to be spread
        (100_000, 1, measured(1e-6, 1e-1), Limits(), Size(MOST_TASKS, MOST_TASKS)),
        (100_000, 1, measured(1e-2, 1e-1), Limits(), Size(100, 100)),  # a second in all
        (100_000, 1, measured(1e-2, 1e-1, late_s=0.05), Limits(), Size(20, 20)),  # nearly always
        (100_000, 1, measured(1e-2, 1e-1), Limits(batch_s=0.5), Size(50, 50)),
        (100_000, 1, measured(1e-2, 1e-1, reply_bytes=1e5), Limits(), Size(40, 40)),  # a reply is full
    ],
)
def test_how_many_tasks_share_an_invocation(
    ready: int, concurrency: int, known: Measured, limits: Limits, size: Size
) -> None:
    assert batch_size(known, ready=ready, concurrency=concurrency, limits=limits) == size


@given(
    st.integers(1, 10**6),
    st.integers(1, 10**4),
    st.builds(measured, st.floats(0, 900), st.floats(0, 60), reply_bytes=st.floats(0, 1e7)),
    st.none() | st.integers(1, 50),
)
def test_a_batch_is_never_empty_and_never_more_than_is_ready(
    ready: int, concurrency: int, known: Measured, batch: int | None
) -> None:
    size = batch_size(known, ready=ready, concurrency=concurrency, limits=Limits(batch=batch))
    assert 1 <= size.tasks <= min(ready, size.room)
    assert size.room <= (batch or MOST_TASKS)


@pytest.mark.parametrize(
    ("sizes", "count"), [([5], 1), ([50], 1), ([4, 6], 2), ([4, 7], 1), ([0, 0, 10, 1], 3)]
)
def test_what_fits_is_cut_where_the_budget_ends(sizes: list[int], count: int) -> None:
    assert fitting(sizes, 10) == count


def test_a_window_halves_when_throttled_and_grows_one_a_round_trip() -> None:
    window = Window(16)
    window.shrink(in_flight=15)
    assert window.size == 8
    for _ in range(9):
        window.grow()
    assert window.size == 9
    window.shrink(in_flight=0)
    window.shrink(in_flight=0)
    assert window.size == 1
    for _ in range(500):
        window.grow()
    assert window.size == 16


def test_a_cold_measurement_counts_only_while_there_is_no_warm_one() -> None:
    durations = Durations()
    assert (durations.usual_s, durations.late_s, durations.least_s) == (None, None, None)
    durations.add([9.0], cold=True)
    assert (durations.usual_s, durations.late_s) == (9.0, 9.0)
    durations.add([5.0, 1.0, 2.0, 4.0, 3.0], cold=False)
    durations.add([9.0], cold=True)
    assert (durations.usual_s, durations.late_s, durations.least_s) == (3.0, 5.0, 1.0)


def test_the_latest_measurements_count() -> None:
    durations = Durations()
    durations.add(range(1000), cold=False)
    assert (durations.least_s, durations.late_s) == (1000 - RECENT, 996)
