"""Waits that are bounded by one timer end as those of `asyncio.timeout` do."""

from __future__ import annotations

import asyncio

import pytest

from graphlambda.scheduler.bounds import Bounds

LONG_S, SHORT_S = 60.0, 0.01


async def waiting(bounds: Bounds, seconds: float) -> str:
    """Wait for what never comes."""
    try:
        with bounds.within(seconds):
            await asyncio.Event().wait()
    except TimeoutError:
        return "over"
    return "came"


def test_each_wait_ends_at_its_own_bound_however_late_it_began() -> None:
    async def run() -> tuple[set[str], bool]:
        bounds = Bounds()
        long = asyncio.create_task(waiting(bounds, LONG_S))
        await asyncio.sleep(0)
        short = [asyncio.create_task(waiting(bounds, SHORT_S * times)) for times in (2, 1, 3)]
        ended = set(await asyncio.wait_for(asyncio.gather(*short), LONG_S / 2))
        still = not long.done()
        long.cancel()
        return ended, still

    assert asyncio.run(run()) == ({"over"}, True)


def test_a_wait_that_ended_in_time_is_left_alone() -> None:
    async def run() -> str:
        bounds = Bounds()
        with bounds.within(SHORT_S):
            pass
        assert await waiting(bounds, 2 * SHORT_S) == "over"  # the timer of both has rung
        return "alive"

    assert asyncio.run(run()) == "alive"


def test_who_is_cancelled_is_not_told_of_a_timeout() -> None:
    async def run() -> None:
        task = asyncio.create_task(waiting(Bounds(), LONG_S))
        await asyncio.sleep(0)
        task.cancel()
        await task

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())


def test_a_wait_within_a_wait_ends_the_one_that_is_over() -> None:
    async def run(outer_s: float, inner_s: float) -> list[str]:
        bounds, told = Bounds(), list[str]()
        try:
            with bounds.within(outer_s):
                told.append(await waiting(bounds, inner_s))
        except TimeoutError:
            told.append("outer")
        return told

    assert asyncio.run(run(LONG_S, SHORT_S)) == ["over"]
    assert asyncio.run(run(SHORT_S, LONG_S)) == ["outer"]
