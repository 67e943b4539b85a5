"""Nothing that we compose is larger than Lambda lets pass, in bytes as they are sent; what would be goes to the store before."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphlambda.compiler.program import Input
from graphlambda.errors import TaskError
from graphlambda.runtime.wire import FULL, REPLY_BYTES, REQUEST_BYTES
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import InvocationStarted
from graphlambda.testing.programs import program_of
from tests.scheduler.bench import Bench

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphlambda.scheduler.invoke import Reply

ASTRAL = "\U0001f600"
"""Four bytes, or twelve as JSON writes them where it is to be ASCII."""


class Shouting(Exception):
    """A user's exception that carries much."""


def value(size: int) -> Any:
    return bytes(size)


def shout(size: int) -> None:
    raise Shouting(ASTRAL * size, bytes(size))


def missing(size: int) -> None:
    Path("/" + "x" * min(size, 200) + ASTRAL).read_bytes()


def write(size: int) -> None:
    sys.stdout.write("\0" * size)


def log(size: int) -> None:
    logger = logging.getLogger("a.logger")
    for _ in range(size // 10):
        logger.warning("!")


def warn(size: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        for _ in range(size // 100):
            warnings.warn("\x01", ResourceWarning, stacklevel=1)


HABITS: dict[str, Callable[[int], Any]] = {
    each.__name__: each for each in (value, shout, missing, write, log, warn)
}


class Measuring:
    """Before an invoker: measures requests, and replies as the widest JSON that a runtime client makes of them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.requests: list[int] = []
        self.replies: list[int] = []
        self.ended: list[str] = []

    async def invoke(self, function: str, payload: bytes, *, timeout_s: float) -> Reply:
        reply: Reply = await self._inner.invoke(function, payload, timeout_s=timeout_s)
        body = json.loads(reply.payload)
        self.requests.append(len(payload))
        self.replies.append(len(json.dumps(body)))
        self.ended.append(body.get("ended", ""))
        return reply

    async def close(self) -> None:
        await self._inner.close()


def measured(bench: Bench, habits: list[tuple[str, int]]) -> Measuring:
    """Run tasks of these habits in one batch; what it gives does not matter, nor what it warns of, which pytest would keep."""
    bench.operations["gl-f"] = lambda habit, size: HABITS[habit](size)
    invoker = Measuring(bench.inner)
    limits = Limits(batch=len(habits), concurrency=1, retries=0)
    program = program_of([("f", habit, size) for habit, size in habits], list(range(len(habits))))
    with suppress(Shouting, OSError, TaskError), warnings.catch_warnings(record=True):
        asyncio.run(bench.execute(program, invoker, limits=limits))
    return invoker


@pytest.mark.parametrize(
    "habits",
    [
        [("value", 60_000)] * 120,
        [("shout", 20_000)] * 40,
        [("shout", 200)] * 3_000,
        [("missing", 200)] * 3_000,
        [("write", 200_000)] * 4 + [("value", 60_000)] * 120,
        [("log", 50_000)] * 3 + [("value", 60_000)] * 120,
        [("warn", 50_000)] * 40 + [("value", 60_000)] * 120,
        [("value", 1)] * 3_000 + [("value", 60_000)] * 120,
    ],
    ids=["values", "large errors", "many errors", "paths", "output", "logs", "warnings", "many and large"],
)  # fmt: skip
def test_no_reply_is_larger_than_lambda_lets_pass(bench: Bench, habits: list[tuple[str, int]]) -> None:
    invoker = measured(bench, habits)
    assert max(invoker.replies) <= REPLY_BYTES
    assert max(invoker.requests) <= REQUEST_BYTES


@given(st.lists(st.tuples(st.sampled_from(sorted(HABITS)), st.integers(0, 65_000)), min_size=1, max_size=12))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_mixture_of_tasks_makes_a_larger_reply(tmp_path: Path, drawn: list[tuple[str, int]]) -> None:
    invoker = measured(Bench(tmp_path), drawn * (100 // len(drawn)))
    assert max(invoker.replies) <= REPLY_BYTES


def test_tasks_for_which_a_reply_has_no_room_are_not_begun_and_charge_nobody(bench: Bench) -> None:
    raised: list[int] = []

    def once(number: int) -> int:
        if number not in raised:
            raised.append(number)
            raise Shouting(ASTRAL * 200)
        return number

    bench.operations["gl-f"] = once
    invoker = Measuring(bench.inner)
    count = 3_000
    limits = Limits(batch=count, concurrency=1, retries=1)
    program = program_of([("f", number) for number in range(count)], list(range(count)))
    values = asyncio.run(bench.execute(program, invoker, limits=limits))
    assert values == list(range(count))
    assert invoker.ended[0] == FULL
    assert len(raised) == count
    assert {event.attempt for event in bench.of(InvocationStarted)} <= {1, 2}


def test_a_request_that_would_be_larger_than_lambda_takes_is_stored_whatever_the_limits_say(
    bench: Bench,
) -> None:
    bench.operations["gl-f"] = len
    invoker = Measuring(bench.inner)
    program = program_of([*[("f", ASTRAL * 20_000 + str(i)) for i in range(100)], ("g", Input(0))], [100])
    asyncio.run(bench.execute(program, invoker, limits=Limits(batch=100, request_bytes=100_000_000)))
    assert max(invoker.requests) <= REQUEST_BYTES
