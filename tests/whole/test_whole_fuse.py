"""Fusion as a user sees it: the second run is faster, and no later one deploys anything; the user may overrule it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from dask import delayed

import graphlambda
from graphlambda.api.profiles import fusing_of, learn
from graphlambda.compiler.measured import Fusing, Profile
from graphlambda.compiler.program import Fusion
from graphlambda.config import Config, load
from graphlambda.errors import ProfileWarning
from graphlambda.report import Profiler
from graphlambda.testing.programs import program_of

if TYPE_CHECKING:
    from pathlib import Path

TASKS = 1_000


def inc(value: int) -> int:
    return value + 1


def double(value: int) -> int:
    return value * 2 % 1_000_003


def alternating(count: int) -> Any:
    value = delayed(inc)(0)
    for number in range(count - 1):
        value = delayed(inc if number % 2 else double)(value)
    return value


def test_a_chain_of_two_operations_is_fused_once_and_stays_so() -> None:
    chain, seen = alternating(TASKS), []
    wanted = chain.compute(scheduler="sync")
    for _ in range(4):
        assert graphlambda.compute(chain) == (wanted,)
        summary = graphlambda.last_summary()
        assert summary is not None
        seen.append((summary.tasks, summary.functions_made, summary.invocations < TASKS // 20))
    assert seen == [(1000, 2, False), (500, 1, True), (500, 0, True), (500, 0, True)]
    listed = str(graphlambda.compile(chain))
    assert "inc, then double: 500 tasks (they take 0." in listed
    assert graphlambda.compile(chain, fuse=False).task_count == TASKS


def failing(value: int) -> int:
    raise ValueError(value)


def test_what_fails_in_a_fused_task_is_told_with_all_its_keys() -> None:
    value = delayed(failing)(delayed(inc)(1, dask_key_name="first"), dask_key_name="then")
    with pytest.raises(ValueError, match="2") as raised:
        graphlambda.compute(value, fuse=True)
    assert any("then ← first" in note for note in raised.value.__notes__)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load({"cache_dir": tmp_path / "cache"}, {"HOME": str(tmp_path)})


class Told(Profiler):
    """A profiler that was told what it knows."""

    def __init__(self, profiles: dict[str, Profile], overhead_s: float | None) -> None:
        self._told = profiles, overhead_s

    def profiles(self) -> dict[str, Profile]:
        return self._told[0]

    def overhead_s(self) -> float | None:
        return self._told[1]


NOTHING = program_of([], [])
UNMEASURED = Fusing(longest_s=150.0)
ONCE = Profile(seconds=1.0, p95_s=2.0, value_bytes=10.0, batch=4.0, count=100)
AGAIN = Profile(seconds=2.0, p95_s=4.0, value_bytes=20.0, batch=8.0, count=300)


def test_what_a_program_was_fused_by_is_not_forgotten(config: Config) -> None:
    learn(Told({f"form-{number}": ONCE for number in range(2_000)}, 0.5), NOTHING, config, 2)
    fusion = Fusion(first="a", then="b", tasks=1, why="", forms=("form-0", "form-1"))
    learn(Told({"both": ONCE}, 0.5), replace(NOTHING, fusions=(fusion,)), config, 2)
    forms = list(fusing_of(config).profiles)
    assert (forms[0], forms[-3:], len(forms)) == ("form-3", ["form-0", "form-1", "both"], 2_000)


def test_measurements_of_several_runs_are_weighed_by_their_tasks(config: Config) -> None:
    assert fusing_of(config) == UNMEASURED
    learn(Told({"a": ONCE, "b": ONCE}, 0.5), NOTHING, config, 2)
    learn(Told({"a": AGAIN}, None), NOTHING, config, 2)
    mixed = Profile(seconds=1.75, p95_s=3.5, value_bytes=17.5, batch=7.0, count=400)
    assert fusing_of(config) == replace(
        UNMEASURED, profiles={"a": mixed, "b": ONCE}, overhead_s=0.5, at_once=2
    )


def test_what_was_measured_longest_ago_is_forgotten_first(config: Config) -> None:
    for first in range(0, 3_000, 500):
        learn(Told({f"form-{number}": ONCE for number in range(first, first + 500)}, 0.5), NOTHING, config, 2)
    assert list(fusing_of(config).profiles) == [f"form-{number}" for number in range(1_000, 3_000)]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        json.dumps({"version": 9, "overhead_s": 1.0, "profiles": {}}).encode(),
        json.dumps({"version": 2, "overhead_s": 1.0, "profiles": {"a": [1.0]}}).encode(),
        json.dumps({"version": 2, "overhead_s": 1.0, "profiles": {"a": [1.0, 1.0, 1.0, 0.0, 1.0]}}).encode(),
    ],
)
def test_a_damaged_note_is_said_so_and_written_anew(config: Config, content: bytes) -> None:
    path = config.cache_dir / "profiles" / config.deployment_id
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.warns(ProfileWarning, match=f"{path} cannot be read"):
        assert fusing_of(config) == UNMEASURED
    with pytest.warns(ProfileWarning):
        learn(Told({"a": ONCE}, 0.5), NOTHING, config, 2)
    assert fusing_of(config) == replace(UNMEASURED, profiles={"a": ONCE}, overhead_s=0.5, at_once=2)


def test_who_overrules_fusion_reads_no_measurements(config: Config) -> None:
    learn(Told({"a": ONCE}, 0.5), NOTHING, config, 2)
    always, never = (
        load({"cache_dir": config.cache_dir, "fuse": fuse}, {"HOME": "/nowhere"}) for fuse in (True, False)
    )
    assert (fusing_of(always), fusing_of(never)) == (Fusing(always=True), Fusing())
