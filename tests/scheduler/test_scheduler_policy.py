"""What follows from what: tables of decisions."""

from __future__ import annotations

from random import Random

import pytest

from graphlambda.errors import EnvironmentLostError, OutOfMemoryError, ThrottledError, TimedOutError
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.policy import (
    LAST_BACKOFF_S,
    RULES,
    Step,
    backoff_s,
    error_after,
    hold_s,
    lost_too_often,
    step_after,
    step_after_error,
)


def test_every_kind_of_failure_has_a_rule() -> None:
    assert set(RULES) == set(Kind)


@pytest.mark.parametrize(
    ("kind", "tasks", "attempts", "step"),
    [
        (Kind.THROTTLED, 1, 99, Step.WAIT),
        (Kind.THROTTLED, 7, 99, Step.WAIT),
        (Kind.NOT_READY, 1, 99, Step.HOLD),
        (Kind.NO_NETWORK, 7, 99, Step.HOLD),
        (Kind.OUT_OF_MEMORY, 7, 0, Step.SINGLY),
        (Kind.OUT_OF_MEMORY, 1, 0, Step.ENLARGE),
        (Kind.TIMED_OUT, 7, 0, Step.SINGLY),
        (Kind.TIMED_OUT, 1, 0, Step.FAIL),
        (Kind.ENVIRONMENT_LOST, 7, 2, Step.SINGLY),
        (Kind.ENVIRONMENT_LOST, 1, 0, Step.RETRY),
        (Kind.ENVIRONMENT_LOST, 1, 1, Step.RETRY),
        (Kind.ENVIRONMENT_LOST, 1, 2, Step.FAIL),
        (Kind.NO_ANSWER, 1, 2, Step.FAIL),
        (Kind.UNREACHABLE, 7, 99, Step.HOLD),
        (Kind.CUT_OFF, 1, 3, Step.RETRY),
        (Kind.CUT_OFF, 1, 4, Step.FAIL),
        (Kind.SERVICE_FAILED, 1, 4, Step.FAIL),
        (Kind.STORE_FAILED, 1, 6, Step.RETRY),
        (Kind.STORE_FAILED, 1, 7, Step.FAIL),
        (Kind.EXPIRED, 7, 0, Step.RETRY),
        (Kind.EXPIRED, 7, 1, Step.FAIL),
        (Kind.REQUEST_TOO_LARGE, 7, 0, Step.SINGLY),
        (Kind.RESPONSE_TOO_LARGE, 1, 0, Step.FAIL),
        (Kind.MISSING_MODULE, 7, 0, Step.REBUILD),
        (Kind.MISSING_FUNCTION, 7, 0, Step.HOLD),
        (Kind.DENIED, 7, 0, Step.HOLD),
        (Kind.DAMAGED, 7, 0, Step.RETRY),
        (Kind.DAMAGED, 1, 1, Step.FAIL),
        (Kind.REFUSED, 7, 0, Step.FAIL),
    ],
)
def test_what_follows_an_invocation_without_outcomes(
    kind: Kind, tasks: int, attempts: int, step: Step
) -> None:
    assert step_after(kind, tasks=tasks, attempts=attempts) is step


@pytest.mark.parametrize(
    ("kind", "attempts", "raised", "retries", "step"),
    [
        ("user", 0, 0, 0, Step.FAIL),
        ("user", 0, 1, 2, Step.RETRY),
        ("user", 0, 2, 2, Step.FAIL),
        ("missing_path", 0, 0, 1, Step.RETRY),
        ("store", 1, 0, 0, Step.RETRY),
        ("store", 6, 0, 0, Step.RETRY),
        ("store", 7, 0, 9, Step.FAIL),
        ("lost", 1, 0, 0, Step.RETRY),
        ("missing_module", 0, 0, 0, Step.REBUILD),
        ("damaged", 1, 0, 0, Step.RETRY),
        ("authentication", 0, 0, 0, Step.RETRY),
        ("authentication", 7, 0, 9, Step.FAIL),
        ("unshippable", 0, 0, 9, Step.FAIL),
    ],
)
def test_what_follows_a_tasks_error(kind: str, attempts: int, raised: int, retries: int, step: Step) -> None:
    assert step_after_error(kind, ours=True, attempts=attempts, raised=raised, retries=retries) is step


