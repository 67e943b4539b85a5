"""Every way in which a function ends without our runtime's reply: what it means, and what the user is told."""

from __future__ import annotations

import inspect

import pytest
from awslambdaric.lambda_runtime_exception import FaultException

from graphlambda.errors import EnvironmentLostError, OutOfMemoryError, TimedOutError
from graphlambda.scheduler.crashes import at_its_most
from graphlambda.scheduler.kinds import Failed, Kind
from graphlambda.scheduler.outcomes import outcome_of
from graphlambda.scheduler.policy import RULES, Ran, Step, error_after
from graphlambda.testing.invokers import function_error, reply

KILLED_REPORT = "REPORT RequestId: 1\tDuration: 9.1 ms\tMemory Size: 128 MB\tMax Memory Used: 128 MB\t\n"
FULL_REPORT = "REPORT RequestId: 1 Status: error Error Type: Runtime.OutOfMemory\n"
ROOMY_REPORT = "REPORT RequestId: 1\tDuration: 9.1 ms\tMemory Size: 512 MB\tMax Memory Used: 60 MB\t\n"
SLOW_START = "INIT_REPORT Init Duration: 9998.12 ms\tPhase: invoke\tStatus: timeout\n"


def failed(error_type: str, message: str, log: str = "") -> Failed:
    outcome = outcome_of(function_error(error_type, message, log_tail=log))
    assert isinstance(outcome, Failed)
    return outcome


@pytest.mark.parametrize(
    ("error_type", "message", "log", "kind", "said"),
    [
        # ended from outside
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 3.00 seconds", "", Kind.TIMED_OUT, "timeout_s="),
        ("", "2026-01-01T00:00:00Z 1 Task timed out after 3.00 seconds", "", Kind.TIMED_OUT, "timeout_s="),
        ("Sandbox.Timedout", "Task timed out after 3.00 seconds", SLOW_START, Kind.TIMED_OUT, "still starting"),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited", "", Kind.OUT_OF_MEMORY, "memory_mb="),
        ("Runtime.ExitError", "Runtime exited with error: signal: killed", "", Kind.OUT_OF_MEMORY, "memory_mb="),
        ("Runtime.ExitError", "Runtime exited", FULL_REPORT, Kind.OUT_OF_MEMORY, "memory_mb="),
        ("Runtime.ExitError", "Runtime exited", KILLED_REPORT, Kind.OUT_OF_MEMORY, "memory_mb="),
        ("MemoryError", "", "", Kind.OUT_OF_MEMORY, "memory_mb="),
        # died
        ("Runtime.ExitError", "Runtime exited", ROOMY_REPORT, Kind.ENVIRONMENT_LOST, "os._exit"),
        ("Runtime.ExitError", "Error: signal: segmentation fault", "", Kind.ENVIRONMENT_LOST, "native code"),
        ("Runtime.ExitError", "Runtime exited without providing a reason", "", Kind.ENVIRONMENT_LOST, "os._exit"),
        ("Extension.Crash", "no", "", Kind.ENVIRONMENT_LOST, "os._exit"),
        ("Runtime.Unknown", "no", "", Kind.ENVIRONMENT_LOST, "os._exit"),
        ("", "Process exited before completing request", "", Kind.ENVIRONMENT_LOST, "os._exit"),
        ("Runtime.LambdaRuntimeClientError", "no", "", Kind.ENVIRONMENT_LOST, "os._exit"),
        # did not start
        ("Runtime.ImportModuleError", "No module named 'scipy.linalg'", "", Kind.MISSING_MODULE, "requirements="),
        ("Runtime.ImportModuleError", "cannot import name 'x' from 'y'", "", Kind.BROKEN, "Deploy"),
        ("Runtime.HandlerNotFound", "Handler 'handler' missing on module 'h'", "", Kind.BROKEN, "Deploy"),
        ("Runtime.MalformedHandlerName", "Bad handler 'h'", "", Kind.BROKEN, "Deploy"),
        ("Runtime.BuiltInModuleConflict", "Cannot use built-in module", "", Kind.BROKEN, "Deploy"),
        ("Runtime.UserCodeSyntaxError", "Syntax error in module 'h'", "", Kind.BROKEN, "Deploy"),
        ("Runtime.BeforeSnapshotError", "no", "", Kind.RESTORE_FAILED, "SnapStart"),
        ("Runtime.AfterRestoreError", "no", "", Kind.RESTORE_FAILED, "SnapStart"),
        # answered, but not as our runtime does
        ("Function.ResponseSizeTooLarge", "exceeded (6291556 bytes)", "", Kind.RESPONSE_TOO_LARGE, "inline_bytes="),
        ("Runtime.MarshalError", "Unable to marshal response", "", Kind.RUNTIME_FAILED, "report"),
        ("Runtime.UnmarshalError", "Unable to unmarshal input", "", Kind.RUNTIME_FAILED, "report"),
        ("Runtime.LambdaContextUnmarshalError", "no", "", Kind.RUNTIME_FAILED, "report"),
        ("KeyError", "'v'", "", Kind.RUNTIME_FAILED, "report"),
        ("ValueStoreError", "cannot read value b-1", "", Kind.STORE_FAILED, "store up"),
        ("LostValueError", "cannot read value b-1", "", Kind.STORE_FAILED, "store up"),
        ("FrameError", "the frame of r/batch is damaged", "", Kind.DAMAGED, "un-pickled"),
    ],
)  # fmt: skip
def test_what_ended_a_function_and_what_is_said_of_it(
    error_type: str, message: str, log: str, kind: Kind, said: str
) -> None:
    told = failed(error_type, message, log)
    assert told.kind is kind
    assert said in str(error_after(told, what="task x"))


