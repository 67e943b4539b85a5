from __future__ import annotations

from dataclasses import replace

import pytest

from graphlambda.prices import Size, Traffic, Usage, gb_seconds, kept, prices_of, usd_of
from graphlambda.report.bill import Bill
from graphlambda.report.tally import Summary, Tally
from graphlambda.report.units import count, duration, money, size
from graphlambda.scheduler.events import (
    Event,
    InvocationEnded,
    InvocationStarted,
    RunEnded,
    RunStarted,
    StoreOverfull,
    TaskRetried,
    TasksDone,
    ValuesReleased,
)
from graphlambda.scheduler.kinds import Kind

OPERATIONS = (("a" * 64, "mean-chunk", 2), ("b" * 64, "mean-agg", 1), ("a" * 64, "mean-chunk", 1))


def sent(request_bytes: int = 100) -> InvocationStarted:
    return InvocationStarted(
        at_s=1.0, operation="a" * 64, function="f", tasks=(0,), attempt=1, request_bytes=request_bytes
    )


def ended(
    failure: str = "", *, cold: bool = False, billed_s: float = 0.5, function: str = "f"
) -> InvocationEnded:
    return InvocationEnded(
        at_s=2.0,
        operation="a" * 64,
        function=function,
        tasks=(0,),
        seconds=1.0,
        billed_s=billed_s,
        cold=cold,
        reply_bytes=50,
        failure=failure,
        traffic=Traffic(writes=1, reads=2, cache_units=3),
    )


def done(*tasks: int, inline: bool = True) -> TasksDone:
    return TasksDone(
        at_s=2.0,
        operation="a" * 64,
        tasks=tasks,
        started_s=(1.5,) * len(tasks),
        seconds=(0.1,) * len(tasks),
        value_bytes=(1000,) * len(tasks),
        inline=(inline,) * len(tasks),
        peak_mb=60.0,
    )


def started(tasks: int = 4) -> RunStarted:
    return RunStarted(run="r", at_s=0.0, tasks=tasks, operations=OPERATIONS)


def told(*events: Event, made: int = 0, reused: int = 2) -> Summary:
    sizes = {"f": Size(memory_mb=1024), "large": Size(memory_mb=2048)}
    tally = Tally(sizes.__getitem__, made=made, reused=reused)
    for event in events:
        tally(event)
    return tally.summary()


def test_a_run_adds_up() -> None:
    summary = told(
        started(),
        sent(100),
        sent(200),
        sent(300),
        ended(cold=True),
        ended("throttled", billed_s=9.0),
        ended("out of memory", billed_s=0.25, function="large"),
        TaskRetried(at_s=2.0, task=1, reason="out of memory"),
        done(0),
        done(1, inline=False),
        ValuesReleased(at_s=2.0, values=(0,)),
        StoreOverfull(at_s=2.0, stored_bytes=800),
        RunEnded(run="r", at_s=3.0, seconds=3.0, failure="OutOfMemoryError", stored_peak_bytes=800),
        made=1,
        reused=1,
    )
    assert summary == Summary(
        tasks=4,
        tasks_done=2,
        operations=2,
        functions_made=1,
        functions_reused=1,
        invocations=2,
        throttled=1,
        cold_starts=1,
        retried=1,
        request_bytes=600,
        reply_bytes=100,
        stored_bytes=1000,
        stored_peak_bytes=800,
        overfull=1,
        seconds=3.0,
        bill=Bill(
            usage=Usage(requests=2, gb_s={"x86_64": 1.0}, traffic=Traffic(writes=2, reads=4, cache_units=6))
        ),
        failure="OutOfMemoryError",
    )
    assert summary.moved_bytes == 1700
    assert summary.cost_usd == pytest.approx(2 * 0.20e-6 + 0.0000166667 + 2 * 5e-6 + 4 * 4e-7 + 6 * 0.0023e-6)


def test_the_closing_line_of_a_good_run() -> None:
    events: list[Event] = [started(3), sent(1_199_900), ended(billed_s=7.0), done(0, 1), done(2)]
    summary = told(*events, RunEnded(run="r", at_s=3.4, seconds=3.4, failure=""))
    assert str(summary) == (
        "3 tasks · 2 operations · 2 functions (0 made, 2 reused) · 1 invocation · 1.2 MB · 3.4 s · "
        "$0.00012 at list prices of Lambda"
    )


def test_the_closing_line_of_a_run_that_failed_says_how_far_it_came() -> None:
    retried = TaskRetried(at_s=2.0, task=1, reason="timed out")
    events: list[Event] = [started(), sent(0), ended("throttled"), retried, done(0)]
    summary = told(*events, RunEnded(run="r", at_s=3.4, seconds=0.05, failure="TimedOutError"))
    assert str(summary) == (
        "1 of 4 tasks · 2 operations · 2 functions (0 made, 2 reused) · 0 invocations · 1 retried · "
        "1 throttled · 0 B · 50 ms · failed with TimedOutError · $0.00 at list prices of Lambda"
    )