@pytest.mark.parametrize(
    ("kind", "idempotent", "step"),
    [
        (Kind.CUT_OFF, None, Step.RETRY),
        (Kind.CUT_OFF, True, Step.RETRY),
        (Kind.CUT_OFF, False, Step.UNKNOWN),
        (Kind.NO_ANSWER, False, Step.UNKNOWN),
        (Kind.SERVICE_FAILED, False, Step.UNKNOWN),
        (Kind.ENVIRONMENT_LOST, False, Step.UNKNOWN),
        (Kind.OUT_OF_MEMORY, False, Step.UNKNOWN),
        (Kind.TIMED_OUT, False, Step.FAIL),
        (Kind.THROTTLED, False, Step.WAIT),
        (Kind.UNREACHABLE, False, Step.HOLD),
        (Kind.STORE_FAILED, False, Step.RETRY),
        (Kind.EXPIRED, False, Step.RETRY),
        (Kind.MISSING_MODULE, False, Step.REBUILD),
    ],
)
def test_what_may_have_run_is_sent_again_only_where_it_may_run_twice(
    kind: Kind, idempotent: bool | None, step: Step
) -> None:
    assert step_after(kind, tasks=1, attempts=0, idempotent=idempotent) is step


@pytest.mark.parametrize(
    ("kind", "idempotent", "held_s"),
    [
        (Kind.CUT_OFF, None, 290.0),
        (Kind.CUT_OFF, True, 0.0),
        (Kind.SERVICE_FAILED, None, 290.0),
        (Kind.ENVIRONMENT_LOST, None, 0.0),
        (Kind.UNREACHABLE, None, 0.0),
    ],
)
def test_what_may_still_run_is_waited_for_unless_it_may_run_twice_at_once(
    kind: Kind, idempotent: bool | None, held_s: float
) -> None:
    assert hold_s(kind, since_s=10.0, timeout_s=300.0, idempotent=idempotent) == held_s
    assert hold_s(kind, since_s=301.0, timeout_s=300.0, idempotent=idempotent) == 0.0


@pytest.mark.parametrize(
    ("kind", "step"),
    [
        ("store", Step.UNKNOWN),
        ("lost", Step.RETRY),
        ("damaged", Step.RETRY),
        ("missing_module", Step.FAIL),
        ("user", Step.RETRY),
    ],
)
def test_a_task_that_ended_with_an_error_and_may_not_run_twice(kind: str, step: Step) -> None:
    assert step_after_error(kind, ours=True, attempts=0, raised=0, retries=1, idempotent=False) is step


@pytest.mark.parametrize("kind", ["lost", "damaged", "store"])
def test_what_another_run_keeps_cannot_be_made_again(kind: str) -> None:
    assert step_after_error(kind, ours=False, attempts=0, raised=0, retries=9) is Step.FAIL


@pytest.mark.parametrize(
    ("times", "again", "tasks", "too_often"),
    [(1, 0, 1, False), (2, 2, 1, False), (3, 2, 1, True), (1, 200, 100, False), (1, 201, 100, True)],
)
def test_how_often_a_store_may_lose_something(times: int, again: int, tasks: int, too_often: bool) -> None:
    assert lost_too_often(times, again=again, tasks=tasks) is too_often


@pytest.mark.parametrize(
    ("kind", "error", "remedy"),
    [
        (Kind.OUT_OF_MEMORY, OutOfMemoryError, "memory_mb="),
        (Kind.TIMED_OUT, TimedOutError, "timeout_s="),
        (Kind.ENVIRONMENT_LOST, EnvironmentLostError, "os._exit"),
        (Kind.THROTTLED, ThrottledError, "concurrency="),
    ],
)
def test_an_error_says_who_what_and_what_to_do(kind: Kind, error: type[Exception], remedy: str) -> None:
    raised = error_after(Failed(kind, "signal: killed"), what="task x")
    assert type(raised) is error
    assert str(raised).startswith(f"task x: {kind.value}: signal: killed. ")
    assert remedy in str(raised)


def test_waits_grow_and_are_bounded() -> None:
    longest = [max(backoff_s(tries, Random(seed)) for seed in range(50)) for tries in (0, 1, 4, 50)]
    assert longest == sorted(longest)
    assert longest[-1] <= LAST_BACKOFF_S
