"""A deployment from init to destroy, on a real account: the commands and runs of README's chapter, in its order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dask.array as da
import pytest

import graphlambda
from graphlambda.account.stack import NONE
from graphlambda.cli import main

if TYPE_CHECKING:
    from tests.aws.conftest import Deployed


def chain() -> da.Array:
    x = da.arange(4_000, chunks=1_000)
    return ((x - x.mean()) ** 2).sum()


def stores(deployed: Deployed) -> dict[str, dict[str, Any]]:
    """Return settings by what they choose: what the stack says, its bucket alone."""
    whole = deployed.config
    bucket = whole.store.rpartition("+")[2]
    return {"the stack's": {}, "the bucket": {"store": bucket}}


def test_the_doctor_finds_nothing_to_do(deployed: Deployed, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--endpoint", "aws", "--region", deployed.region, "--deployment", deployed.id]
    ended = main(["doctor", *where])
    assert ended == 0, capsys.readouterr().out


@pytest.mark.parametrize("inline_bytes", [0, 65_536], ids=["through the store", "in replies"])
@pytest.mark.parametrize("choice", ["the stack's", "the bucket"])
def test_a_run_gives_what_dask_gives(deployed: Deployed, choice: str, inline_bytes: int) -> None:
    flags = {**deployed.flags, **stores(deployed)[choice], "inline_bytes": inline_bytes}
    assert graphlambda.compute(chain(), **flags) == (chain().compute(scheduler="sync"),)


def test_with_a_cache_the_stacks_store_is_the_cache_before_the_bucket(deployed: Deployed) -> None:
    has_cache = deployed.cache != NONE
    assert deployed.config.store.startswith("rediss://" if has_cache else "s3://")


def test_a_second_deploy_plans_nothing(deployed: Deployed) -> None:
    program = graphlambda.compile(chain())
    made = graphlambda.deploy(program, **deployed.flags)
    assert graphlambda.plan(program, **deployed.flags).calls == ()
    assert graphlambda.deploy(program, **deployed.flags).functions == made.functions


def test_values_may_stay_there(deployed: Deployed) -> None:
    (kept,) = graphlambda.persist(da.arange(100, chunks=25) * 2, **deployed.flags)
    assert graphlambda.compute(kept.sum(), **deployed.flags) == (9_900,)


def test_status_lists_functions_and_names_what_stands(
    deployed: Deployed, capsys: pytest.CaptureFixture[str]
) -> None:
    names = graphlambda.deploy(graphlambda.compile(chain()), **deployed.flags).functions.values()
    capsys.readouterr()
    assert deployed.aws("status") == 0
    listed = capsys.readouterr().out
    assert [name for name in {*names, "AWS::S3::Bucket", "a month"} if name not in listed] == []


def test_a_sweep_deletes_what_nobody_has_needed_for_so_long_and_a_deploy_makes_it_again(
    deployed: Deployed,
) -> None:
    program = graphlambda.compile(chain())
    names = set(graphlambda.deploy(program, **deployed.flags).functions.values())
    assert deployed.aws("sweep", "--yes") == 0
    assert graphlambda.plan(program, **deployed.flags).calls == ()
    assert deployed.aws("sweep", "--older-than", "0", "--yes") == 0
    assert set(graphlambda.deploy(program, **deployed.flags).created) == names
