"""What each operation's function is given: by the run, by annotations, by `operations=`, in that order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import dask
import pytest

from graphlambda.api.given import (
    client_secrets,
    given_to,
    refuse_secrets_in_variables,
    settings_of,
    tell_of_patterns,
)
from graphlambda.compiler import compile_collections
from graphlambda.config import Config, load
from graphlambda.errors import ConfigError, OperationsWarning, RefusedError

PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/key"


@dask.delayed  # type: ignore[untyped-decorator]
def grown(number: int) -> int:
    return number + 1


@dask.delayed  # type: ignore[untyped-decorator]
def halved(number: int) -> float:
    return number / 2


def config(**flags: Any) -> Config:
    return load(flags, {"HOME": "/home/ada"})


def given(wanted: Config, *collections: Any) -> dict[str, dict[str, Any]]:
    """Return by its name what an operation's function is given that others are not."""
    program = compile_collections(*collections)
    names = {table.operation.id: table.operation.name for table in program.tables}
    found = given_to(program, wanted)
    return {
        names[number]: {
            name: getattr(settings, name)
            for name in ("memory_mb", "timeout_s", "reserved", "provisioned", "subnets", "snap_start")
            if getattr(settings, name) != getattr(found.all, name)
        }
        for number, settings in found.own.items()
    }


def test_the_last_pattern_that_says_something_of_a_setting_has_it() -> None:
    patterns = {
        "*": {"memory_mb": 4096, "timeout_s": 60},
        "gr*": {"memory_mb": 8192, "reserved_concurrency": 5, "provisioned_concurrency": 2},
        "halved": {"subnets": ["subnet-1"], "security_groups": ["sg-1"], "snap_start": True},
    }
    assert given(config(operations=patterns), halved(grown(1))) == {
        "grown": {"memory_mb": 8192, "timeout_s": 60, "reserved": 5, "provisioned": 2},
        "halved": {"memory_mb": 4096, "timeout_s": 60, "subnets": ("subnet-1",), "snap_start": True},
    }


def test_operations_beat_annotations_and_these_beat_what_the_run_gives_all() -> None:
    with dask.annotate(graphlambda={"memory_mb": 4096, "timeout_s": 60}):
        first = grown(1)
    assert given(config(), halved(first)) == {"grown": {"memory_mb": 4096, "timeout_s": 60}}
    assert given(config(operations={"grown": {"memory_mb": 512}}), halved(first)) == {
        "grown": {"memory_mb": 512, "timeout_s": 60}
    }


def test_an_architecture_is_that_of_its_operation_alone() -> None:
    program = compile_collections(halved(grown(1)))
    found = given_to(program, config(operations={"halved": {"architecture": "arm64"}}))
    names = {table.operation.id: table.operation.name for table in program.tables}
    assert {names[number]: each for number, each in found.architectures.items()} == {"halved": "arm64"}
    assert found.own == {}


def test_a_pattern_that_matches_nothing_is_said_with_what_was_meant() -> None:
    program = compile_collections(halved(grown(1)))
    with pytest.warns(
        OperationsWarning, match=r"'grow': .*matches no operation of this program; there are grown$"
    ):
        tell_of_patterns(
            program, config(operations={"grow": {"memory_mb": 512}, "halv*": {"memory_mb": 512}})
        )


@pytest.mark.parametrize(
    ("said", "mistake"),
    [
        ({"subnets": ["subnet-1"]}, "`subnets` and `security_groups` go together"),
        ({"snap_start": True, "provisioned_concurrency": 1}, "either `snap_start` or `provisioned_concurrency`"),
        ({"snap_start": True, "ephemeral_mb": 1024}, "no snapshot of more than 512 MiB of /tmp"),
        ({"reserved_concurrency": 1, "provisioned_concurrency": 2}, "is a part of `reserved_concurrency`"),
    ],
)  # fmt: skip
def test_what_lambda_would_refuse_is_refused_before_anything_is_built(
    said: dict[str, Any], mistake: str
) -> None:
    with pytest.raises(ConfigError, match=rf"operation grown: .*{mistake}"):
        given(config(operations={"grown": said}), grown(1))


def test_variables_that_lambda_has_no_room_for_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"take 4,\d+ bytes as JSON, and Lambda 4,096"):
        given(config(environment={"A_MODE": "x" * 4000}), grown(1))


def test_snapshots_on_aws_need_a_python_that_has_them() -> None:
    wanted = config(operations={"*": {"snap_start": True}})
    program = compile_collections(grown(1))
    assert given_to(program, wanted, python="3.11").own
    on_aws = replace(wanted, endpoint="http://127.0.0.1:9")
    with pytest.raises(ConfigError, match=r"snapshots of Python 3\.12 and later, and this is 3\.11"):
        given_to(program, on_aws, python="3.11")
    assert given_to(program, on_aws, python="3.12").own


def test_variables_and_arns_of_secrets_are_part_of_all_functions() -> None:
    wanted = settings_of(config(environment={"B_MODE": "b", "A_MODE": "a"}, secrets={"KEY": PARAMETER}))
    assert wanted.variables == (("A_MODE", "a"), ("B_MODE", "b"))
    assert wanted.secrets == (("KEY", PARAMETER),)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter22"),
        ("URL", "postgres://ada:hunter22@host/db"),
        ("GITHUB", "ghp_" + "a1B2" * 9),
    ],
)
def test_a_plain_variable_that_holds_a_secret_is_refused_and_not_shown(name: str, value: str) -> None:
    with pytest.raises(RefusedError, match=rf"in {name}.*`secrets=\{{'{name}': ARN\}}`") as refusal:
        refuse_secrets_in_variables(config(environment={name: value}))
    assert value not in str(refusal.value)


def test_a_secret_that_is_not_set_here_is_said_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = config(secrets={"KEY_ONE": PARAMETER})
    with pytest.raises(ConfigError, match="KEY_ONE is not set here: `export KEY_ONE=…` before the run"):
        client_secrets(wanted)
    monkeypatch.setenv("KEY_ONE", "hunter22")
    assert client_secrets(wanted) == {"KEY_ONE": "hunter22"}
    assert client_secrets(replace(wanted, endpoint="aws")) == {}
