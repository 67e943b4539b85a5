"""How fast a run goes: never faster than the account lets it, and no slower than that."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphlambda.scheduler.gate import Came, Gate, Moments
from graphlambda.scheduler.limits import AT_AWS, AT_AWS_WITHOUT_LOGS, UNPACED, Limits, Rates
from graphlambda.scheduler.pace import planned
from graphlambda.testing.account.quotas import Begun, InvokeQuotas, Reason, Throttle
from graphlambda.testing.account.quotas import Limits as Quotas
from graphlambda.testing.invokers import refusal
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import Bench, wide

if TYPE_CHECKING:
    from graphlambda.scheduler.invoke import Invoker, Reply


class Fleet:
    """An account's environments before an invoker: each invocation lasts, and its reply says whether it was cold."""

    def __init__(self, inner: Invoker, seconds: float, quotas: Quotas) -> None:
        self._inner = inner
        self._seconds = seconds
        self._quotas = InvokeQuotas(quotas)
        self.cold = self.late_logs = 0
        self.throttles: list[Reason] = []

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        now_s = asyncio.get_running_loop().time()
        begun = self._quotas.begin(function, now_s)
        if isinstance(begun, Throttle):
            self.throttles.append(begun.reason)
            return refusal(429, "TooManyRequestsException", begun.reason, begun.retry_after_s)
        self._count(begun)
        await asyncio.sleep(self._seconds)
        told = await self._inner.invoke(function, payload, timeout_s=timeout_s)
        self._quotas.end(function, asyncio.get_running_loop().time())
        return replace(told, payload=json.dumps({**json.loads(told.payload), "cold": begun.cold}).encode())

    async def close(self) -> None:
        await self._inner.close()

    def _count(self, begun: Begun) -> None:
        self.cold += begun.cold
        self.late_logs += begun.log_late_s > 0


def ran_s(bench: Bench, fleet: Fleet, tasks: int, limits: Limits, run: str = "r1") -> float:
    """Return how long a wide program takes, in virtual seconds."""

    async def going() -> float:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        values = await bench.execute(wide(tasks), fleet, run=run, clock=LoopClock(), limits=limits)
        assert values == [1 + sum(number + 1 for number in range(tasks))]
        return loop.time() - began_s

    return run_virtually(going())


def test_cold_starts_follow_the_log_streams_and_what_is_warm_goes_on_meanwhile(bench: Bench) -> None:
    fleet = Fleet(bench.inner, 1.0, Quotas())
    limits = Limits(concurrency=1000, batch=1, rates=AT_AWS)
    seconds = ran_s(bench, fleet, 300, limits)  # 50, 100 and 150 of them begin in the seconds 0, 1 and 2
    assert seconds == pytest.approx(4.0, abs=0.01)
    assert (fleet.cold, fleet.late_logs) == (151, 0)


def test_without_logs_all_begin_at_once(bench: Bench) -> None:
    fleet = Fleet(bench.inner, 1.0, Quotas())
    limits = Limits(concurrency=1000, batch=1, rates=AT_AWS_WITHOUT_LOGS)
    assert ran_s(bench, fleet, 300, limits) == pytest.approx(2.0, abs=0.01)
    assert fleet.cold == 301


def test_warm_environments_give_their_cold_starts_back(bench: Bench) -> None:
    async def twice() -> float:
        loop, limits = asyncio.get_running_loop(), Limits(concurrency=300, batch=1, rates=AT_AWS)
        fleet = Fleet(bench.inner, 0.2, Quotas())
        everything = replace(limits, rates=UNPACED)
        await bench.execute(wide(300), fleet, run="r1", clock=LoopClock(), limits=everything)
        began_s = loop.time()
        await bench.execute(wide(300), fleet, run="r2", clock=LoopClock(), limits=limits)
        return loop.time() - began_s

    assert run_virtually(twice()) <= 0.9  # 50, 100 and 150 of them, not 50 a second; then what adds them up


@pytest.mark.parametrize(("rates", "throttled"), [(AT_AWS, set()), (UNPACED, {Reason.RATE})])
def test_no_more_begin_than_ten_a_second_for_each_unit_of_concurrency(
    bench: Bench, rates: Rates, throttled: set[Reason]
) -> None:
    fleet = Fleet(bench.inner, 0.01, Quotas(concurrency=5))
    seconds = ran_s(bench, fleet, 200, Limits(concurrency=5, batch=1, rates=rates))
    assert set(fleet.throttles) == throttled
    assert seconds == pytest.approx(4.0, abs=0.1) or rates is UNPACED


@given(
    st.integers(1, 20),
    st.floats(0.05, 2.0),
    st.lists(st.floats(0.0, 0.3), max_size=200),
    st.sampled_from([0, 3]),
)
def test_in_no_stretch_of_time_do_more_begin_than_may(
    most: int, within_s: float, pauses_s: list[float], given_back: int
) -> None:
    moments, begun_s, now_s = Moments(most, within_s), [], 0.0
    for number, pause_s in enumerate(pauses_s):
        now_s += pause_s
        now_s += moments.wait_s(now_s)
        assert moments.wait_s(now_s) == 0.0
        moments.take(now_s)
        if given_back and number % given_back == 0:
            moments.give_back(now_s)
        else:
            begun_s.append(now_s)
    for first, later in zip(begun_s, begun_s[most:], strict=False):
        assert later - first >= within_s - 1e-5


def test_what_is_refused_made_no_environment_and_what_is_unknown_may_have() -> None:
    gate = Gate(Rates(cold_starts_per_s=1.0), concurrency=10)
    first = gate.enter("f", 0.0)
    assert (gate.wait_s("f", 0.25), gate.wait_s("g", 0.25)) == (0.75, 0.75)
    gate.leave(first, Came.NOWHERE)
    assert gate.wait_s("f", 0.25) == 0.0
    gate.leave(gate.enter("f", 0.5), Came.UNKNOWN)
    assert (gate.wait_s("f", 0.5), gate.wait_s("g", 0.5)) == (0.0, 1.0)
    gate.leave(gate.enter("f", 0.5), Came.WARM)  # the one that was there
    assert gate.wait_s("g", 0.75) == 0.75


@pytest.mark.parametrize(
    ("account", "wanted", "reserve", "plan"),
    [(1000, 0, 0, 1000), (1000, 0, 400, 600), (1000, 100, 400, 100), (1000, 800, 400, 600), (10, 50, 10, 0)],
)
def test_what_is_planned_leaves_others_their_share(
    account: int, wanted: int, reserve: int, plan: int
) -> None:
    assert planned(account, wanted=wanted, reserve=reserve) == plan


def test_a_run_with_a_narrow_window_is_never_held_by_cold_starts(bench: Bench) -> None:
    held_s = []
    for run, rates in (("r1", AT_AWS), ("r2", UNPACED)):
        fleet = Fleet(bench.inner, 0.5, Quotas(concurrency=40))
        held_s.append(ran_s(bench, fleet, 400, Limits(concurrency=40, batch=1, rates=rates), run))
    assert held_s[0] == held_s[1]
