"""What a function's log says of an invocation that brought none of it along is a note of the error that ends the run."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.model import StructureShape
from botocore.session import get_session

from graphlambda.api.logs import LINES, WAIT_S, CloudWatchLogs
from graphlambda.errors import EnvironmentLostError, InvokeError, OutcomeUnknownError, TimedOutError
from graphlambda.scheduler import Limits
from graphlambda.scheduler.events import RunEnded
from graphlambda.testing.clock import FakeClock
from graphlambda.testing.invokers import function_error, refusal
from graphlambda.testing.programs import program_of
from tests.scheduler.bench import LATE, Bench

ONE = program_of([("f", 1)], [0])
GROUP = "/graphlambda/default"
BEGUN_S = 1_790_000_000.0


class Told:
    """Logs that say one thing, and note what they were asked."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.asked: list[tuple[str, str, float]] = []

    async def of(self, function: str, request_id: str, *, since_s: float) -> str:
        self.asked.append((function, request_id, since_s - BEGUN_S))
        return "it ran out of luck"


def ended(bench: Bench, *faults: Any, **limits: Any) -> tuple[BaseException, Told]:
    told = Told(bench)
    with pytest.raises((EnvironmentLostError, TimedOutError, InvokeError, OutcomeUnknownError)) as raised:
        bench.run(ONE, faults, limits=Limits(batch=1, **limits), logs=told)
    return raised.value, told


def test_a_timeout_whose_reply_has_no_log_is_explained_by_its_number(bench: Bench) -> None:
    fault = function_error("Sandbox.Timedout", "Task timed out after 3.00 seconds", request_id="id-1")
    error, told = ended(bench, fault)
    assert (error.__notes__, told.asked) == (["it ran out of luck"], [("gl-f", "id-1", 0.0)])


def test_a_lost_answer_is_explained_once_for_the_attempt_that_ended_the_run(bench: Bench) -> None:
    error, told = ended(bench, *[TimeoutError("no answer")] * 3, idempotent=True)
    assert error.__notes__ == ["it ran out of luck"]
    assert [(function, number) for function, number, _ in told.asked] == [("gl-f", "")]


def test_an_unknown_outcome_is_explained_too(bench: Bench) -> None:
    error, _ = ended(bench, ConnectionResetError("cut"), idempotent=False)
    assert error.__notes__ == ["it ran out of luck"]


def test_what_never_ran_and_what_brought_its_log_are_not_looked_up(bench: Bench) -> None:
    late = function_error("Sandbox.Timedout", "Task timed out after 3.00 seconds", log_tail="START\n")
    for fault in (refusal(502, "InvalidZipFileException"), late):
        _, told = ended(bench, fault)
        assert told.asked == []


def test_nothing_is_sent_any_more_when_a_log_is_read(bench: Bench) -> None:
    told = Told(bench)
    with pytest.raises(TimedOutError):
        bench.run(program_of([("f", i) for i in range(50)], [0]), [LATE], limits=Limits(batch=1), logs=told)
    assert told.asked
    assert isinstance(bench.events[-1], RunEnded)


# ---- CloudWatch --------------------------------------------------------------------------------------------------


def denied() -> ClientError:
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "FilterLogEvents")


class CloudWatch:
    """boto3's client of Logs, for one group: lines arrive when they are due."""

    def __init__(
        self, clock: FakeClock, lines: list[tuple[float, str, float, str]], *, may_read: bool = True
    ) -> None:
        """Each line: when it arrives, its stream, when it was written (both after the start), its text."""
        self._clock = clock
        self._lines = lines
        self._may_read = may_read
        self.looks = 0

    def _there(self) -> list[dict[str, Any]]:
        return [
            {"logStreamName": stream, "timestamp": int((BEGUN_S + at_s) * 1000), "message": text}
            for arrives_s, stream, at_s, text in self._lines
            if BEGUN_S + arrives_s <= self._clock.now_s
        ]

    def filter_log_events(
        self, logGroupName: str, startTime: int, filterPattern: str, nextToken: str = ""
    ) -> dict[str, Any]:
        self.looks += 1
        if not self._may_read:
            raise denied()
        if not nextToken:  # CloudWatch may answer nothing, and that there is more
            return {"events": [], "nextToken": "more"}
        words = [word for word in filterPattern.split('"') if word.strip(" ?")]
        found = [line for line in self._there() if any(word in line["message"] for word in words)]
        return {"events": [line for line in found if line["timestamp"] >= startTime]}

    def get_log_events(
        self,
        logGroupName: str,
        logStreamName: str,
        startTime: int,
        endTime: int,
        limit: int,
        startFromHead: bool,
    ) -> dict[str, Any]:
        lines = [
            line
            for line in self._there()
            if line["logStreamName"] == logStreamName and startTime <= line["timestamp"] < endTime
        ]
        return {"events": lines[-limit:]}


