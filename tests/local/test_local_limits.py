"""Lambda's limits, each with Lambda's own answer."""

from __future__ import annotations

import base64
import io
import json
import threading
import time
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.local.conftest import Account

ECHO = "def handle(event, context):\n    return event\n"
SLEEP = "import time\ndef handle(event, context):\n    time.sleep(event)\n"


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        ({"MemorySize": 127}, "ValidationException", "greater than or equal to 128"),
        ({"MemorySize": 10_241}, "ValidationException", "less than or equal to 10240"),
        ({"Timeout": 901}, "ValidationException", "less than or equal to 900"),
        ({"EphemeralStorage": {"Size": 511 + 10_000}}, "ValidationException", "less than or equal to 10240"),
        ({"FunctionName": "a.b"}, "ValidationException", "functionName"),
        ({"FunctionName": "x" * 65}, "ValidationException", "functionName"),
        ({"Role": "arn:aws:iam::1:role/x"}, "ValidationException", "role"),
        ({"Runtime": "python2.7"}, "InvalidParameterValueException", "python2.7"),
        ({"Layers": [f"arn:aws:lambda:us-east-1:000000000000:layer:l{i}:1" for i in range(6)]},
         "InvalidParameterValueException", "5 layers"),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:none:1"]}, "ResourceNotFoundException", "none:1"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException", "AWS_REGION"),
        ({"Environment": {"Variables": {"LARGE": "x" * 4092}}}, "InvalidParameterValueException", "4KB"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip"),
        ({"Code": {"S3Bucket": "b", "S3Key": "k"}}, "InvalidParameterValueException", "S3"),
    ],
)  # fmt: skip
def test_what_lambda_would_not_create_is_refused(
    account: Account, members: dict[str, Any], code: str, said: str
) -> None:
    status, refused, message = account.refusal(account.make, ECHO, **members)
    assert (status, refused) == (404 if code == "ResourceNotFoundException" else 400, code)
    assert said in message


def test_more_than_250_mb_unzipped_are_refused(account: Account) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("zeros", "w") as file:
            for _ in range(250):
                file.write(bytes(2**20))
        archive.writestr("one", b"1")
    assert account.refusal(account.make, ECHO, Code={"ZipFile": content.getvalue()}) == (
        400,
        "InvalidParameterValueException",
        "Unzipped size must be smaller than 262144000 bytes",
    )


@pytest.mark.parametrize("name", ["../outside", "/outside", "a/../../outside"])
def test_a_zip_does_not_write_outside_of_its_folder(account: Account, name: str) -> None:
    status, code, message = account.refusal(account.make, ECHO, Code={"ZipFile": account.zipped({name: "x"})})
    assert (status, code) == (400, "InvalidParameterValueException")
    assert "outside of its folder" in message


def test_a_zip_plants_no_symbolic_link(account: Account) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc")
        archive.writestr("link/passwd", "x")
    assert account.refusal(account.make, ECHO, Code={"ZipFile": content.getvalue()})[:2] == (
        400,
        "InvalidParameterValueException",
    )


def test_a_function_that_runs_too_long_is_ended(account: Account) -> None:
    name = account.make(SLEEP, Timeout=1)
    began = time.monotonic()
    error = account.error(name, 30)
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Error: Task timed out after 1.00 seconds")
    assert 1 <= time.monotonic() - began < 5
    assert account.value(name, 0) is None


def test_a_function_that_takes_too_much_memory_is_ended(account: Account) -> None:
    name = account.make("def handle(event, context): return len(bytearray(event))", MemorySize=128)
    answer = account.reply(name, 400 * 2**20, LogType="Tail")
    error = json.loads(answer["Payload"])
    assert error["errorType"] == "Runtime.OutOfMemory"
    assert error["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert "Max Memory Used: 128 MB" in base64.b64decode(answer["LogResult"]).decode()
    assert account.value(name, 2**20) == 2**20


def test_memory_of_what_a_function_starts_counts(account: Account) -> None:
    source = (
        "import subprocess, sys\ndef handle(event, context):\n"
        "    subprocess.run([sys.executable, '-c', 'import time; x = bytearray(400 << 20); time.sleep(5)'])"
    )
    assert account.error(account.make(source, MemorySize=128))["errorType"] == "Runtime.OutOfMemory"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("os._exit(3)", "Runtime exited with error: exit status 3"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 11)", "Runtime exited with error: signal: segmentation fault"),
    ],
)
def test_a_process_that_ends_is_an_exit_error(account: Account, statement: str, said: str) -> None:
    error = account.error(account.make(f"import os, signal\ndef handle(event, context):\n    {statement}"))
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith(f"Error: {said}")


