"""A run's lease in its store is renewed whatever else goes on, and never after the run has let go of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from graphlambda.scheduler.blocking import in_thread
from graphlambda.scheduler.clock import SystemClock
from graphlambda.scheduler.limits import Limits
from graphlambda.scheduler.renewing import RENEW_EVERY_S, Renewing
from graphlambda.scheduler.values import Place, Values
from graphlambda.store.file import FileStore
from graphlambda.testing.programs import program_of
from graphlambda.testing.virtual import LoopClock, run_virtually
from tests.scheduler.bench import KEY, Bench

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.scheduler.invoke import Invoker, Reply
    from graphlambda.store import Store

TRANSFERS = 64
"""More than any machine of ours gives a loop threads for."""


class Renewed(FileStore):
    """A store that tells of a renewal."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._loop = asyncio.get_running_loop()
        self.renewed = asyncio.Event()

    def touch(self, run: str) -> None:
        super().touch(run)
        self._loop.call_soon_threadsafe(self.renewed.set)


def place_in(store: Store) -> Place:
    return Place(
        store=store, run="r1", key=KEY, keys_of=lambda _: KEY, dumps=lambda value, **_: value,
        limits=Limits(), clock=SystemClock(),
    )  # fmt: skip


def test_a_lease_is_renewed_while_transfers_take_all_threads(tmp_path: Path) -> None:
    ending = threading.Event()

    async def transferring() -> None:
        transfers = [
            asyncio.create_task(in_thread(ending.wait, timeout_s=60.0, what="storing a value"))
            for _ in range(TRANSFERS)
        ]
        await asyncio.sleep(0)
        store = Renewed(tmp_path)
        lease = Renewing(place_in(store), every_s=0.0)
        async with asyncio.timeout(10.0):
            await store.renewed.wait()
        await lease.end()
        ending.set()
        await asyncio.gather(*transfers)

    asyncio.run(transferring())


class Lasting:
    """An invoker whose invocations end a second after the lease is to be renewed first."""

    def __init__(self, inner: Invoker) -> None:
        self._inner = inner

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        await asyncio.sleep(RENEW_EVERY_S + 1.0)
        return await self._inner.invoke(function, payload, timeout_s=timeout_s)

    async def close(self) -> None:
        await self._inner.close()


def test_a_renewal_that_takes_longer_than_the_run_does_not_begin_it_again(bench: Bench) -> None:
    async def running() -> list[object]:
        values = await bench.execute(program_of([("f", 1)], [0]), Lasting(bench.inner), clock=LoopClock())
        await asyncio.sleep(60.0)
        return values

    def slowness() -> float:
        return 10.0 if asyncio.get_running_loop().time() == RENEW_EVERY_S else 0.0

    assert run_virtually(running(), slowness) == [2]
    assert bench.store.runs() == {}


def test_a_value_that_is_let_go_while_it_is_spilled_does_not_stay_in_the_store(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.touch("r1")
    values = Values(program_of([("f", 1)], [0]), place_in(store))

    async def released_meanwhile() -> list[str]:
        values.receive(0, b"frame", 5)
        spilling = asyncio.create_task(values.spill([0]))
        await asyncio.sleep(0.5)
        values.release([0])
        await spilling
        return values.let_go()

    assert run_virtually(released_meanwhile(), lambda: 1.0) == ["v-0"]
    assert values.held_bytes == 0


def test_what_holds_a_key_does_not_show_it(tmp_path: Path) -> None:
    assert repr(KEY) not in repr(place_in(FileStore(tmp_path)))