STREAM = "2026/11/27/gl-f[$LATEST]abc"
STORY = [
    (3.0, STREAM, 0.5, "START RequestId: id-1 Version: $LATEST\n"),
    (3.0, STREAM, 0.6, "what the task printed\n"),
    (5.0, STREAM, 2.0, "id-1 Task timed out after 3.00 seconds\n"),
    (5.0, STREAM, 2.0, "REPORT RequestId: id-1 Status: timeout\n"),
    (3.0, "2026/11/27/gl-g[$LATEST]def", 1.0, "Runtime exited: another function's\n"),
]


async def said(
    lines: list[tuple[float, str, float, str]], number: str, *, may_read: bool = True
) -> tuple[str, float, int]:
    clock = FakeClock(now_s=BEGUN_S)
    client = CloudWatch(clock, lines, may_read=may_read)
    text = await CloudWatchLogs(lambda: client, GROUP, clock).of("gl-f", number, since_s=BEGUN_S)
    return text, clock.now_s - BEGUN_S, client.looks


async def read(*given: Any, **more: Any) -> str:
    return (await said(*given, **more))[0]


def run(coroutine: Any) -> Any:
    return asyncio.run(coroutine)


def test_all_that_an_invocation_wrote_is_told_once_its_report_is_there() -> None:
    text, took_s, _ = run(said(STORY, "id-1"))
    assert took_s == 5.0
    assert text.splitlines() == [
        "The end of the function's log:",
        "START RequestId: id-1 Version: $LATEST",
        "what the task printed",
        "id-1 Task timed out after 3.00 seconds",
        "REPORT RequestId: id-1 Status: timeout",
    ]


def test_without_a_number_the_functions_own_last_end_is_told() -> None:
    assert "Task timed out" in run(read(STORY, ""))
    assert "another function" not in run(read(STORY, ""))


def test_a_log_that_does_not_come_is_waited_for_a_while_and_then_the_command_is_told() -> None:
    text, took_s, looks = run(said([], "id-1"))
    assert text == f"Nothing of it is in the log yet: `aws logs tail {GROUP} --since 15m`"
    assert WAIT_S <= took_s <= WAIT_S + 1
    assert looks <= 2 * (WAIT_S + 2)


def test_a_log_that_may_not_be_read_says_so() -> None:
    assert "AccessDenied" in run(read(STORY, "id-1", may_read=False))


def test_a_long_log_is_told_by_its_end() -> None:
    story = [(0.0, STREAM, 0.5 + i / 1000, f"id-1 line {i}\n") for i in range(200)]
    lines = run(read([*story, (0.0, STREAM, 1.0, "REPORT RequestId: id-1\n")], "id-1")).splitlines()
    assert len(lines) == LINES + 1
    assert lines[-1] == "REPORT RequestId: id-1"


def test_the_requests_are_those_that_botocores_model_knows() -> None:
    model = get_session().get_service_model("logs")
    for operation, wanted in (
        ("FilterLogEvents", {"logGroupName", "startTime", "filterPattern", "nextToken"}),
        ("GetLogEvents", {"logGroupName", "logStreamName", "startTime", "endTime", "limit", "startFromHead"}),
    ):
        shape = model.operation_model(operation).input_shape
        assert isinstance(shape, StructureShape)
        assert wanted <= set(shape.members)
