"""A run that somebody else ends: by a mark in its folder, which its client sees when it renews its lease."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import pytest

from graphlambda.errors import RunCancelledError
from graphlambda.scheduler.blocking import in_thread, own_thread
from graphlambda.scheduler.keeper import Durable
from graphlambda.scheduler.renewing import RENEW_EVERY_S
from graphlambda.scheduler.stopping import Stoppable
from graphlambda.store.claims import cancel, canceller, this_client
from graphlambda.store.folders import DiskFolder, DiskFolders
from graphlambda.testing.stores import Passing
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import Bench, wide

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.scheduler.invoke import Reply

FOLDER_KEY = bytes(range(32))
CANCELLED_AFTER_S = 20.0


class Patient:
    """An invoker whose invocations take a minute; knows when each was sent."""

    def __init__(self, bench: Bench) -> None:
        self.sent_s: list[float] = []
        self._inner = bench.inner

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        self.sent_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60.0)
        return await self._inner.invoke(function, payload, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()


@pytest.fixture
def folder(tmp_path: Path) -> DiskFolder:
    return DiskFolders(tmp_path / "runs").of("r1")


def durable(folder: DiskFolder) -> Durable:
    return Durable(folder=folder, key=FOLDER_KEY, saved={"program": 1})


async def cancelled_later(bench: Bench, folder: DiskFolder, invoker: Patient) -> tuple[str, float]:
    """Cancel a run from outside; return what its client raises, and how long after."""
    loop = asyncio.get_running_loop()
    loop.call_later(CANCELLED_AFTER_S, cancel, folder, this_client())
    with pytest.raises(RunCancelledError) as raised:
        await bench.execute(wide(3), invoker, durable=durable(folder), clock=LoopClock())
    return str(raised.value), loop.time() - CANCELLED_AFTER_S


def test_a_client_sees_that_its_run_was_cancelled_when_it_renews_its_lease_and_leaves_nothing(
    bench: Bench, folder: DiskFolder
) -> None:
    invoker = Patient(bench)
    said, after_s = run_virtually(cancelled_later(bench, folder, invoker))
    assert said == f"run r1 was cancelled by {this_client()}"
    assert f"process {os.getpid()} on " in said
    assert after_s <= RENEW_EVERY_S
    assert (len(invoker.sent_s), max(invoker.sent_s)) == (3, 0.0)
    assert (folder.names(), bench.store.runs()) == ([], {})


def test_the_folder_of_a_cancelled_run_goes_last_since_who_cancelled_waits_for_that(
    bench: Bench, folder: DiskFolder
) -> None:
    there: dict[str, bool] = {}
    bench.store = Passing(bench.store, lambda method: there.update({method: bool(folder.names())}))  # type: ignore[assignment]
    run_virtually(cancelled_later(bench, folder, Patient(bench)))
    assert (there["cancel"], there["drop"], folder.names()) == (True, True, [])


def test_a_run_is_cancelled_once(folder: DiskFolder) -> None:
    folder.begin()
    first, second = this_client(), type(this_client())(nonce="n", process=1, host="elsewhere")
    for owner in (first, second):
        cancel(folder, owner)
    assert canceller(folder) == str(first)


# ---- a block that is stopped from beside it ------------------------------------------------------------------------


def stopped(work: Any) -> list[str]:
    """Return how a block ended that is stopped after a second, and what its coroutine then still could do."""

    async def outer() -> list[str]:
        told: list[str] = []
        try:
            async with Stoppable() as block:
                asyncio.get_running_loop().call_later(1.0, block.stop, ValueError("stopped"))
                await work(block)
        except (ValueError, KeyError) as error:
            told.append(type(error).__name__)
        block.stop(ValueError("too late"))
        await asyncio.sleep(5.0)
        return [*told, "went on"]

    return run_virtually(outer())


async def waits(_block: Stoppable) -> None:
    await asyncio.sleep(9.0)


async def ends(_block: Stoppable) -> None:
    await asyncio.sleep(0.5)


async def ends_just_then(block: Stoppable) -> None:
    block.stop(ValueError("at the last moment"))


async def fails_just_then(block: Stoppable) -> None:
    block.stop(ValueError("at the last moment"))
    raise KeyError


def test_a_block_ends_with_the_error_that_stopped_it_and_what_comes_after_goes_on() -> None:
    assert [stopped(work) for work in (waits, ends, ends_just_then)] == [
        ["ValueError", "went on"],
        ["went on"],
        ["ValueError", "went on"],
    ]
    assert stopped(fails_just_then)[1:] == ["went on"]


def test_a_block_whose_coroutine_is_cancelled_as_well_is_cancelled() -> None:
    async def outer() -> bool:
        async def inner() -> None:
            async with Stoppable() as block:
                asyncio.get_running_loop().call_later(1.0, block.stop, ValueError("stopped"))
                await asyncio.sleep(9.0)

        task = asyncio.create_task(inner())
        asyncio.get_running_loop().call_later(1.0, task.cancel)
        await asyncio.wait([task])
        return task.cancelled()

    assert run_virtually(outer())


# ---- leases ---------------------------------------------------------------------------------------------------------


def test_a_renewal_does_not_wait_behind_transfers() -> None:
    async def outer() -> str:
        over = threading.Event()
        busy = [
            asyncio.create_task(in_thread(lambda: over.wait(30), timeout_s=30, what="a transfer"))
            for _ in range(64)
        ]
        await asyncio.sleep(0)
        try:
            with own_thread() as thread:
                return await in_thread(lambda: "renewed", timeout_s=10, what="a renewal", thread=thread)
        finally:
            over.set()
            await asyncio.gather(*busy)

    assert asyncio.run(outer()) == "renewed"
