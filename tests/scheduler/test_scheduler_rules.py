"""The rule of each kind of failure, as a run shows it: every attempt, every wait, and what is said in the end."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.compiler.program import Input
from graphlambda.errors import (
    AuthenticationError,
    CloudError,
    EnvironmentLostError,
    InvokeError,
    LostValueError,
    OutcomeUnknownError,
    OutOfMemoryError,
    RunError,
    StoreError,
    ThrottledError,
    TimedOutError,
)
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import InvocationStarted, TaskRetried
from graphlambda.testing.invokers import function_error, lost, refusal
from graphlambda.testing.programs import program_of
from tests.scheduler.bench import DEAD, KILLED, LATE, THROTTLED, WIDE_12, Bench, wide
from tests.scheduler.test_scheduler_losses import losing

if TYPE_CHECKING:
    from graphlambda.testing.invokers import Fault

ONE = program_of([("f", 1)], [0])
CUT = ConnectionResetError("reset by the peer")
SILENT = TimeoutError("no answer")
BUSY = refusal(500, "ServiceException")
REFUSED = ConnectionRefusedError("nobody listens")
NO_STORE = function_error("ValueStoreError", "cannot read value b-1 of run r1")
EXPIRED = refusal(403, "ExpiredTokenException")
FUNCTION_S = 300.0


def story(bench: Bench, fault: Fault, times: int, **limits: Any) -> tuple[list[int], list[float], str]:
    """Run one task that meets a fault so often; return its attempts' numbers, the waits, and how it ended."""
    bounds = Limits(batch=1, function_timeout_s=FUNCTION_S, **limits)
    try:
        (value,) = bench.run(ONE, [fault] * times, limits=bounds)
        end = f"{value}"
    except RunError as error:
        end = type(error).__name__
    return [event.attempt for event in bench.of(InvocationStarted)], bench.clock.slept_s, end


@pytest.mark.parametrize(
    ("fault", "times", "attempts", "waits_s", "end"),
    [
        (THROTTLED, 3, [1, 1, 1, 1], [0.1, 0.2, 0.4], "2"),
        (REFUSED, 3, [1, 1, 1, 1], [0.05, 0.1, 0.2], "2"),
        (CUT, 1, [1, 2], [FUNCTION_S], "2"),
        (CUT, 9, [1, 2, 3, 4, 5], [FUNCTION_S] * 4, "InvokeError"),
        (SILENT, 9, [1, 2, 3], [FUNCTION_S] * 2, "EnvironmentLostError"),
        (BUSY, 9, [1, 2, 3, 4, 5], [FUNCTION_S] * 4, "InvokeError"),
        (DEAD, 2, [1, 2, 3], [0.1, 0.2], "2"),
        (DEAD, 9, [1, 2, 3], [0.1, 0.2], "EnvironmentLostError"),
        (LATE, 9, [1], [], "TimedOutError"),
        (KILLED, 9, [1], [], "OutOfMemoryError"),
        (NO_STORE, 7, [1, 2, 3, 4, 5, 6, 7, 8], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4], "2"),
        (NO_STORE, 9, [1, 2, 3, 4, 5, 6, 7, 8], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4], "StoreError"),
        (EXPIRED, 1, [1, 2], [0.1], "2"),
        (EXPIRED, 9, [1, 2], [0.1], "InvokeError"),
        (function_error("FrameError", "the frame of r1/batch is damaged"), 1, [1, 2], [0.1], "2"),
        (
            function_error("FrameError", "the frame of r1/batch is damaged"),
            9,
            [1, 2],
            [0.1],
            "AuthenticationError",
        ),
        (refusal(403, "RequestTimeTooSkewed"), 1, [1, 2], [0.1], "2"),
        (refusal(403, "RequestTimeTooSkewed"), 9, [1, 2], [0.1], "InvokeError"),
        (refusal(502, "InvalidZipFileException"), 9, [1], [], "InvokeError"),
    ],
)
def test_each_kind_is_tried_so_often_with_such_waits_and_ends_so(
    bench: Bench, fault: Fault, times: int, attempts: list[int], waits_s: list[float], end: str
) -> None:
    """A wait has up to half less of jitter, but for one that has a reason of its own."""
    told_attempts, told_waits_s, told_end = story(bench, fault, times)
    assert (told_attempts, told_end) == (attempts, end)
    assert len(told_waits_s) == len(waits_s)
    for told_s, wait_s in zip(told_waits_s, waits_s, strict=True):
        assert wait_s / 2 <= told_s <= wait_s
        assert wait_s != FUNCTION_S or told_s == wait_s


@pytest.mark.parametrize("fault", [REFUSED, EXPIRED])
def test_a_batch_that_reached_no_function_goes_together_again(bench: Bench, fault: Fault) -> None:
    assert bench.run(wide(12), [fault], limits=Limits(batch=12, concurrency=1)) == WIDE_12
    assert [len(event.tasks) for event in bench.of(InvocationStarted)] == [12, 12, 1]


def test_each_kind_has_a_bound_of_its_own_whatever_else_befalls_the_task(bench: Bench) -> None:
    outage: list[Fault] = [CUT, *[BUSY] * 2, *[NO_STORE] * 2]
    assert bench.run(ONE, outage * 2, limits=Limits(batch=1)) == [2]
    assert [event.attempt for event in bench.of(InvocationStarted)] == list(range(1, 12))


