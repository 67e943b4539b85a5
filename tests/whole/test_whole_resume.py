"""Runs in the background, and runs whose client is killed: another process goes on with them."""

from __future__ import annotations

import ast
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import dask.array as da
import pytest
from dask import delayed

import graphlambda
from graphlambda.api.session import session_of
from graphlambda.config import load
from graphlambda.errors import DeadlineError, NoSuchRunError, RunCancelledError
from graphlambda.store.claims import CLAIM_S
from tests.whole.conftest import START_S, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.whole.conftest import Scripts

linux = pytest.mark.skipif(sys.platform != "linux", reason="tells by /proc that a client is dead")

DYING = """
    import os, signal, sys, time
    import dask
    import dask.array as da
    import numpy as np
    import graphlambda

    def marked(block, block_id=None):
        time.sleep(0.15)
        while not os.path.exists(MARKS + ".all") and os.path.exists(MARKS) and len(open(MARKS).read().split()) > 5:
            time.sleep(0.01)  # the others are left to whoever resumes
        with open(MARKS, "a") as file:
            file.write(f"{block_id[0]}\\n")
        return block * (block_id[0] + 1)

    MARKS = os.path.abspath("marks")
    values = da.ones((24, 100_000), chunks=(2, 100_000)).map_blocks(marked, dtype="f8")
    handle = graphlambda.submit(values.sum(axis=1), batch=1, progress=False)
    print(handle.id, flush=True)
    LIVING
"""


def killed(scripts: Scripts, count: int) -> str:
    """Start a run, kill its client when so many tasks are committed, and return the run's id."""
    with scripts.start(DYING.replace("LIVING", "time.sleep(120)")) as client:
        assert client.stdout is not None
        run = client.stdout.readline().strip()
        wait_for(
            lambda: any(each.id == run and each.done >= count for each in graphlambda.runs()),
            "tasks are committed",
            START_S,
        )
        client.kill()
    assert run, "the client never began"
    return run


@linux
def test_another_process_goes_on_with_a_run_whose_client_was_killed(scripts: Scripts) -> None:
    marks = scripts.folder / "marks"
    run = killed(scripts, 6)
    (waiting,) = [each for each in graphlambda.runs() if each.id == run]
    assert (waiting.tasks > waiting.done >= 6, waiting.holder) == (True, "")
    printed = scripts.run(f"""
        import pathlib
        import graphlambda
        pathlib.Path("marks.all").touch()
        (values,) = graphlambda.resume({run!r}, progress=False)
        print(values.tolist())
    """)
    expected = [100_000.0 * (block + 1) for block in range(12) for _ in range(2)]
    assert ast.literal_eval(printed.splitlines()[-1]) == expected
    done = [int(mark) for mark in marks.read_text().split()]
    assert set(done) == set(range(12))
    assert len(done) - 12 <= 3, "only what was not committed when the client died may have run twice"
    assert run not in [each.id for each in graphlambda.runs()]
    with pytest.raises(NoSuchRunError, match=run):
        graphlambda.resume(run)


CANCELLED = """
    try:
        handle.result()
    except graphlambda.errors.RunCancelledError as error:
        print(error)
"""


@linux
def test_a_run_is_cancelled_from_another_process_and_its_client_says_by_whom(scripts: Scripts) -> None:
    text = DYING.replace(
        "time.sleep(0.15)", "time.sleep(30 * (block.size > 1))"
    ).replace(  # not where Dask looks what it gives
        "    LIVING", CANCELLED
    )
    client = scripts.start(text.replace("import graphlambda\n", "import graphlambda, graphlambda.errors\n"))
    try:
        assert client.stdout is not None
        run = client.stdout.readline().strip()
        wait_for(lambda: run in [each.id for each in graphlambda.runs()], "the run has begun", START_S)
        listed = command("runs").splitlines()
        (row,) = [line.split("  ") for line in listed if line.startswith(run)]
        assert row[1].strip() == "running"
        assert f"process {client.pid} on " in row[-1]
        assert command("cancel", run) == f"Run {run} has ended; nothing is left of it.\n"
        printed, errors = client.communicate(timeout=START_S)
    finally:
        client.kill()
    assert printed.startswith(f"run {run} was cancelled by process "), errors
    assert run not in [each.id for each in graphlambda.runs()]


