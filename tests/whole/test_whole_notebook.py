"""A real Jupyter kernel: cells compute, are interrupted, and its processes go with it."""

from __future__ import annotations

import sys
import time
from queue import Empty
from typing import TYPE_CHECKING, Any

import pytest
from jupyter_client.manager import KernelManager

from tests.whole.conftest import START_S, Scripts, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="looks for processes through /proc"),
    pytest.mark.filterwarnings("default"),
]

CELL = """
import dask, time
import graphlambda
from dask import delayed

class Cell:
    def __init__(self, number):
        self.number = number

class CellError(Exception):
    pass

def slow(number):
    print("started", number)
    time.sleep(60)

def fail():
    raise CellError("of a cell")
"""


class Notebook:
    """A kernel that cells are sent to."""

    def __init__(self, folder: str) -> None:
        self.manager = KernelManager(kernel_name="python3")
        self.manager.start_kernel(cwd=folder)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=START_S)

    def send(self, text: str) -> str:
        """Send a cell; return its number."""
        return str(self.client.execute(text))

    def wait(self, cell: str, timeout_s: float = START_S) -> str:
        """Return what a cell printed, showed and raised, once it has ended."""
        told, end_s = "", time.monotonic() + timeout_s
        while time.monotonic() < end_s:
            try:
                message: Any = self.client.get_iopub_msg(timeout=1)
            except Empty:
                continue
            if message["parent_header"].get("msg_id") != cell:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                return told
            told += _text_of(message["msg_type"], content)
        raise AssertionError(f"not within {timeout_s:g} s: the end of a cell that told {told!r}")

    def run(self, text: str) -> str:
        return self.wait(self.send(text))

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


def _text_of(kind: str, content: Any) -> str:
    if kind == "stream":
        return str(content["text"])
    if kind == "execute_result":
        return str(content["data"]["text/plain"])
    return f"{content['ename']}: {content['evalue']}\n" if kind == "error" else ""


@pytest.fixture
def notebook(scripts: Scripts) -> Iterator[Notebook]:
    opened = Notebook(str(scripts.folder))
    try:
        yield opened
    finally:
        opened.close()
        wait_for(lambda: not scripts.left(), "no process of the kernel is left")


def test_cells_compute_are_interrupted_and_compute_again(notebook: Notebook, scripts: Scripts) -> None:
    assert "Error" not in notebook.run(CELL)
    assert notebook.run(
        "(cell,) = graphlambda.compute(delayed(Cell)(7)); print(type(cell) is Cell, cell.number)"
    ).endswith("True 7\n")
    assert notebook.run("delayed(abs)(-4).compute(scheduler='graphlambda')").endswith("4")
    caught = "try:\n    graphlambda.compute(delayed(fail)())\nexcept CellError as e:\n    print('caught', e, *e.__notes__)"
    told = notebook.run(caught)
    assert "caught of a cell" in told
    assert 'raise CellError("of a cell")' in told

    cell = notebook.send("graphlambda.compute([delayed(slow)(n) for n in range(4)])")
    time.sleep(3)
    started_s = time.monotonic()
    notebook.manager.interrupt_kernel()
    assert "KeyboardInterrupt" in notebook.wait(cell)
    assert time.monotonic() - started_s < 5
    assert notebook.run("graphlambda.compute(delayed(abs)(-5))").endswith("(5,)")


def test_a_restarted_kernel_leaves_nothing_of_the_first_and_computes(
    notebook: Notebook, scripts: Scripts
) -> None:
    notebook.run(CELL)
    assert notebook.run("graphlambda.compute(delayed(abs)(-4))").endswith("(4,)")
    before = set(scripts.left())
    notebook.manager.restart_kernel()
    notebook.client.wait_for_ready(timeout=START_S)
    wait_for(lambda: not before & set(scripts.left()), "the first kernel's processes have ended")
    notebook.run(CELL)
    assert notebook.run("graphlambda.compute(delayed(abs)(-6))").endswith("(6,)")
