"""What a run that was stopped says of the invocations that Lambda goes on with."""

from __future__ import annotations

from graphlambda.prices import Size, Usage, usd_of
from graphlambda.report.left import Left
from graphlambda.scheduler.events import InvocationEnded, InvocationStarted

SIZES = {"small": Size(memory_mb=1024), "large": Size(memory_mb=2048)}


def sent(function: str, at_s: float, *tasks: int) -> InvocationStarted:
    return InvocationStarted(
        at_s=at_s, operation="o", function=function, tasks=tasks, attempt=1, request_bytes=9
    )


def ended(function: str, *tasks: int) -> InvocationEnded:
    return InvocationEnded(
        at_s=9.0, operation="o", function=function, tasks=tasks, seconds=1.0, billed_s=1.0, cold=False,
        reply_bytes=9, failure="",
    )  # fmt: skip


def test_it_says_how_many_go_on_for_how_long_and_at_what_cost_at_most() -> None:
    left = Left(SIZES.__getitem__, timeout_s=300.0)
    for event in (
        sent("small", 0.0, 1),
        sent("small", 0.0, 2),
        ended("small", 2),
        sent("large", 50.0, 3, 4),
    ):
        left(event)
    usd = usd_of(Usage(gb_s={"x86_64": 700.0}))
    assert left.told(100.0) == (
        "2 invocations that Lambda cannot stop may go on until the current task ends, at most 250 s: "
        f"at most 700 GB-s, {usd:.4f} USD"
    )


def test_a_backup_goes_on_where_the_first_has_ended_and_nothing_is_said_of_nothing() -> None:
    left = Left(SIZES.__getitem__, timeout_s=300.0)
    for event in (sent("small", 0.0, 1), sent("small", 60.0, 1), ended("small", 1)):
        left(event)
    assert left.told(100.0).startswith(
        "1 invocation that Lambda cannot stop may go on until the current task ends, at most 260 s"
    )
    left(ended("small", 1))
    assert left.told(100.0) == ""