def test_the_table_knows_every_fault_of_the_runtime_client() -> None:
    faults = {
        value
        for name, value in inspect.getmembers(FaultException)
        if name.isupper() and isinstance(value, str)
    }
    told = {name: failed(name, "m").kind for name in faults}
    unknown = failed("Runtime.Unknown", "m").kind
    assert {name for name, kind in told.items() if kind is unknown} == {"Runtime.LambdaRuntimeClientError"}


def test_an_exception_of_our_runtime_is_told_with_its_class() -> None:
    assert failed("KeyError", "'v'").message == "KeyError: 'v'"


def test_a_failed_import_names_the_module() -> None:
    message = "Unable to import module 'graphlambda_runtime.handler': No module named 'scipy.linalg'"
    assert failed("Runtime.ImportModuleError", message) == Failed(
        Kind.MISSING_MODULE, message, module="scipy.linalg"
    )


def test_a_functions_error_that_is_no_json_says_what_lambda_says() -> None:
    told = outcome_of(reply(b"<html>", function_error="Unhandled"))
    assert told == Failed(Kind.ENVIRONMENT_LOST, "Unhandled")


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (Kind.TIMED_OUT, TimedOutError),
        (Kind.OUT_OF_MEMORY, OutOfMemoryError),
        (Kind.ENVIRONMENT_LOST, EnvironmentLostError),
        (Kind.RESTORE_FAILED, EnvironmentLostError),
    ],
)
def test_each_way_to_die_has_its_error(kind: Kind, error: type[Exception]) -> None:
    assert RULES[kind].error is error


def test_only_what_never_began_a_task_did_not_run() -> None:
    begun = {
        Kind.TIMED_OUT,
        Kind.OUT_OF_MEMORY,
        Kind.ENVIRONMENT_LOST,
        Kind.RESPONSE_TOO_LARGE,
        Kind.RUNTIME_FAILED,
    }
    assert {kind for kind in begun if RULES[kind].ran is not Ran.NO} == begun
    assert RULES[Kind.RESTORE_FAILED].ran is RULES[Kind.BROKEN].ran is Ran.NO


def test_the_end_of_the_log_is_a_note_of_the_error() -> None:
    told = failed("Runtime.ExitError", "Runtime exited", "START\nSegmentation fault\nEND\n")
    (note,) = error_after(told, what="x").__notes__
    assert note == "The end of the function's log:\nSTART\nSegmentation fault\nEND"


def test_a_single_task_that_dies_is_tried_three_times() -> None:
    assert (RULES[Kind.ENVIRONMENT_LOST].alone, RULES[Kind.ENVIRONMENT_LOST].attempts) == (Step.RETRY, 3)


@pytest.mark.parametrize(
    ("memory_mb", "remedy"), [(0, "memory_mb="), (10_239, "memory_mb="), (10_240, "split_every=")]
)
def test_what_had_all_memory_that_there_is_is_not_told_to_ask_for_more(memory_mb: int, remedy: str) -> None:
    told = str(error_after(at_its_most(Failed(Kind.OUT_OF_MEMORY, "killed"), memory_mb), what="task x"))
    assert [word for word in ("memory_mb=", "split_every=") if word in told] == [remedy]
