"""What a run is expected to cost: by measurements, else by assumptions; by the cost model's own batches."""

from __future__ import annotations

from dataclasses import replace

import pytest

from graphlambda.compiler.measured import Profile
from graphlambda.compiler.program import Gather
from graphlambda.prices import US_EAST_1, Size, Traffic, Usage, kept, ran
from graphlambda.report.bill import Bill
from graphlambda.report.estimate import ASSUMED_S, COLD_S, Estimate, Terms, estimate
from graphlambda.scheduler.limits import Limits
from graphlambda.testing.programs import program_of

UNFORMED = program_of([*[("f", i) for i in range(100)], ("g", Gather(list(range(100))))], [100])
PROGRAM = replace(
    UNFORMED,
    tables=tuple(
        replace(table, operation=replace(table.operation, form=table.operation.name))
        for table in UNFORMED.tables
    ),
)
SMALL = Profile(seconds=0.5, p95_s=1.5, value_bytes=1_000, batch=1, count=40)


def expected(profiles: dict[str, Profile], **given: object) -> Estimate:
    terms = {
        "size_of": lambda _operation: Size(memory_mb=1024), "waiting": lambda _operation: 0, "overhead_s": 0.1,
        "cached": False, "limits": Limits(concurrency=10, batch=1), "prices": US_EAST_1, **given,
    }  # fmt: skip
    return estimate(PROGRAM, profiles, Terms(**terms))  # type: ignore[arg-type]


def test_what_was_measured_is_taken_at_its_median_and_at_what_95_in_100_stay_below() -> None:
    (maps, _) = expected({"f": SMALL, "g": SMALL}).operations
    begun = COLD_S[0], 10 * COLD_S[1] + 100 * 0.1
    assert (maps.name, maps.tasks, maps.known, maps.stored_bytes) == ("f", 100, 40, 0)
    assert maps.least == Bill(usage=Usage(requests=100, gb_s={"x86_64": 100 * 0.5 + begun[0]}))
    assert maps.most == Bill(usage=Usage(requests=100, gb_s={"x86_64": 100 * 1.5 + begun[1]}))


def test_what_waits_costs_less_a_second_where_it_is_enough_and_something_beside() -> None:
    size = Size(memory_mb=1024)
    (maps, _) = expected({"f": SMALL}, waiting=lambda _operation: 4).operations
    assert maps.least == Bill(usage=ran(size, 50.0, requests=100, ready_s=50.0), beside=kept(size, 4, 1.0))
    assert maps.most.usage == ran(size, 150.0 + 6 * COLD_S[1] + 100 * 0.1, requests=100)
    assert "an hour beside it" in str(expected({}, waiting=lambda _operation: 4))


def test_environments_that_start_from_a_snapshot_cost_each_and_it_costs_while_it_is_there() -> None:
    size = Size(memory_mb=1024, architecture="arm64", snap_start=True)
    (maps, _) = expected({"f": SMALL}, size_of=lambda _operation: size).operations
    assert maps.least == Bill(usage=ran(size, 50.0, requests=100, starts=1), beside=kept(size, 0, 1.0))
    assert maps.most.usage == ran(size, 150.0 + 10 * COLD_S[1] + 100 * 0.1, requests=100, starts=10)


def test_what_is_not_known_is_assumed_and_that_is_said() -> None:
    found = expected({"g": SMALL})
    maps, _ = found.operations
    assert maps.known == 0
    assert maps.least.billed_gb_s == pytest.approx(100 * ASSUMED_S[0] + COLD_S[0])
    assert maps.most.billed_gb_s == pytest.approx(100 * ASSUMED_S[1] + 10 * COLD_S[1] + 100 * 0.1)
    assert (maps.least.traffic, maps.most.traffic) == (Traffic(), Traffic(writes=100, reads=100))
    assert "Assumed where nothing is known: 0.01 to 1 s a task" in str(found)
    assert "Assumed" not in str(expected({"f": SMALL, "g": SMALL}))


def test_batches_are_those_of_the_cost_model() -> None:
    short = Profile(seconds=0.01, p95_s=0.02, value_bytes=10, batch=5, count=9)
    (maps, _) = expected({"f": short}, limits=Limits(concurrency=2)).operations
    assert (maps.least.requests, maps.most.requests) == (
        2,
        4,
    )  # 50 fit into a second, and 25 are half a fair share


@pytest.mark.parametrize(
    ("cached", "traffic"),
    [(False, Traffic(writes=100, reads=100)), (True, Traffic(cache_units=100 * 5 + 200 * 98))],
)
def test_values_that_do_not_ride_in_replies_are_written_once_and_read_by_each_reader(
    cached: bool, traffic: Traffic
) -> None:
    large = Profile(seconds=0.5, p95_s=0.5, value_bytes=100_000, batch=1, count=1)
    (maps, _) = expected({"f": large}, cached=cached).operations
    assert maps.least.traffic == maps.most.traffic == traffic
    assert maps.stored_bytes == 10_000_000


def test_the_sum_is_over_all_operations_and_prints_as_a_table() -> None:
    found = expected({"f": SMALL, "g": SMALL})
    assert found.least == found.operations[0].least + found.operations[1].least
    assert found.usd == (found.least.usd, found.most.usd)
    last = [line for line in str(found).splitlines() if line.startswith("all")]
    assert last[0].split() == [
        "all", "101", "101", "50.7", "to", "194.6", "0", "$0.00087", "to", "$0.0033",
    ]  # fmt: skip
    assert "us-east-1" in str(found)
