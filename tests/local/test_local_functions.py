"""Functions and layers through plain boto3: made, listed, tagged, invoked, deleted."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.local.conftest import Account

ECHO = "def handle(event, context):\n    return event\n"


def test_a_function_is_pending_when_created_and_active_after_it(account: Account) -> None:
    content = account.zipped({"app.py": ECHO})
    created = account.api.create_function(
        FunctionName="shown",
        Runtime=f"python3.{sys.version_info.minor}",
        Role=account.ROLE,
        Handler="app.handle",
        Code={"ZipFile": content},
        MemorySize=256,
        Timeout=7,
        EphemeralStorage={"Size": 600},
        Environment={"Variables": {"COLOUR": "green"}},
        Tags={"owner": "tests"},
        Description="a function",
    )
    account.api.get_waiter("function_active_v2").wait(FunctionName="shown")
    found = account.api.get_function(FunctionName="shown")
    configuration = found["Configuration"]
    assert created["State"] == "Pending"
    assert found["Tags"] == {"owner": "tests"}
    assert {
        key: configuration[key] for key in ("State", "Timeout", "MemorySize", "CodeSize", "CodeSha256")
    } == {
        "State": "Active",
        "Timeout": 7,
        "MemorySize": 256,
        "CodeSize": len(content),
        "CodeSha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
    }
    assert configuration["EphemeralStorage"] == {"Size": 600}
    assert configuration["Environment"] == {"Variables": {"COLOUR": "green"}}
    assert (
        account.api.get_function_configuration(FunctionName=configuration["FunctionArn"])["FunctionName"]
        == "shown"
    )


def test_a_name_is_taken_once(account: Account) -> None:
    name = account.make(ECHO)
    assert account.refusal(account.make, ECHO, FunctionName=name)[:2] == (409, "ResourceConflictException")


def test_all_functions_are_listed_over_pages(account: Account) -> None:
    names = {account.make(ECHO) for _ in range(5)}
    pages = account.api.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 2})
    listed = [function["FunctionName"] for page in pages for function in page["Functions"]]
    assert names <= set(listed)
    assert listed == sorted(set(listed))


def test_a_deleted_function_is_gone(account: Account) -> None:
    name = account.make(ECHO)
    account.value(name)
    account.api.delete_function(FunctionName=name)
    gone = (404, "ResourceNotFoundException")
    assert account.refusal(account.api.get_function, FunctionName=name)[:2] == gone
    assert account.refusal(account.api.invoke, FunctionName=name)[:2] == gone
    assert account.refusal(account.api.delete_function, FunctionName=name)[:2] == gone


def test_a_function_made_anew_under_an_old_name_runs_its_new_code(account: Account) -> None:
    name = account.make("def handle(event, context): return 'old'")
    assert account.value(name) == "old"
    account.api.delete_function(FunctionName=name)
    account.make("def handle(event, context): return 'new'", FunctionName=name)
    assert account.value(name) == "new"


def test_tags_come_and_go(account: Account) -> None:
    name = account.make(ECHO, Tags={"a": "1", "b": "2"})
    arn = account.api.get_function_configuration(FunctionName=name)["FunctionArn"]
    account.api.tag_resource(Resource=arn, Tags={"c": "3"})
    account.api.untag_resource(Resource=arn, TagKeys=["a", "b"])
    assert account.api.list_tags(Resource=arn)["Tags"] == {"c": "3"}


def test_layers_are_one_opt_and_later_ones_win(account: Account) -> None:
    first = account.api.publish_layer_version(
        LayerName="first",
        Content={"ZipFile": account.zipped({"python/one.py": "X = 1", "python/both.py": "X = 'first'"})},
    )
    second = account.api.publish_layer_version(
        LayerName="second",
        Content={"ZipFile": account.zipped({"python/two.py": "X = 2", "python/both.py": "X = 'second'"})},
    )
    source = "import one, two, both\ndef handle(event, context): return [one.X, two.X, both.X]"
    name = account.make(source, Layers=[first["LayerVersionArn"], second["LayerVersionArn"]])
    assert account.value(name) == [1, 2, "second"]


def test_a_runtime_client_in_a_layer_takes_not_the_place_of_ours(account: Account) -> None:
    files = ("awslambdaric/__init__.py", "awslambdaric/__main__.py", "runtime_client.py")
    layer = account.api.publish_layer_version(
        LayerName="theirs",
        Content={"ZipFile": account.zipped({f"python/{file}": "raise SystemExit(1)" for file in files})},
    )
    assert account.value(account.make(ECHO, Layers=[layer["LayerVersionArn"]]), 7) == 7


def test_layer_versions_are_numbered_and_a_number_never_comes_again(account: Account) -> None:
    publish = account.api.publish_layer_version
    numbers = [
        publish(LayerName="numbered", Content={"ZipFile": account.zipped({"python/x.py": f"X = {i}"})})[
            "Version"
        ]
        for i in range(2)
    ]
    account.api.delete_layer_version(LayerName="numbered", VersionNumber=2)
    third = publish(LayerName="numbered", Content={"ZipFile": account.zipped({"python/x.py": "X = 3"})})
    listed = account.api.list_layer_versions(LayerName="numbered")["LayerVersions"]
    by_arn = account.api.get_layer_version_by_arn(Arn=third["LayerVersionArn"])
    missing = account.refusal(account.api.get_layer_version, LayerName="numbered", VersionNumber=2)[:2]
    assert numbers == [1, 2]
    assert [version["Version"] for version in listed] == [3, 1]
    assert by_arn["Content"]["CodeSha256"] == third["Content"]["CodeSha256"]
    assert missing == (404, "ResourceNotFoundException")
    assert "numbered" in {layer["LayerName"] for layer in account.api.list_layers()["Layers"]}


def test_a_function_outlives_its_layer(account: Account) -> None:
    layer = account.api.publish_layer_version(
        LayerName="brief", Content={"ZipFile": account.zipped({"python/brief.py": "X = 1"})}
    )
    name = account.make("import brief\ndef handle(e, c): return brief.X", Layers=[layer["LayerVersionArn"]])
    account.api.delete_layer_version(LayerName="brief", VersionNumber=layer["Version"])
    assert account.value(name) == 1


def test_a_warm_environment_is_used_again(account: Account) -> None:
    name = account.make("N = []\ndef handle(event, context):\n    N.append(1)\n    return len(N)")
    assert [account.value(name) for _ in range(3)] == [1, 2, 3]


def test_the_log_tail_ends_with_the_report_of_lambda(account: Account) -> None:
    name = account.make("def handle(event, context):\n    print('hello from', event)")
    first, second = (
        base64.b64decode(account.reply(name, 7, LogType="Tail")["LogResult"]).decode() for _ in range(2)
    )
    report = (
        r"START RequestId: (\S+) Version: \$LATEST\nhello from 7\nEND RequestId: \1\nREPORT RequestId: \1\t"
        r"Duration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 256 MB\tMax Memory Used: \d+ MB"
    )
    assert re.fullmatch(report + r"\tInit Duration: [\d.]+ ms\t\n", first)
    assert re.fullmatch(report + r"\t\n", second)


def test_an_error_of_the_function_is_described(account: Account) -> None:
    name = account.make("def handle(event, context): raise KeyError('no such thing')")
    error = account.error(name)
    assert (error["errorType"], error["errorMessage"]) == ("KeyError", "'no such thing'")
    assert "handle" in error["stackTrace"][-1]


def test_a_module_that_does_not_import_is_an_error_of_its_initialisation(account: Account) -> None:
    name = account.make("import no_such_module")
    assert [account.error(name)["errorType"] for _ in range(2)] == ["Runtime.ImportModuleError"] * 2


def test_a_handler_knows_its_invocation(account: Account) -> None:
    source = (
        "def handle(event, context):\n"
        "    return [context.function_name, context.memory_limit_in_mb, context.invoked_function_arn,\n"
        "            context.aws_request_id, context.get_remaining_time_in_millis()]"
    )
    name = account.make(source)
    answer = account.reply(name)
    function, memory, arn, request_id, left_ms = json.loads(answer["Payload"])
    assert (function, memory, arn.rpartition(":")[2]) == (name, "256", name)
    assert request_id == answer["ResponseMetadata"]["RequestId"]
    assert 15_000 < left_ms <= 20_000


def test_a_dry_run_runs_nothing(account: Account) -> None:
    name = account.make("import os\ndef handle(event, context): os._exit(1)")
    assert account.reply(name, InvocationType="DryRun")["StatusCode"] == 204


def test_events_are_accepted_beyond_the_concurrency_and_all_run(account: Account, tmp_path: Path) -> None:
    account.service.set_visible([tmp_path])
    name = account.make("def handle(event, context):\n    open(event, 'a').write('.')")
    answers = [account.reply(name, str(tmp_path / f"{i}"), InvocationType="Event") for i in range(12)]
    account.wait_for(lambda: len(list(tmp_path.iterdir())) == 12)
    assert {answer["StatusCode"] for answer in answers} == {202}


def test_a_failed_event_is_tried_three_times_in_all(account: Account, tmp_path: Path) -> None:
    account.service.set_visible([tmp_path])
    name = account.make("def handle(event, context):\n    open(event, 'a').write('.')\n    raise ValueError")
    account.reply(name, str(tmp_path / "attempts"), InvocationType="Event")
    account.wait_for(
        lambda: (tmp_path / "attempts").exists() and (tmp_path / "attempts").read_text() == "..."
    )
    time.sleep(0.2)
    assert (tmp_path / "attempts").read_text() == "..."


def test_the_aws_command_line_lists_and_invokes(account: Account, tmp_path: Path) -> None:
    program = shutil.which("aws")
    if program is None or subprocess.run([program, "--version"], check=False, capture_output=True).returncode:
        pytest.skip("the AWS command line is not installed here, or does not start")
    name, out = account.make(ECHO), tmp_path / "out"
    variables = {
        "AWS_ACCESS_KEY_ID": account.service.credentials.access_key,
        "AWS_SECRET_ACCESS_KEY": account.service.credentials.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def aws(*arguments: str) -> bytes:
        command = [
            program,
            "lambda",
            *arguments,
            "--endpoint-url",
            account.service.endpoint,
            "--output",
            "json",
        ]
        return subprocess.run(
            command, check=True, capture_output=True, env={**os.environ, **variables}
        ).stdout

    aws("invoke", "--function-name", name, "--payload", '{"a": 1}', str(out))
    assert json.loads(out.read_text()) == {"a": 1}
    assert name in {function["FunctionName"] for function in json.loads(aws("list-functions"))["Functions"]}