@linux
def test_a_run_whose_client_is_dead_is_cancelled_by_whoever_says_so(
    scripts: Scripts, runs: Callable[[], set[str]]
) -> None:
    run = killed(scripts, 2)
    assert run in runs()
    started_s = time.monotonic()
    graphlambda.cancel(run)
    assert time.monotonic() - started_s < CLAIM_S, "a client that is seen to be dead is not waited for"
    assert (run in runs(), run in [each.id for each in graphlambda.runs()]) == (False, False)
    for gone in (graphlambda.cancel, graphlambda.resume):
        with pytest.raises(NoSuchRunError, match=run):
            gone(run)


def command(*arguments: str) -> str:
    """Return what a command of ours prints."""
    done = subprocess.run(
        [sys.executable, "-m", "graphlambda", *arguments],
        check=False, capture_output=True, text=True, timeout=START_S,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def slow(number: int) -> int:
    import time

    time.sleep(0.3)
    return number


def test_a_run_in_the_background_gives_what_compute_gives() -> None:
    handle = graphlambda.submit([delayed(slow)(number) for number in range(4)], {"a": delayed(slow)(7)})
    assert not handle.done()
    with pytest.raises(TimeoutError):
        handle.result(timeout=0.01)
    assert handle.result(timeout=120) == ([0, 1, 2, 3], {"a": 7})
    assert handle.done()
    assert repr(handle) == f"<RunHandle {handle.id} done>"


def test_runs_in_the_background_go_on_at_once_and_from_any_thread() -> None:
    with ThreadPoolExecutor(3) as threads:
        handles = list(threads.map(lambda n: graphlambda.submit(delayed(slow)(n)), range(3)))
        assert list(threads.map(lambda handle: handle.result(120), handles)) == [(0,), (1,), (2,)]


def very_slow(number: int) -> int:
    import time

    time.sleep(60)
    return number


def test_a_cancelled_run_ends_at_once_and_leaves_nothing() -> None:
    graphlambda.compute(delayed(slow)(1))
    handle = graphlambda.submit([delayed(very_slow)(number) for number in range(4)])
    wait_for(lambda: handle.id in [each.id for each in graphlambda.runs()], "the run has begun")
    started_s = time.monotonic()
    handle.cancel()
    with pytest.raises(RunCancelledError):
        handle.result(timeout=30)
    assert time.monotonic() - started_s < 10
    assert handle.id not in [each.id for each in graphlambda.runs()]
    handle.cancel()


def test_a_run_that_is_cancelled_before_it_begins_never_does() -> None:
    handle = graphlambda.submit(delayed(slow)(2))
    handle.cancel()
    with pytest.raises(RunCancelledError):
        handle.result(timeout=30)


def test_a_deadline_ends_a_run_with_an_error_that_names_it() -> None:
    with pytest.raises(DeadlineError, match="deadline_s=1"):
        graphlambda.compute(delayed(very_slow)(3), deadline_s=1)


def test_a_stopped_run_says_what_lambda_cannot_stop_and_what_that_costs() -> None:
    graphlambda.compute(delayed(slow)(1))
    local = session_of(load({})).local
    assert local is not None
    with pytest.raises(DeadlineError) as caught:
        graphlambda.compute(
            delayed(very_slow)(5), endpoint=local.endpoint, deadline_s=4, memory_mb=1024, timeout_s=100
        )
    (note,) = caught.value.__notes__
    assert note.startswith(
        "1 invocation that Lambda cannot stop may go on until the current task ends, at most 9"
    )
    assert note.endswith("GB-s, 0.0016 USD")


def fails_without(numbers: list[int], path: str) -> list[int]:
    from pathlib import Path

    if not Path(path).exists():
        raise FileNotFoundError(path)
    return numbers


def test_a_run_that_failed_says_how_to_go_on_with_it(tmp_path: Path) -> None:
    path = tmp_path / "mended"
    numbers = [delayed(slow)(number) for number in range(3)]
    with pytest.raises(FileNotFoundError) as caught:
        graphlambda.compute(delayed(fails_without)(numbers, str(path)), paths=[tmp_path])
    (note,) = [note for note in caught.value.__notes__ if "graphlambda.resume(" in note]
    path.touch()
    run = note.partition("'")[2].partition("'")[0]
    assert graphlambda.resume(run) == ([0, 1, 2],)


def test_a_saved_program_holds_the_literals_of_each_block(tmp_path: Path) -> None:
    blocks = da.ones((4, 3), chunks=(2, 3)).map_blocks(
        lambda block, block_id: block + block_id[0], dtype="f8"
    )
    program = graphlambda.compile(blocks)
    program.save(tmp_path / "blocks")
    saved = graphlambda.load_program(tmp_path / "blocks")
    bound = [[program.bindings(task) for task in range(each.task_count)] for each in (program, saved)]
    assert repr(bound[0]) == repr(bound[1])
