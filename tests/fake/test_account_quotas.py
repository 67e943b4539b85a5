"""The quotas of an account, each to its last unit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.testing.account.quotas import (
    Begun,
    Bucket,
    ControlQuotas,
    InvokeQuotas,
    Limits,
    Reason,
    Throttle,
)

COLD, WARM = Begun(cold=True), Begun(cold=False)


def reasons(quotas: InvokeQuotas, function: str, times: int, now_s: float) -> list[Reason | None]:
    told = [quotas.begin(function, now_s) for _ in range(times)]
    return [each.reason if isinstance(each, Throttle) else None for each in told]


def test_fifteen_control_calls_a_second_pass_and_the_sixteenth_does_not() -> None:
    quotas = ControlQuotas(Limits())
    told = [quotas.ask(method, 0.0) for method in ["create_function", "list_layers", "delete_function"] * 5]
    assert told == [None] * 15
    assert quotas.ask("get_account_settings", 0.0) == Throttle(Reason.CALLER, 1.0)
    assert quotas.ask("get_account_settings", 1 / 15) is None


def test_get_function_has_a_hundred_a_second_of_its_own() -> None:
    quotas = ControlQuotas(Limits())
    assert [quotas.ask("get_function", 0.0) for _ in range(100)] == [None] * 100
    assert quotas.ask("get_function", 0.0) == Throttle(Reason.CALLER, 1.0)
    assert quotas.ask("get_function_configuration", 0.0) is None


@given(st.lists(st.floats(0, 0.3), max_size=80))
def test_no_second_sees_more_than_a_second_and_what_was_saved_up(gaps: list[float]) -> None:
    bucket, now_s, taken = Bucket(5.0, 5.0), 0.0, list[float]()
    for gap in gaps:
        now_s += gap
        if not bucket.lacking_s(now_s):
            bucket.take()
            taken.append(now_s)
    for start_s in taken:
        assert sum(start_s <= at_s < start_s + 1 for at_s in taken) <= 10


def test_who_keeps_to_the_pace_exactly_is_never_refused() -> None:
    quotas = ControlQuotas(Limits())
    assert [quotas.ask("create_function", turn / 15) for turn in range(3_000)] == [None] * 3_000


def test_one_invocation_more_than_the_accounts_concurrency_is_refused_until_one_ends() -> None:
    quotas = InvokeQuotas(Limits(concurrency=3))
    assert reasons(quotas, "f", 2, 0.0) + reasons(quotas, "g", 2, 0.0) == [None] * 3 + [Reason.CONCURRENCY]
    quotas.end("f", 0.5)
    assert quotas.begin("f", 0.5) == WARM


def test_a_reservation_is_a_functions_own_and_its_limit() -> None:
    quotas = InvokeQuotas(Limits(concurrency=5, unreserved=3))
    assert quotas.may_reserve("f", 2)
    assert not quotas.may_reserve("f", 3)
    quotas.reserve("f", 2)
    assert reasons(quotas, "g", 4, 0.0) == [None] * 3 + [Reason.CONCURRENCY]
    assert reasons(quotas, "f", 3, 0.0) == [None] * 2 + [Reason.RESERVED_CONCURRENCY]
    quotas.forget("f")
    assert quotas.unreserved == 5


def test_a_reservation_of_nothing_lets_nothing_in() -> None:
    quotas = InvokeQuotas(Limits())
    quotas.reserve("f", 0)
    assert reasons(quotas, "f", 1, 0.0) == [Reason.RESERVED_CONCURRENCY]


@pytest.mark.parametrize(("reserved", "reason"), [(None, Reason.RATE), (2, Reason.RESERVED_RATE)])
def test_each_unit_of_concurrency_takes_ten_requests_a_second(reserved: int | None, reason: Reason) -> None:
    quotas = InvokeQuotas(Limits(concurrency=2, unreserved=0))
    quotas.reserve("f", reserved)
    for _ in range(20):
        assert isinstance(quotas.begin("f", 0.0), Begun)
        quotas.end("f", 0.0)
    refused = quotas.begin("f", 0.0)
    assert isinstance(refused, Throttle)
    assert refused.reason == reason
    assert refused.retry_after_s == pytest.approx(0.05, abs=1e-5)
    assert quotas.begin("f", 0.05) == WARM


def test_a_function_gains_a_thousand_environments_and_as_many_again_in_ten_seconds() -> None:
    quotas = InvokeQuotas(Limits(concurrency=10_000, log_streams_per_s=1e9))
    assert reasons(quotas, "f", 1_001, 0.0) == [None] * 1_000 + [Reason.CONCURRENCY]
    assert reasons(quotas, "g", 1, 0.0) == [None]
    assert reasons(quotas, "f", 501, 5.0) == [None] * 500 + [Reason.CONCURRENCY]
    assert reasons(quotas, "f", 1_001, 1_000.0) == [None] * 1_000 + [Reason.CONCURRENCY]


def test_an_environment_is_warm_until_it_was_idle_for_long() -> None:
    quotas = InvokeQuotas(Limits(idle_s=60))
    assert quotas.begin("f", 0.0) == COLD
    quotas.end("f", 1.0)
    assert quotas.begin("g", 2.0) == COLD
    assert quotas.begin("f", 61.0) == WARM
    quotas.end("f", 62.0)
    assert quotas.begin("f", 122.1) == COLD


def test_log_streams_of_a_burst_of_cold_starts_wait_for_each_other() -> None:
    quotas = InvokeQuotas(Limits())
    late = [begun.log_late_s for _ in range(150) if isinstance(begun := quotas.begin("f", 0.0), Begun)]
    assert late[:50] == [0.0] * 50
    assert late[50:] == pytest.approx([number / 50 for number in range(1, 101)], abs=1e-3)
    assert quotas.begin("g", 0.0, logs=False) == COLD
