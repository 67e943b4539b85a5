"""Runs that wait are listed, whatever lies beside them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import dask.array as da
import pytest

from graphlambda.api.durability import (
    Saved,
    WaitingRun,
    durable,
    flags_of,
    functions_of,
    kept_note,
    waiting,
)
from graphlambda.cli import main
from graphlambda.compiler import compile_collections
from graphlambda.config import Config, load
from graphlambda.runtime.frame import encode_parts
from graphlambda.runtime.wire import context
from graphlambda.scheduler.journal import replaced, segment
from graphlambda.store.claims import LEASE

if TYPE_CHECKING:
    from pathlib import Path

    from graphlambda.scheduler import Durable
    from graphlambda.store.folders import Folder

STARTED_S = 1_790_000_000.0


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load({"state_dir": str(tmp_path)}, {})


def begun(run: str, config: Config) -> Folder:
    """Return the folder of a run of one task, as its client leaves it."""
    return durably(run, config).folder


def durably(run: str, config: Config) -> Durable:
    program = compile_collections(da.ones(1, chunks=1))
    terms = Saved(functions={"one": "gl-local-one"}, flags={}, state={}, tasks=1, started_s=STARTED_S)
    new = durable(run, program, terms, config)
    new.folder.begin()
    for name, value in new.saved.items():
        new.folder.create(name, encode_parts(value, key=new.key, context=context(run, name), gmac=False))
    return new


def test_a_run_of_another_root_key_or_with_a_damaged_lease_hides_no_other(
    config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    of_another_key = begun("r1", config)
    (config.state_dir / "root.key").write_bytes(os.urandom(32))
    begun("r2", config)
    begun("r3", config).create(LEASE, [b"{}"])
    found = {run.id: run for run in waiting(config)}
    assert found["r2"] == WaitingRun(id="r2", started_s=STARTED_S, done=0, tasks=1, holder="", canceller="")
    assert {run.id: run.state for run in found.values()} == {
        "r1": "unreadable",
        "r2": "waiting",
        "r3": "unreadable",
    }
    assert "another root key" in found["r1"].unreadable
    assert "the lease of run r3 is damaged" in found["r3"].unreadable
    monkeypatch.setenv("GRAPHLAMBDA_STATE_DIR", str(config.state_dir))
    assert main(["runs"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "unreadable" in lines["r1"]
    assert "another root key" in lines["r1"]
    assert "0 of 1" in lines["r2"]
    of_another_key.drop()
    assert {run.id for run in waiting(config)} == {"r2", "r3"}


@pytest.mark.parametrize(
    ("store", "saved"),
    [("file", {"file"}), ("redis://me:hush-hush@host:6379", set()), ("s3://bucket/prefix", set())],
)
def test_where_a_server_or_a_bucket_is_must_be_said_again_since_no_password_is_saved(
    store: str, saved: set[str], config: Config
) -> None:
    elsewhere = load({"state_dir": str(config.state_dir), "store": store}, {})
    assert {flags_of(elsewhere)[name] for name in ("store",) if name in flags_of(elsewhere)} == saved


def test_a_run_that_is_kept_says_what_must_be_said_again(config: Config) -> None:
    begun("r1", config)
    server = load({"state_dir": str(config.state_dir), "store": "redis://me:hush-hush@host:6379"}, {})
    how = [kept_note("r1", each).partition(" goes on")[0] for each in (config, server)]
    assert how == ["graphlambda.resume('r1')", "graphlambda.resume('r1', store=…)"]


def test_functions_that_took_others_place_are_the_runs_too(config: Config) -> None:
    new = durably("r1", config)
    assert functions_of("r1", config) == {"gl-local-one"}
    twins = [replaced("one", f"gl-local-twin{number}") for number in range(2)]
    new.folder.create(f"journal-{1:08}", segment(twins, 1, run="r1", key=new.key))
    assert functions_of("r1", config) == {"gl-local-one", "gl-local-twin0", "gl-local-twin1"}


@pytest.mark.parametrize("command", [["runs"], ["resume", "r1"], ["cancel", "r1"]])
def test_commands_about_runs_can_be_told_where_they_are(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = ["--endpoint", "no url", "--region", "no region", "--deployment", "no id", "--store", "no store"]
    assert main([*command, *wrong]) == 1
    mistakes = capsys.readouterr().err
    assert [name for name in ("deployment_id", "endpoint", "region", "store") if f"{name}=" in mistakes] == [
        "deployment_id",
        "endpoint",
        "region",
        "store",
    ]


@pytest.mark.parametrize("command", ["resume", "cancel"])
def test_a_name_that_no_run_has_is_no_run(
    command: str, config: Config, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GRAPHLAMBDA_STATE_DIR", str(config.state_dir))
    assert main([command, "../r1"]) == 1
    assert "there is nothing of run ../r1" in capsys.readouterr().err
