"""Settings: who beats whom, what is refused, and that all mistakes come at once."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest

from graphlambda.config import LOCAL_ROLE, Config, load
from graphlambda.errors import ConfigError

HOME = {"HOME": "/home/ada", "USER": "ada"}
ROLE = "arn:aws:iam::123456789012:role/graphlambda-fn"
ENDPOINT = "empty for the local Lambda, 'aws', or a URL such as http://127.0.0.1:9001"
PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/team/key"
DEFAULTS = Config(
    cache_dir=Path("/home/ada/.cache/graphlambda"),
    cache_mb=10_000,
    state_dir=Path("/home/ada/.local/state/graphlambda"),
    endpoint="",
    region="us-east-1",
    role=LOCAL_ROLE,
    architecture=None,
    memory_mb=2048,
    timeout_s=300,
    ephemeral_mb=512,
    concurrency=0,
    reserve=0,
    function_logs=True,
    batch=None,
    inline_bytes=65_536,
    store_mb=None,
    store="file",
    idempotent=None,
    retries=0,
    content_cache=False,
    content_cache_mb=1000,
    namespace="default",
    progress=None,
    paths=(),
    isolation="auto",
    network=True,
    deployment_id="local",
    deps="exact",
    requirements=(),
)

VARIABLES = {
    "GRAPHLAMBDA_CACHE_DIR": ("/c", Path("/c")),
    "GRAPHLAMBDA_CACHE_MB": ("500", 500),
    "GRAPHLAMBDA_STATE_DIR": ("/s", Path("/s")),
    "GRAPHLAMBDA_ENDPOINT": ("http://127.0.0.1:9001/", "http://127.0.0.1:9001"),
    "GRAPHLAMBDA_REGION": ("eu-central-1", "eu-central-1"),
    "GRAPHLAMBDA_ROLE": (ROLE, ROLE),
    "GRAPHLAMBDA_ARCHITECTURE": ("arm64", "arm64"),
    "GRAPHLAMBDA_MEMORY_MB": ("128", 128),
    "GRAPHLAMBDA_TIMEOUT_S": ("900", 900),
    "GRAPHLAMBDA_EPHEMERAL_MB": ("10240", 10_240),
    "GRAPHLAMBDA_CONCURRENCY": ("1000", 1000),
    "GRAPHLAMBDA_RESERVE": ("100", 100),
    "GRAPHLAMBDA_FUNCTION_LOGS": ("no", False),
    "GRAPHLAMBDA_BATCH": ("1", 1),
    "GRAPHLAMBDA_FUSE": ("on", True),
    "GRAPHLAMBDA_INLINE_BYTES": ("0", 0),
    "GRAPHLAMBDA_BUDGET_USD": ("2.50", 2.5),
    "GRAPHLAMBDA_DEADLINE_S": ("3600", 3600),
    "GRAPHLAMBDA_STORE_MB": ("100", 100),
    "GRAPHLAMBDA_STORE": ("rediss://:hunter2@host", "rediss://:hunter2@host"),
    "GRAPHLAMBDA_IDEMPOTENT": ("yes", True),
    "GRAPHLAMBDA_RETRIES": ("2", 2),
    "GRAPHLAMBDA_CONTENT_CACHE": ("yes", True),
    "GRAPHLAMBDA_CONTENT_CACHE_MB": ("50", 50),
    "GRAPHLAMBDA_NAMESPACE": ("ours", "ours"),
    "GRAPHLAMBDA_PROGRESS": ("no", False),
    "GRAPHLAMBDA_PATHS": ("/data:/more", (Path("/data"), Path("/more"))),
    "GRAPHLAMBDA_ISOLATION": ("plain", "plain"),
    "GRAPHLAMBDA_NETWORK": ("yes", True),
    "GRAPHLAMBDA_DEPLOYMENT_ID": ("team1", "team1"),
    "GRAPHLAMBDA_DEPS": ("safe", "safe"),
    "GRAPHLAMBDA_REQUIREMENTS": ("s3fs, lz4", ("s3fs", "lz4")),
    "GRAPHLAMBDA_OPERATIONS": (
        '{"mean*": {"memory_mb": "4096", "subnets": "subnet-2,subnet-1", "snap_start": true}}',
        {"mean*": {"memory_mb": 4096, "subnets": ("subnet-1", "subnet-2"), "snap_start": True}},
    ),
    "GRAPHLAMBDA_ENVIRONMENT": ('{"A_MODE": "b"}', {"A_MODE": "b"}),
    "GRAPHLAMBDA_SECRETS": (f'{{"KEY": "{PARAMETER}"}}', {"KEY": PARAMETER}),
}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"operations": {"a": {"memory": 1}}}, "of 'a', there is no setting 'memory' of an operation; did you mean memory_mb?"),
        ({"operations": {"a": {"memory_mb": 1}}}, "of 'a', memory_mb must be a whole number of MiB from 128 to 10,240, not 1"),
        ({"operations": {"a": 4096}}, "of 'a', 4096 is no dict of settings"),
        ({"operations": {"a": {"subnets": ["vpc-1"]}}}, "subnets must be at most 16 ids such as subnet-0123abcd"),
        ({"operations": "{"}, "operations=: it is no dict, nor JSON of one"),
        ({"environment": {"AWS_REGION": "x"}}, "AWS_REGION is set by Lambda itself"),
        ({"environment": {"A": "x"}}, "'A' is no name of a variable: two or more letters, digits or '_'"),
        ({"environment": {"PYTHONHASHSEED": "0"}}, "PYTHONHASHSEED is ours"),
        ({"environment": {"A_MODE": 1}}, "the value of A_MODE is no text"),
        ({"secrets": {"KEY": "hunter2"}}, "KEY: its value must be the ARN of a secret"),
        ({"secrets": {"KEY": PARAMETER}, "environment": {"KEY": "x"}}, "environment= and secrets= both name KEY"),
    ],
)  # fmt: skip
def test_what_lambda_would_not_take_is_said_and_no_value_is_shown(flags: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(flags, HOME)
    assert said in str(error.value)
    assert "hunter2" not in str(error.value)


def test_settings_of_operations_can_be_given_again_as_they_were_read() -> None:
    flags = {name.removeprefix("GRAPHLAMBDA_").lower(): text for name, (text, _) in VARIABLES.items()}
    read = load(flags, HOME)
    assert load({field.name: getattr(read, field.name) for field in fields(Config)}, HOME) == read


def test_nothing_given_gives_the_defaults() -> None:
    assert load({}, HOME) == DEFAULTS


def test_every_setting_can_come_from_its_variable() -> None:
    config = load({}, HOME | {name: text for name, (text, _value) in VARIABLES.items()})
    named = {name: getattr(config, name.removeprefix("GRAPHLAMBDA_").lower()) for name in VARIABLES}
    assert named == {name: value for name, (_text, value) in VARIABLES.items()}
    assert {name.removeprefix("GRAPHLAMBDA_").lower() for name in VARIABLES} == {
        field.name for field in fields(Config)
    }


@pytest.mark.parametrize(
    "store",
    [
        "file",
        "valkey",
        "redis://host",
        "rediss://u:p@host:1/2",
        "unix:/run/socket",
        "s3://bucket",
        "s3://my.bucket/a b/c",
        "valkey+s3://bucket",
        "redis://:p@host+s3://bucket/p",
        "file+s3://bucket",
    ],
)
def test_a_store_may_be(store: str) -> None:
    assert load({"store": store}, HOME).store == store


@pytest.mark.parametrize(
    "store",
    [
        "memory",
        "redis://",
        "unix:socket",
        "unix://host/socket",
        "http://u:hunter2@host",
        "s3://",
        "s3://B",
        "s3://b?x",
        "+s3://bucket",
        "valkeys3://bucket",
        "valkey+",
        "http://u:hunter2@host+s3://bucket",
        "redis://u:hunter2@host:70000",
        "redis://u:hunter2@[::1",
        "redis://u:with/hunter2@host",
        "redis://host:0?functions=me:hunter2",
    ],
)
def test_a_store_may_not_be_and_its_password_is_never_shown(store: str) -> None:
    with pytest.raises(ConfigError, match=r"store= must be file, valkey, or a URL") as caught:
        load({"store": store}, HOME)
    assert "hunter2" not in f"{caught.value}{load({'store': 'redis://u:hunter2@host'}, HOME)!r}"


def test_a_flag_beats_a_variable_which_beats_the_default() -> None:
    environ = HOME | {"GRAPHLAMBDA_MEMORY_MB": "512", "GRAPHLAMBDA_TIMEOUT_S": "60"}
    assert load({"memory_mb": 1024}, environ) == replace(DEFAULTS, memory_mb=1024, timeout_s=60)


def test_none_and_an_empty_variable_mean_not_given() -> None:
    environ = HOME | {"GRAPHLAMBDA_MEMORY_MB": "", "GRAPHLAMBDA_TIMEOUT_S": "60"}
    assert load({"timeout_s": None}, environ) == replace(DEFAULTS, timeout_s=60)


def test_flags_may_be_values_or_text() -> None:
    values = {"batch": 4, "progress": True, "paths": [Path("/a"), "/b"], "requirements": ["lz4"]}
    text = {"batch": "4", "progress": "yes", "paths": "/a:/b", "requirements": "lz4"}
    assert load(values, HOME) == load(text, HOME)


def test_a_single_path_is_a_path_list_of_one_and_becomes_absolute() -> None:
    assert load({"paths": Path("/a")}, HOME).paths == (Path("/a"),)
    assert load({"paths": "data"}, HOME).paths == (Path.cwd() / "data",)


def test_all_mistakes_are_reported_together_with_their_source() -> None:
    environ = HOME | {
        "GRAPHLAMBDA_TIMEOUT_S": "901",
        "GRAPHLAMBDA_MEMROY_MB": "1",
        "GRAPHLAMBDA_PROGRESS": "maybe",
    }
    with pytest.raises(ConfigError) as caught:
        load({"memory_mb": 64, "endpoint": "aws", "store": "valkey", "batch": 1.5}, environ)
    assert str(caught.value).splitlines() == [
        "GRAPHLAMBDA_MEMROY_MB: there is no such setting; did you mean memory_mb?",
        "GRAPHLAMBDA_PROGRESS must be yes or no, not 'maybe'",
        "GRAPHLAMBDA_TIMEOUT_S must be a whole number of seconds from 1 to 900, not '901'",
        "batch= must be a whole number of tasks from 1 to 10,000, not 1.5",
        "memory_mb= must be a whole number of MiB from 128 to 10,240, not 64",
        "store= (GRAPHLAMBDA_STORE) is on this machine, where functions on AWS see nothing; leave it out, or name s3://…",
    ]


def test_on_aws_role_and_store_are_the_deployments_unless_they_are_given() -> None:
    left_out = load({"endpoint": "aws"}, HOME)
    assert (left_out.role, left_out.store) == ("", "")
    assert load({"endpoint": "aws", "role": "", "store": ""}, HOME) == left_out
    given = load({"endpoint": "aws", "role": ROLE, "store": "s3://bucket"}, HOME)
    assert (given.role, given.store) == (ROLE, "s3://bucket")


def test_only_the_local_lambda_can_cut_functions_off_the_network() -> None:
    assert not load({"network": False}, HOME).network
    with pytest.raises(ConfigError, match=r"network= \(GRAPHLAMBDA_NETWORK\) is for the local Lambda"):
        load({"network": False, "endpoint": "http://127.0.0.1:9001"}, HOME)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("cache_dir", "", "a path"),
        ("cache_dir", 7, "a path"),
        ("cache_dir", "~nobody-of-this-name/cache", "a path (Could not determine home directory.)"),
        ("endpoint", "localhost:9001", ENDPOINT),
        ("endpoint", "ftp://host", ENDPOINT),
        ("endpoint", "http://", ENDPOINT),
        ("endpoint", "http://host:70000", ENDPOINT),
        ("region", "mars", "a region such as eu-central-1"),
        ("role", "graphlambda", "the ARN of a role"),
        ("memory_mb", "much", "a whole number of MiB from 128 to 10,240"),
        ("memory_mb", True, "a whole number of MiB from 128 to 10,240"),
        ("concurrency", -1, "a whole number of invocations from 0 to 100,000"),
        ("batch", 0, "a whole number of tasks from 1 to 10,000"),
        ("inline_bytes", 6_291_456, "a whole number of bytes from 0 to 4,000,000"),
        ("progress", 2, "yes or no"),
        ("paths", 7, "a list, or text divided by ':'"),
        ("paths", [7], "a path"),
        ("network", "perhaps", "yes or no"),
        ("isolation", "docker", "one of auto, namespaces, landlock, plain"),
        ("deployment_id", "Local", "1 to 8 lower-case letters or digits"),
        ("deployment_id", "ninechars", "1 to 8 lower-case letters or digits"),
        ("deployment_id", "", "1 to 8 lower-case letters or digits"),
        ("deps", ["lz4"], "one of exact, safe (distributions are named in requirements=)"),
        ("requirements", 7, "a list, or text divided by ','"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_wanted(name: str, value: object, wanted: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load({name: value}, HOME)
    assert str(caught.value) == f"{name}= must be {wanted}, not {value!r}"


def test_an_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^zebra=: there is no such setting \(there are architecture, batch, budget_usd, cache_dir, ",
    ):
        load({"zebra": 1}, HOME)


@pytest.mark.parametrize(
    ("environ", "region"),
    [
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_DEFAULT_REGION": "eu-west-1", "AWS_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2", "GRAPHLAMBDA_REGION": "us-gov-west-1"}, "us-gov-west-1"),
    ],
)
def test_aws_own_variables_name_the_region_where_ours_does_not(environ: dict[str, str], region: str) -> None:
    assert load({}, HOME | environ).region == region


def test_folders_follow_xdg_and_ignore_its_relative_paths() -> None:
    config = load({}, HOME | {"XDG_CACHE_HOME": "/big", "XDG_STATE_HOME": "relative"})
    assert (config.cache_dir, config.state_dir) == (Path("/big/graphlambda"), DEFAULTS.state_dir)


def test_a_tilde_in_a_path_is_the_home_folder() -> None:
    assert load({"cache_dir": "~/cache"}, HOME).cache_dir == Path.home() / "cache"


def test_each_user_of_an_account_and_region_has_an_id_of_their_own() -> None:
    flags = {"endpoint": "aws", "role": ROLE}
    ids = [
        load(flags | {"region": region}, HOME | {"USER": user}).deployment_id
        for region in ("us-east-1", "eu-west-1")
        for user in ("ada", "bob")
    ]
    assert len(set(ids)) == 4
    assert load(flags, HOME).deployment_id == ids[0]
    assert all(len(name) == 8 for name in ids)


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        DEFAULTS.memory_mb = 1  # type: ignore[misc]


def test_without_arguments_the_processes_own_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHLAMBDA_MEMORY_MB", "1769")
    assert load().memory_mb == 1769


def test_settings_are_read_again_as_they_were() -> None:
    config = load({}, HOME | {name: text for name, (text, _value) in VARIABLES.items()})
    assert load({field.name: getattr(config, field.name) for field in fields(Config)}, HOME) == config


@pytest.mark.parametrize("value", ["0", -1, "nan", "inf", True, "much"])
def test_a_budget_is_a_number_of_dollars_above_none(value: object) -> None:
    with pytest.raises(ConfigError, match="budget_usd= must be a number of US dollars above 0"):
        load({"budget_usd": value}, {"HOME": "/home/u"})