def test_a_payload_of_six_megabytes_passes_and_one_byte_more_does_not(account: Account) -> None:
    name = account.make("def handle(event, context): return len(event)")
    largest = b'"' + b"x" * (6_291_456 - 2) + b'"'
    passed = account.api.invoke(FunctionName=name, Payload=largest)["Payload"].read()
    refused = account.refusal(account.api.invoke, FunctionName=name, Payload=largest + b" ")
    assert int(passed) == 6_291_454
    assert refused[:2] == (413, "RequestTooLargeException")


def test_a_response_of_more_than_six_megabytes_is_an_error(account: Account) -> None:
    name = account.make("def handle(event, context): return 'x' * event")
    answer = account.reply(name, 6_291_554)
    error = account.error(name, 6_291_556)
    assert len(answer["Payload"]) == 6_291_556
    assert error == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
    assert len(account.value(name, 3)) == 3


def test_an_event_is_at_most_a_megabyte(account: Account) -> None:
    name = account.make(ECHO)
    refused = account.refusal(account.reply, name, "x" * 2**20, InvocationType="Event")
    assert refused[:2] == (413, "RequestTooLargeException")


def test_what_is_no_json_is_refused(account: Account) -> None:
    refused = account.refusal(account.api.invoke, FunctionName=account.make(ECHO), Payload=b"<xml>")
    assert refused[:2] == (400, "InvalidRequestContentException")


def occupy(account: Account, name: str, count: int) -> list[threading.Thread]:
    """Start invocations that last for a second, and wait until they run."""
    threads = [threading.Thread(target=account.value, args=(name, 1.0)) for _ in range(count)]
    for thread in threads:
        thread.start()
    time.sleep(0.4)
    return threads


def test_one_invocation_more_than_the_concurrency_is_throttled(account: Account) -> None:
    name, other = account.make(SLEEP), account.make(ECHO)
    running = occupy(account, name, 3)
    assert account.refusal(account.reply, other) == (
        429,
        "TooManyRequestsException",
        "ConcurrentInvocationLimitExceeded",
    )
    for thread in running:
        thread.join()
    assert account.value(other, 1) == 1


def test_reserved_concurrency_bounds_a_function_and_is_kept_for_it(account: Account) -> None:
    name, other = account.make(SLEEP), account.make(SLEEP)
    account.api.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    limit = account.api.get_account_settings()["AccountLimit"]
    too_many = account.refusal(
        account.api.put_function_concurrency, FunctionName=other, ReservedConcurrentExecutions=3
    )
    running = [*occupy(account, other, 2), *occupy(account, name, 1)]
    reasons = [account.refusal(account.reply, which, 0)[2] for which in (name, other)]
    for thread in running:
        thread.join()
    account.api.delete_function_concurrency(FunctionName=name)
    assert (limit["ConcurrentExecutions"], limit["UnreservedConcurrentExecutions"]) == (3, 2)
    assert too_many[1] == "InvalidParameterValueException"
    assert reasons == [
        "ReservedFunctionConcurrentInvocationLimitExceeded",
        "ConcurrentInvocationLimitExceeded",
    ]
    assert account.api.get_function_concurrency(FunctionName=name).get("ReservedConcurrentExecutions") is None


def test_a_function_with_nothing_reserved_for_it_runs_no_more(account: Account) -> None:
    name = account.make(ECHO)
    account.api.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert account.refusal(account.reply, name)[2] == "ReservedFunctionConcurrentInvocationLimitExceeded"
    account.api.delete_function_concurrency(FunctionName=name)


def test_environments_are_bounded_over_all_functions(account: Account) -> None:
    for name in [account.make(ECHO) for _ in range(6)]:
        account.value(name)
    assert account.service.describe().environments == 4
