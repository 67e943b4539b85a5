"""Key material in what would be shipped: refused for AWS with the remedy, and never saved or shown."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from dask import delayed
from fsspec.implementations.memory import MemoryFileSystem

import graphlambda
from graphlambda.compiler.masks import masked
from graphlambda.config import secret_values
from graphlambda.deployer import Settings
from graphlambda.errors import RefusedError, UnshippableError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY_ID = "AKIA" + "Z2" * 8
SECRET_KEY = "8sK1pQvZ3tYx0WmB7nLr5EoHcJ2dGfUaT6iN9kR4"
PASSWORD = "correct-horse"
ACCOUNT_KEY = "aB3/" * 21 + "aB=="
SIGNATURE = "aB3%2F" * 8
AWS: dict[str, Any] = {"endpoint": "aws", "role": "arn:aws:iam::123456789012:role/functions"}
ELSEWHERE: dict[str, Any] = {"endpoint": "https://lambda.example.com"}


def object_store(**options: Any) -> MemoryFileSystem:
    """Return a file system that keeps its storage options as s3fs does."""
    return MemoryFileSystem(skip_instance_cache=True, **options)


def take(*values: Any, **named: Any) -> int:
    return len(values) + len(named)


def closure_over(value: Any) -> Callable[[Any], Any]:
    return lambda part: (part, value)


SURE: dict[str, Callable[[], Any]] = {
    "a closure": lambda: delayed(closure_over([KEY_ID, SECRET_KEY]))(1),
    "a file system": lambda: delayed(take)(object_store(key=KEY_ID, secret=SECRET_KEY)),
    "storage options": lambda: delayed(take)("s3://b", storage_options={"key": KEY_ID, "secret": SECRET_KEY}),
}
"""Refused wherever they would run."""

LIKELY: dict[str, Callable[[], Any]] = {
    "a closure": lambda: delayed(closure_over({"password": PASSWORD}))(1),
    "a default": lambda: delayed(lambda part, options={"password": PASSWORD}: (part, options))(1),
    "a file system": lambda: delayed(take)(object_store(key="minio", secret=PASSWORD)),
    "storage options": lambda: delayed(take)(storage_options={"key": "minio", "secret": PASSWORD}),
    "nested storage options": lambda: delayed(take)([{"client_kwargs": {"aws_secret_access_key": PASSWORD}}]),
    "an account's key": lambda: delayed(take)({"account_key": ACCOUNT_KEY}),
    "a connection string": lambda: delayed(take)(f"AccountName=a;AccountKey={ACCOUNT_KEY};"),
    "a signed URL of Azure": lambda: delayed(take)(f"https://a.example/x.tif?sv=2025&sig={SIGNATURE}"),
    "a presigned URL of AWS": lambda: delayed(take)(f"https://b.example/x?X-Amz-Signature={'0a' * 32}"),
    "a database's URL": lambda: delayed(take)(f"postgresql://me:{PASSWORD}@db.example/x"),
    "an access token": lambda: delayed(take)({"token": "ya29." + "x" * 30}),
    "a copy of the environment": lambda: delayed(take)({"HOME": "/", "DB_PASSWORD": PASSWORD}),
    "code": lambda: delayed(lambda part: (part, "postgresql://me:correct-horse@db.example/x"))(1),
}
"""Refused where they would leave this machine."""


@pytest.mark.parametrize("where", SURE)
def test_keys_of_an_account_are_refused_everywhere(where: str) -> None:
    with pytest.raises(RefusedError) as caught:
        graphlambda.compile(SURE[where]())
    assert_says_the_remedy_and_no_secret(caught.value)


@pytest.mark.parametrize("settings", [AWS, ELSEWHERE], ids=["aws", "elsewhere"])
@pytest.mark.parametrize("where", LIKELY)
def test_secrets_do_not_leave_this_machine(where: str, settings: dict[str, Any]) -> None:
    with pytest.raises(RefusedError) as caught:
        graphlambda.compile(LIKELY[where](), **settings)
    assert_says_the_remedy_and_no_secret(caught.value)


@pytest.mark.parametrize("verb", ["compute", "persist", "deploy", "run"])
def test_every_verb_refuses_before_it_looks_for_an_account(verb: str) -> None:
    collection = LIKELY["storage options"]()
    program = graphlambda.compile(collection)
    deployment = graphlambda.Deployment(
        functions={},
        created=(),
        endpoint="",
        settings=Settings(memory_mb=512, timeout_s=9, ephemeral_mb=512, role="r"),
    )
    calls: dict[str, Callable[[], Any]] = {
        "compute": lambda: graphlambda.compute(collection, **ELSEWHERE),
        "persist": lambda: graphlambda.persist(collection, **ELSEWHERE),
        "deploy": lambda: graphlambda.deploy(program, **ELSEWHERE),
        "run": lambda: graphlambda.run(program, deployment, **ELSEWHERE),
    }
    with pytest.raises(RefusedError, match="holds a secret, as `secret`"):
        calls[verb]()


@pytest.mark.parametrize("where", LIKELY)
def test_a_program_that_holds_a_secret_is_neither_saved_nor_shows_it(where: str, tmp_path: Path) -> None:
    program = graphlambda.compile(LIKELY[where]())
    for text in (str(program), repr(program), repr([program])):
        assert_no_secret(text)
    with pytest.raises(RefusedError) as caught:
        program.save(tmp_path / "saved")
    assert_says_the_remedy_and_no_secret(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("module", "line", "settings", "kind"),
    [
        ("holds_a_url", f"URL = 'ftp://me:{PASSWORD}@x.example/'", AWS, "a URL with a password"),
        ("holds_a_key", f"KEY = '{SECRET_KEY}'", {}, "an AWS secret access key"),
    ],
)
def test_a_secret_in_a_module_beside_the_script_is_refused(
    module: str,
    line: str,
    settings: dict[str, Any],
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / f"{module}.py").write_text(f"{line}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    task = eval(f"lambda: __import__({module!r})")
    assert module in task.__code__.co_consts
    with pytest.raises(RefusedError, match=f"{module}.pyc, which operation .* needs, holds {kind}"):
        graphlambda.compile(delayed(task)(), **settings)


def test_the_value_of_a_secret_variable_is_known_wherever_it_was_copied_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "plain-as-a-word")
    copied = os.environ["SERVICE_TOKEN"]
    with pytest.raises(RefusedError, match="the value of an environment variable") as caught:
        graphlambda.compile(delayed(closure_over(f"Bearer {copied}"))(1), **AWS)
    assert copied not in str(caught.value)


def test_variables_are_secrets_by_their_names() -> None:
    environ = {
        "AWS_SECRET_ACCESS_KEY": "long-enough-1",
        "AWS_ACCESS_KEY_ID": "not-a-secret",
        "DB_PASSWORD": "short",
        "GOOGLE_APPLICATION_CREDENTIALS": "/a/path/of/a/file",
        "TOKENIZERS_PARALLELISM": "not-a-secret",
    }
    assert secret_values(environ) == {"long-enough-1"}


@pytest.mark.parametrize(
    "value",
    [
        {"token": "anon"},
        {"anon": True, "key": "", "secret": None},
        {"secret": ""},
        {"password": "is explained in a sentence"},
        {"secrets": 4, "token_count": "twelve"},
        {"token": "/home/me/token.json"},
        ["secret", "public", "password", "email"],
        "https://example.com/a:b@c?signed=no",
        "s3://bucket/secret/password.parquet",
        pd.DataFrame({"password": ["correct-horse"]}),
        np.array(["password", "correct-horse"]),
        object_store(anon=True),
    ],
    ids=lambda value: str(value).partition(" object at ")[0],
)
def test_what_merely_speaks_of_secrets_leaves(value: Any, tmp_path: Path) -> None:
    program = graphlambda.compile(delayed(take)(value), **AWS)
    program.save(tmp_path / "saved")
    assert graphlambda.load_program(tmp_path / "saved").task_count == program.task_count


def test_dataframes_read_with_storage_options_are_looked_into(tmp_path: Path) -> None:
    for part in range(2):
        (tmp_path / f"{part}.csv").write_text("a\n1\n")
    table = dd.read_csv(
        f"simplecache::file://{tmp_path}/*.csv", storage_options={"file": {"secret": PASSWORD}}
    )
    with pytest.raises(RefusedError) as caught:
        graphlambda.compile(table.a.sum(), **AWS)
    assert_says_the_remedy_and_no_secret(caught.value)


def test_an_error_about_what_cannot_travel_shows_no_secret() -> None:
    holder = {
        "secret": PASSWORD,
        "url": f"ftp://me:{PASSWORD}@x",
        "key": SECRET_KEY,
        "lock": threading.Lock(),
    }
    with pytest.raises(UnshippableError) as caught:
        graphlambda.compile(delayed(take)(holder))
    assert_no_secret(str(caught.value))
    assert "'secret': '(not shown)'" in str(caught.value)


def test_masking_leaves_the_rest_of_a_text_alone() -> None:
    text = "{'path': 's3://bucket/key', 'sha1': 'da39a3ee5e6b4b0d3255bfef95601890afd80709', 'n': 3}"
    assert masked(text) == text


def assert_says_the_remedy_and_no_secret(error: RefusedError) -> None:
    assert_no_secret(str(error) + repr(error))
    for remedy in ("anon=True", "the function's role", "by its name"):
        assert remedy in error.remedy


def assert_no_secret(text: str) -> None:
    for secret in (SECRET_KEY, PASSWORD, ACCOUNT_KEY, SIGNATURE, "0a" * 32, "ya29."):
        assert secret not in text
