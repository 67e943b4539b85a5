"""What answers of our runtime mean, and an invoker's exceptions; refusals and crashes have tables of their own."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from graphlambda.errors import InvokeError, RunError, ThrottledError
from graphlambda.prices import Traffic
from graphlambda.runtime.wire import VERSION
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.outcomes import Answered, outcome_of, outcome_of_error
from graphlambda.testing.invokers import reply

if TYPE_CHECKING:
    from graphlambda.scheduler.invoke import Reply


def kind_of(told: Reply) -> Kind | None:
    outcome = outcome_of(told)
    return outcome.kind if isinstance(outcome, Failed) else None


def test_an_answer_that_is_not_json_is_garbled() -> None:
    assert kind_of(reply(b'{"v": 3, "tas')) is Kind.GARBLED


@pytest.mark.parametrize("payload", [b"null", b"[]", b'{"v": 99}', b'{"hello": 1}'])
def test_an_answer_that_is_not_ours_is_refused(payload: bytes) -> None:
    assert kind_of(reply(payload)) is Kind.REFUSED


def test_an_answer_holds_its_outcomes_and_what_it_costs() -> None:
    error = {"kind": "user", "type": "builtins.ValueError", "message": "no"}
    body = {
        "v": VERSION,
        "environment": "e",
        "cold": True,
        "had_waited": True,
        "at_s": 1000.0,
        "peak_mb": 61.5,
        "took_s": 0.0124,
        "traffic": [1, 2, 3],
        "tasks": [1, 2, 3, 5, 4, 7],
        "started_s": [0.0, 0.25, 0.5, 0.75, 0.75, 0.75],
        "seconds": [0.0101, 0.002, 0.0, 0.0, 0.0, 0.0],
        "bytes": [2, 70_000, 0, 0, 3, 80_000],
        "reading_s": 0.001,
        "sending_s": 0.002,
        "inline": b64encode(b"onefour"[1:6]).decode(),
        "stored": [2],
        "shared": [7],
        "unsent": [5],
        "left": [6],
        "ended": "cancelled",
        "modules": {},
        "outputs": {"1": {"stdout": "said"}},
        "errors": {"3": error},
    }
    wanted = Answered(
        tasks=(1, 2, 3, 5, 4, 7),
        started_s=(1000.0, 1000.25, 1000.5, 1000.75, 1000.75, 1000.75),
        seconds=(0.0101, 0.002, 0.0, 0.0, 0.0, 0.0),
        value_bytes=(2, 70_000, 0, 0, 3, 80_000),
        frames=(b"ne", None, None, None, b"fou", None),
        reading_s=0.001,
        sending_s=0.002,
        errors={3: error},
        unsent=frozenset({5}),
        shared=frozenset({7}),
        left=frozenset({6}),
        ended="cancelled",
        outputs={1: {"stdout": "said"}},
        peak_mb=61.5,
        cold=True,
        had_waited=True,
        billed_s=0.013,
        traffic=Traffic(writes=1, reads=2, cache_units=3),
    )
    assert outcome_of(reply(json.dumps(body).encode())) == wanted
    printed = "REPORT of mine: Billed Duration: 1 ms\nBilled Duration: 2 ms\n"
    tail = printed + "REPORT RequestId: 1\tDuration: 12.3 ms\tBilled Duration: 140 ms\tInit Duration: 120 ms"
    told = outcome_of(reply(json.dumps(body).encode(), log_tail=tail))
    assert told == replace(wanted, billed_s=0.14)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError("late"), Kind.NO_ANSWER),
        (ConnectionRefusedError(), Kind.UNREACHABLE),
        (ConnectionResetError(), Kind.CUT_OFF),
        (OSError("no route"), Kind.CUT_OFF),
        (ThrottledError("later"), Kind.THROTTLED),
        (InvokeError("no"), Kind.REFUSED),
    ],
)
def test_what_an_invokers_exception_means(error: OSError | RunError, kind: Kind) -> None:
    assert outcome_of_error(error).kind is kind