@pytest.mark.parametrize(
    ("fault", "error", "said"),
    [
        (THROTTLED, ThrottledError, r"no invocation was accepted for \d+ s: throttled: .*`concurrency=`"),
        (
            CUT,
            InvokeError,
            r"task \('t', 0\) of operation f \(function gl-f\): cut off: reset by the peer\. Is the network",
        ),
        (
            SILENT,
            EnvironmentLostError,
            r"no answer: no answer\. Look at the function's log; see `timeout_s=`",
        ),
        (LATE, TimedOutError, r"timed out: .*3\.00 seconds\. Give it longer with `timeout_s=`"),
        (KILLED, OutOfMemoryError, r"out of memory: .*`memory_mb=`"),
        (NO_STORE, StoreError, r"store failed: cannot read value b-1 of run r1\. Is the store up"),
        (EXPIRED, InvokeError, r"credentials expired: .*`aws sso login`"),
        (
            function_error("FrameError", "bad"),
            AuthenticationError,
            r"damaged frame: bad\. Nothing was un-pickled",
        ),
    ],
)
def test_in_the_end_it_is_said_who_what_and_what_to_do(
    bench: Bench, fault: Fault, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        bench.run(ONE, [fault] * 999, limits=Limits(stall_s=60))


# ---- executed once, or known not to be -------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [CUT, SILENT, BUSY])
def test_what_may_still_run_is_sent_again_at_once_where_it_may_run_twice(bench: Bench, fault: Fault) -> None:
    attempts, waits_s, end = story(bench, fault, 1, idempotent=True)
    assert (attempts, end) == ([1, 2], "2")
    assert max(waits_s) <= 0.1


@pytest.mark.parametrize("fault", [CUT, SILENT, BUSY, DEAD, KILLED, lost])
def test_what_may_have_run_is_never_sent_again_where_it_may_not(bench: Bench, fault: Fault) -> None:
    assert story(bench, fault, 1, idempotent=False) == ([1], [], "OutcomeUnknownError")


@pytest.mark.parametrize("fault", [THROTTLED, REFUSED, NO_STORE, EXPIRED])
def test_what_cannot_have_run_is_sent_again_even_so(bench: Bench, fault: Fault) -> None:
    assert story(bench, fault, 1, idempotent=False)[2] == "2"


def test_an_unknown_outcome_says_so(bench: Bench) -> None:
    said = r"task \('t', 0\) of operation f \(function gl-f\): cut off: reset.*Whether it ran is not known.*idempotent=False"
    with pytest.raises(OutcomeUnknownError, match=said):
        bench.run(ONE, [CUT], limits=Limits(idempotent=False))


def test_a_batch_that_was_cut_off_waits_until_it_is_over_and_charges_nobody(bench: Bench) -> None:
    limits = Limits(batch=12, concurrency=1, function_timeout_s=FUNCTION_S)
    assert bench.run(wide(12), [CUT], limits=limits) == WIDE_12
    assert bench.clock.slept_s == [FUNCTION_S]
    assert [len(event.tasks) for event in bench.of(InvocationStarted)] == [12, *[1] * 12, 1]
    assert {event.attempt for event in bench.of(InvocationStarted)} == {1}


def test_a_lost_value_is_not_made_again_where_its_task_may_not_run_twice(bench: Bench) -> None:
    limits = Limits(batch=1, inline_bytes=0, idempotent=False)
    with pytest.raises(LostValueError, match=r"task \('t', 0\) would have to run again .*idempotent=False"):
        bench.run(program_of([("f", 1), ("g", Input(0))], [1]), [losing(bench, "v-0")], limits=limits)
    assert len(bench.calls) == 1


def test_a_task_whose_value_could_not_be_stored_is_unknown_where_it_may_not_run_twice(bench: Bench) -> None:
    def unroll() -> bytes:
        (bench.store.root / "r1").rename(bench.store.root / ".gone")
        return bytes(100)

    bench.operations["gl-f"] = unroll
    with pytest.raises(OutcomeUnknownError, match="cannot write value v-0"):
        bench.run(program_of([("f",)], [0]), limits=Limits(inline_bytes=0, idempotent=False))


@pytest.mark.parametrize(
    ("said", "setting", "wanted"),
    [(True, False, [2]), (True, None, [2]), (False, True, None), (False, None, None)],
)
def test_what_is_said_of_an_operation_counts_before_the_runs_setting(
    bench: Bench, said: bool, setting: bool | None, wanted: list[int] | None
) -> None:
    program = replace(ONE, idempotent={"ffffffff": said})
    limits = Limits(batch=1, idempotent=setting)
    if wanted is None:
        with pytest.raises(OutcomeUnknownError):
            bench.run(program, [CUT], limits=limits)
    else:
        assert bench.run(program, [CUT], limits=limits) == wanted
        assert max(bench.clock.slept_s) <= 0.1


# ---- twins -----------------------------------------------------------------------------------------------------


class Forbidden:
    """May not make functions."""

    async def larger(self, _operation: str, _function: str) -> str | None:
        await asyncio.sleep(0)
        raise CloudError(
            "CreateFunction", "AccessDeniedException", "not authorized to perform lambda:CreateFunction"
        )

    with_module = None


def test_a_larger_function_that_may_not_be_made_is_told_with_its_reason(bench: Bench) -> None:
    with pytest.raises(
        OutOfMemoryError, match=r"could not be made: CreateFunction failed with AccessDenied.*memory_mb="
    ) as raised:
        bench.run(ONE, [KILLED], provisioner=Forbidden())
    assert isinstance(raised.value.__cause__, CloudError)


# ---- failing ---------------------------------------------------------------------------------------------------


def test_a_failure_stops_new_work_at_once(bench: Bench) -> None:
    with pytest.raises(TimedOutError):
        bench.run(wide(50), [None, None, LATE], limits=Limits(batch=1, concurrency=2))
    assert len(bench.of(InvocationStarted)) <= 4


def test_what_is_retried_is_told_with_its_reason(bench: Bench) -> None:
    story(bench, CUT, 1)
    assert [(event.task, event.reason) for event in bench.of(TaskRetried)] == [(0, "cut off")]
