"""The display in a real Jupyter kernel."""

from __future__ import annotations

import textwrap
from typing import Any

from jupyter_client.manager import start_new_kernel

CELL = textwrap.dedent(
    """
    import time
    from graphlambda.report.display import Display, NotebookPainter, painter_for
    from graphlambda.scheduler.events import RunStarted, TasksDone

    painter = painter_for()
    assert isinstance(painter, NotebookPainter), painter
    assert painter_for(wanted=False) is None
    with Display(painter, interval_s=0.02) as display:
        display.built("mean-chunk", 1, 1)
        time.sleep(0.3)
        display(RunStarted(run="r", at_s=0.0, tasks=1, operations=(("a", "mean-chunk", 1),)))
        time.sleep(0.3)
    """
)


def test_a_notebook_cell_has_one_output_that_is_updated_and_emptied() -> None:
    messages = _outputs(CELL)
    kinds = [message["header"]["msg_type"] for message in messages]
    texts = [message["content"]["data"]["text/plain"] for message in messages]
    assert kinds == ["display_data"] + ["update_display_data"] * (len(kinds) - 1)
    assert len({message["content"]["transient"]["display_id"] for message in messages}) == 1
    assert "building functions · mean-chunk" in texts[0]
    assert any("0 of 1 task" in text for text in texts)
    assert texts[-1].strip() == ""


def _outputs(cell: str) -> list[dict[str, Any]]:
    """Run a cell in a new kernel; return what it displayed. An error in the cell fails the test."""
    manager, client = start_new_kernel(startup_timeout=60)
    messages: list[dict[str, Any]] = []
    try:
        reply = client.execute_interactive(cell, timeout=60, output_hook=messages.append)
        assert reply["content"]["status"] == "ok", reply["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return [message for message in messages if "display_data" in message["header"]["msg_type"]]
