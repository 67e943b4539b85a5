"""What a run teaches: durations, sizes and batches of operations, and what an invocation takes beside its tasks."""

from __future__ import annotations

from graphlambda.compiler.measured import Profile
from graphlambda.report import Profiler
from graphlambda.scheduler.events import Event, InvocationEnded, RunEnded, TasksDone


def ended(
    operation: str, seconds: float, *, cold: bool = False, failure: str = "", moving_s: float = 0.0
) -> InvocationEnded:
    return InvocationEnded(
        at_s=0.0,
        operation=operation,
        function=f"gl-{operation}",
        tasks=(0,),
        seconds=seconds,
        billed_s=0.0,
        cold=cold,
        reply_bytes=0,
        failure=failure,
        reading_s=moving_s,
        sending_s=2 * moving_s,
    )


def done(operation: str, *seconds: float) -> TasksDone:
    count = len(seconds)
    return TasksDone(
        at_s=0.0,
        operation=operation,
        tasks=tuple(range(count)),
        started_s=(0.0,) * count,
        seconds=seconds,
        value_bytes=(100,) * count,
        inline=(True,) * count,
        peak_mb=1.0,
    )


def test_operations_are_measured_by_form() -> None:
    profiler = Profiler({"a": "form-a", "b": "form-b", "part": "form-part", "c": "form-c"})
    events: list[Event] = [
        ended("a", 9.0, cold=True, moving_s=5.0), done("a", 1.0), ended("a", 6.0, moving_s=0.75), done("a", 2.0, 3.0), done("part", 0.5),
        ended("b", 7.0, failure="throttled"), ended("b", 2.0), done("b", 1.0),
        RunEnded(run="r", at_s=0.0, seconds=1.0, failure=""),
    ]  # fmt: skip
    for event in events:
        profiler(event)
    assert profiler.profiles() == {
        "form-a": Profile(
            seconds=2.0, p95_s=2.0, value_bytes=100.0, batch=1.5, count=3, reading_s=0.375, sending_s=0.75
        ),
        "form-part": Profile(seconds=0.5, p95_s=0.5, value_bytes=100.0, batch=1.0, count=1),
        "form-b": Profile(seconds=1.0, p95_s=1.0, value_bytes=100.0, batch=1.0, count=1),
    }
    assert profiler.overhead_s() == 0.5


def test_a_run_without_a_warm_invocation_tells_no_overhead() -> None:
    profiler = Profiler({"a": "form-a"})
    profiler(ended("a", 9.0, cold=True))
    assert (profiler.overhead_s(), profiler.profiles()) == (None, {})


def test_what_is_kept_of_a_run_is_bounded() -> None:
    profiler = Profiler({"a": "form-a"})
    for _ in range(30):
        profiler(ended("a", 1.0))
        profiler(done("a", *[0.001] * 100))
    assert profiler.profiles()["form-a"].count == 3000
    assert len(profiler._seconds["a"]) == 1000
