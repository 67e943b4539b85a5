"""What tasks write comes home by task, bounded, and stays in the environment's log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from graphlambda.runtime.output import Capture

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.testing.bare import BareFunction, Requests

    Start = Callable[..., BareFunction]

WRITE = """
import logging, sys, warnings
def operation(p0):
    print("out", p0)
    print("err", p0, file=sys.stderr)
    warnings.warn(f"careful {p0}", UserWarning, stacklevel=1)
    logging.getLogger("mine").warning("log %s", p0)
"""


def test_each_task_has_what_it_wrote(function: Start, requests: Requests) -> None:
    reply = function(WRITE)(requests.request([("l", 1)], [("l", 2)]))
    assert [outcome["output"] for outcome in reply["outcomes"]] == [
        {
            "stdout": f"out {i}\n",
            "stderr": f"err {i}\n",
            "warnings": [["UserWarning", f"careful {i}"]],
            "logs": [["mine", 30, f"log {i}"]],
            "dropped_bytes": 0,
        }
        for i in (1, 2)
    ]


def test_the_environments_own_log_loses_nothing(function: Start, requests: Requests) -> None:
    started = function(WRITE)
    started(requests.request([("l", 1)]))
    log = started.log()
    assert [text in log for text in ("out 1", "err 1", "UserWarning: careful 1")] == [True] * 3


def test_a_quiet_task_after_a_loud_one_has_no_output(function: Start, requests: Requests) -> None:
    started = function("def operation(p0):\n    if p0: print('loud')\n")
    loud, quiet = started(requests.request([("l", 1)], [("l", 0)]))["outcomes"]
    assert loud["output"]["stdout"] == "loud\n"
    assert "output" not in quiet


def test_a_failed_task_has_its_output(function: Start, requests: Requests) -> None:
    (outcome,) = function("def operation():\n    print('so far')\n    1 / 0\n")(requests.request([]))[
        "outcomes"
    ]
    assert outcome["output"]["stdout"] == "so far\n"


def test_output_beyond_64_kib_is_counted_and_dropped(function: Start, requests: Requests) -> None:
    started = function("def operation(p0):\n    for _ in range(p0): print('x' * 1023)\n")
    (outcome,) = started(requests.request([("l", 100)]))["outcomes"]
    assert (len(outcome["output"]["stdout"]), outcome["output"]["dropped_bytes"]) == (64 * 1024, 36 * 1024)


def test_the_output_of_a_batch_fits_into_its_reply(function: Start, requests: Requests) -> None:
    started = function("def operation(p0):\n    print(chr(1) * p0, end='')\n")
    outcomes = started(requests.request(*[[("l", 60_000)] for _ in range(10)]))["outcomes"]
    kept = [(len(o["output"]["stdout"]), o["output"]["dropped_bytes"]) for o in outcomes]
    assert kept == [(60_000, 0), (60_000, 0), (131_072 - 120_000, 48_928), *[(0, 60_000)] * 7]


def test_a_handler_is_as_it_was_after_each_request() -> None:
    handler = logging.NullHandler()
    logging.getLogger().addHandler(handler)
    before = list(logging.getLogger().handlers)
    try:
        for _ in range(3):
            with Capture() as output:
                output.begin()
        assert handler.emit == logging.NullHandler.emit.__get__(handler)
        assert logging.getLogger().handlers == before
    finally:
        logging.getLogger().removeHandler(handler)
