"""Settings of single operations, plain variables and secrets, as local functions have them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from dask import delayed

import graphlambda
from graphlambda.api.pricing import most_traffic
from graphlambda.deployer import Settings
from graphlambda.errors import BudgetError, ConfigError, RefusedError
from graphlambda.prices import Size, Usage, ran, usd_of
from graphlambda.scheduler.spending import START_S

PARAMETER = "arn:aws:ssm:eu-west-1:123456789012:parameter/key"
SECRET = "hunter22-never-on-a-disk"


@delayed  # type: ignore[untyped-decorator]
def seen(*names: str) -> list[str | None]:
    return [os.environ.get(name) for name in names]


@delayed  # type: ignore[untyped-decorator]
def joined(found: list[str | None]) -> tuple[list[str | None], str]:
    return found, os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]


def test_each_operation_has_its_own_settings_and_all_have_variables_and_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEY_ONE", SECRET)
    names = ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "OMP_NUM_THREADS", "A_MODE", "KEY_ONE", "GRAPHLAMBDA_SECRETS")
    flags: dict[str, Any] = {
        "environment": {"A_MODE": "careful"},
        "secrets": {"KEY_ONE": PARAMETER},
        "operations": {"seen*": {"memory_mb": 3538, "provisioned_concurrency": 1, "reserved_concurrency": 1}},
    }
    found, memory = graphlambda.compute(joined(seen(*names)), **flags)[0]
    assert found == ["3538", "2", "careful", SECRET, f'{{"KEY_ONE": "{PARAMETER}"}}']
    assert memory == "2048"
    assert not [path for path in _files() if SECRET.encode() in path.read_bytes()]
    (without,) = graphlambda.compute(seen("KEY_ONE"))
    assert without == [None]


def test_tasks_that_are_annotated_run_with_what_they_were_given() -> None:
    import dask

    with dask.annotate(graphlambda={"memory_mb": 512}):
        small = seen("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
    assert graphlambda.compute(small, seen("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")) == (["512"], ["2048"])


def test_a_budget_counts_what_an_operation_was_given() -> None:
    given: dict[str, Any] = {"memory_mb": 1024, "timeout_s": 60, "ephemeral_mb": 1536}
    with pytest.raises(BudgetError) as caught:
        graphlambda.compute(seen("HOME"), operations={"seen*": given}, budget_usd=0.001)
    asked = most_traffic(Settings(role="", **given), 1, 1, cached=False)
    most = ran(Size(memory_mb=1024, ephemeral_mb=1536), 60 + START_S) + Usage(traffic=asked)
    assert caught.value.next_usd == pytest.approx(usd_of(most))
    assert graphlambda.compute(seen("NOT_THERE"), budget_usd=0.1) == ([None],)


def test_nothing_runs_where_a_secret_is_missing_or_would_be_shown() -> None:
    with pytest.raises(ConfigError, match="KEY_TWO is not set here"):
        graphlambda.compute(seen("A_MODE"), secrets={"KEY_TWO": PARAMETER})
    with pytest.raises(RefusedError, match="environment= holds"):
        graphlambda.compute(seen("A_MODE"), environment={"DB_PASSWORD": SECRET})


def _files() -> list[Path]:
    """Return all files that a session keeps."""
    folders = (Path(os.environ[f"GRAPHLAMBDA_{name}_DIR"]) for name in ("CACHE", "STATE"))
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]
