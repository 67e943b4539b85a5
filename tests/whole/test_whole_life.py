"""The life of a run: interrupted, killed, in threads, in a running loop, after a fork. Nothing stays behind."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dask.array as da
import pytest
from dask import delayed

import graphlambda
from tests.whole.conftest import START_S, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from tests.whole.conftest import Scripts

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes through /proc")

LONG = """
    import sys, time
    import dask
    import graphlambda

    def note(event, arguments):  # which run this is: its lease is opened when it begins
        if event == "open" and isinstance(arguments[0], str) and arguments[0].endswith("/.lease"):
            print("run", arguments[0].split("/")[-2], flush=True)

    def slow(number):
        time.sleep(60)

    graphlambda.compute(dask.delayed(abs)(1))  # the service is up, and one environment warm
    sys.addaudithook(note)
    try:
        graphlambda.compute([dask.delayed(slow)(number) for number in range(6)])
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        AFTER
"""


def begun(client: subprocess.Popen[str]) -> str:
    """Return the number of the run that a client has begun; its tasks sleep a moment later."""
    assert client.stdout is not None
    word, _, run = client.stdout.readline().partition(" ")
    assert word == "run", client.communicate(timeout=5)
    time.sleep(2.0)
    return run.strip()


@linux
def test_ctrl_c_ends_a_run_within_ten_seconds_and_leaves_nothing(
    scripts: Scripts, runs: Callable[[], set[str]]
) -> None:
    with scripts.start(LONG.replace("AFTER", "pass")) as client:
        run = begun(client)
        assert run in runs()
        started_s = time.monotonic()
        client.send_signal(signal.SIGINT)
        printed, errors = client.communicate(timeout=START_S)
    assert time.monotonic() - started_s < 10
    assert (client.returncode, printed.splitlines()[-1]) == (0, "interrupted"), errors
    assert run not in runs()
    wait_for(lambda: not scripts.left(), "no process is left")


@linux
def test_after_ctrl_c_the_next_run_works_and_finds_no_task_of_the_last(scripts: Scripts) -> None:
    after = """print("next", graphlambda.compute([dask.delayed(slow2)(n) for n in range(4)])[0])"""
    text = LONG.replace("AFTER", after).replace(
        "    def slow(", "    def slow2(number):\n        return number\n\n    def slow("
    )
    with scripts.start(text) as client:
        begun(client)
        client.send_signal(signal.SIGINT)
        started_s = time.monotonic()
        printed, errors = client.communicate(timeout=START_S)
    assert "next [0, 1, 2, 3]" in printed, errors
    assert time.monotonic() - started_s < 30
    wait_for(lambda: not scripts.left(), "no process is left")


BUILDING = """
    import dask.array as da
    import graphlambda

    print("building", flush=True)
    try:
        graphlambda.compute(da.ones(10, chunks=5).sum())
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_ctrl_c_ends_a_build_within_five_seconds(scripts: Scripts, tmp_path: Path) -> None:
    with scripts.start(BUILDING, GRAPHLAMBDA_CACHE_DIR=str(tmp_path / "empty")) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == "building\n"
        time.sleep(1.0)
        started_s = time.monotonic()
        client.send_signal(signal.SIGINT)
        printed, errors = client.communicate(timeout=START_S)
    assert time.monotonic() - started_s < 5
    assert (client.returncode, printed) == (0, "interrupted\n"), errors


@linux
def test_a_killed_client_leaves_no_process(scripts: Scripts) -> None:
    with scripts.start(LONG) as client:
        begun(client)
        assert len(scripts.left()) > 2
        client.kill()
        client.wait()
    wait_for(lambda: not scripts.left(), "no process is left")


def test_two_threads_compute_at_once() -> None:
    def total(size: int) -> int:
        return int(graphlambda.compute(da.arange(size, chunks=7).sum())[0])

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(total, [30, 40, 50, 60])) == [435, 780, 1225, 1770]


def test_compute_works_inside_a_running_loop() -> None:
    async def notebook_cell() -> object:
        return graphlambda.compute(delayed(abs)(-3))

    assert asyncio.run(notebook_cell()) == (3,)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes_and_its_end_does_not_disturb_its_parent(scripts: Scripts) -> None:
    printed = scripts.run(
        """
        import os
        import dask
        import graphlambda

        print(graphlambda.compute(dask.delayed(abs)(-1)), flush=True)
        child = os.fork()
        if child == 0:
            print(graphlambda.compute(dask.delayed(abs)(-2)), flush=True)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(graphlambda.compute(dask.delayed(abs)(-3)), flush=True)
        """
    )
    assert printed == "(1,)\n(2,)\n(3,)\n"
    wait_for(lambda: not scripts.left(), "no process is left")


def test_a_killed_service_is_replaced_by_the_next_run(scripts: Scripts) -> None:
    printed = scripts.run(
        """
        import os, signal
        import dask
        import graphlambda
        from graphlambda.api import session

        print(graphlambda.compute(dask.delayed(abs)(-1)))
        (opened,) = session._sessions.values()
        opened.local._process.kill()
        opened.local._process.wait()
        print(graphlambda.compute(dask.delayed(abs)(-2)))
        """
    )
    assert printed == "(1,)\n(2,)\n"
    wait_for(lambda: not scripts.left(), "no process is left")


def test_a_client_that_ends_leaves_no_process(scripts: Scripts) -> None:
    scripts.run("import dask, graphlambda\nprint(graphlambda.compute(dask.delayed(abs)(-1)))")
    wait_for(lambda: not scripts.left(), "no process is left", timeout_s=5)