@pytest.mark.parametrize("kind", Kind)
def test_an_invocation_is_billed_where_a_function_may_have_run(kind: Kind) -> None:
    refused = kind in {
        "throttled",
        "not ready",
        "no network",
        "unreachable",
        "request too large",
        "missing function",
        "credentials expired",
        "clock is wrong",
        "access denied",
        "refused",
    }
    summary = told(ended(kind.value, billed_s=1.0))
    assert (summary.invocations, summary.billed_gb_s) == ((0, 0.0) if refused else (1, 1.0))


def test_a_bill_tells_what_each_thing_costs_and_what_the_sum_stands_on() -> None:
    bill = Bill(usage=Usage(requests=1_000_000, gb_s={"arm64": 1e6}, traffic=Traffic(writes=1000)))
    _, _, *lines = str(bill).splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "Lambda duration, arm64",
        "Lambda requests",
        "S3 writes and lists",
        "all",
        bill.terms,
    ]
    assert bill.terms.startswith(
        "At list prices of us-east-1 (Lambda: 2026, S3: 2026-03, cache: 2026-06), without"
    )
    assert [line.split()[-1] for line in lines[:4]] == ["$13.33", "$0.20", "$0.0050", "$13.54"]


def test_an_empty_run_costs_nothing() -> None:
    assert told().cost_usd == 0


def test_each_function_is_billed_by_its_own_size_and_by_how_its_environments_begin() -> None:
    sizes = {
        "arm": Size(memory_mb=1024, architecture="arm64", ephemeral_mb=1536),
        "waits": Size(memory_mb=1024),
        "restored": Size(memory_mb=2048, snap_start=True),
    }
    asked = [Traffic(writes=1)]
    tally = Tally(sizes.__getitem__, asked=lambda: asked[0], beside=kept(sizes["waits"], 2, 1.0))
    for event in (
        ended(function="arm", billed_s=1.0),
        ended(function="waits", billed_s=2.0, cold=True),
        replace(ended(function="waits", billed_s=4.0, cold=True), had_waited=True),
        ended(function="restored", billed_s=8.0, cold=True),
        ended(function="restored", billed_s=8.0),
    ):
        tally(event)
    asked[0] = Traffic(writes=3)
    bill = tally.bill()
    assert bill.usage == Usage(
        requests=5,
        gb_s={"arm64": 1.0, "x86_64": 34.0},
        ready_gb_s={"x86_64": 4.0},
        ephemeral_gb_s=1.0,
        restored_gb=2.0,
        traffic=Traffic(writes=5 + 3, reads=10, cache_units=15),
    )
    assert bill.terms.endswith(
        "Environments that wait and snapshots cost $0.030 an hour beside it, used or not."
    )


def test_a_bill_says_whose_prices_it_takes_where_those_of_a_region_are_not_known() -> None:
    assert "of us-east-1, since those of eu-west-3 are not known" in Bill(prices=prices_of("eu-west-3")).terms


def test_arm64_is_a_fifth_cheaper_for_duration() -> None:
    both = [usd_of(Usage(gb_s={each: gb_seconds(512, 10.0)})) for each in ("x86_64", "arm64")]
    assert both == pytest.approx([5 * 0.0000166667, 5 * 0.0000133334])
    assert both[1] / both[0] == pytest.approx(0.8, abs=1e-4)


def test_the_example_of_the_research_comes_out() -> None:
    """1,000 tasks of 2 s at 1,769 MB: 3,455 GB-s, $0.058 on x86_64."""
    assert gb_seconds(1769, 2000.0) == pytest.approx(3455.08, abs=0.01)
    assert usd_of(Usage(requests=1000, gb_s={"x86_64": 3455.08})) == pytest.approx(0.0578, abs=1e-4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count(1, "task"), "1 task"),
        (count(0, "task"), "0 tasks"),
        (count(1_000_000, "task"), "1,000,000 tasks"),
        (size(999), "999 B"),
        (size(1_000), "1.0 kB"),
        (size(2_500_000_000), "2.5 GB"),
        (duration(0.0), "0 ms"),
        (duration(0.9996), "1.0 s"),
        (duration(59.97), "1 min 00 s"),
        (duration(125), "2 min 05 s"),
        (duration(3725), "1 h 02 min"),
        (money(0), "$0.00"),
        (money(0.0000002), "$0.00000020"),
        (money(0.0999), "$0.10"),
        (money(1234.5), "$1,234.50"),
    ],
)
def test_numbers_read_well(text: str, expected: str) -> None:
    assert text == expected
