"""The loop's thread: from any thread, inside a running loop, after a fork, and through Ctrl-C."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import pytest

from graphlambda.errors import RunCancelledError
from graphlambda.scheduler.thread import LoopThread, begin_on_loop

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def run_on_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    return begin_on_loop(coroutine).result()


async def name_of_thread() -> str:
    await asyncio.sleep(0)
    return threading.current_thread().name


def test_a_coroutine_runs_in_the_loops_own_thread() -> None:
    assert run_on_loop(name_of_thread()) == "graphlambda"


def test_it_works_inside_a_running_loop() -> None:
    async def notebook_cell() -> str:
        return run_on_loop(name_of_thread())

    assert asyncio.run(notebook_cell()) == "graphlambda"


def test_two_threads_run_at_once() -> None:
    async def meet(mine: asyncio.Event, other: asyncio.Event) -> bool:
        mine.set()
        return await asyncio.wait_for(other.wait(), 10)

    events = asyncio.Event(), asyncio.Event()
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(lambda: run_on_loop(meet(*events)))
        second = threads.submit(lambda: run_on_loop(meet(*reversed(events))))
        assert (first.result(20), second.result(20)) == (True, True)


def test_an_exception_is_raised_where_it_was_waited_for() -> None:
    async def fail() -> NoReturn:
        await asyncio.sleep(0)
        raise LookupError("here")

    with pytest.raises(LookupError, match="here"):
        run_on_loop(fail())


def test_waiting_for_the_loop_on_the_loop_is_refused() -> None:
    async def nested() -> str:
        return run_on_loop(name_of_thread())

    with pytest.raises(RuntimeError, match="cannot wait for another run"):
        run_on_loop(nested())


def test_a_coroutine_that_others_cancel_is_a_cancelled_run() -> None:
    async def cancelled() -> NoReturn:
        raise asyncio.CancelledError

    with pytest.raises(RunCancelledError):
        run_on_loop(cancelled())


def test_ctrl_c_cancels_waits_for_the_clean_up_and_is_raised() -> None:
    told: list[str] = []

    async def long() -> None:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.1)
            told.append("cleaned up")
            raise

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_on_loop(long())
    assert told == ["cleaned up"]
    assert time.monotonic() - started < 10
    assert run_on_loop(name_of_thread()) == "graphlambda"


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_loop_of_its_own() -> None:
    run_on_loop(name_of_thread())
    child = os.fork()
    if child == 0:
        os._exit(0 if run_on_loop(name_of_thread()) == "graphlambda" else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_loop_whose_thread_has_ended_is_made_again() -> None:
    own = LoopThread()
    own.begin(name_of_thread()).result()

    async def stop() -> None:
        asyncio.get_running_loop().call_soon(asyncio.get_running_loop().stop)

    own.begin(stop()).result()
    for thread in threading.enumerate():
        if thread is own._thread:
            thread.join(10)
    assert own.begin(name_of_thread()).result() == "graphlambda"
