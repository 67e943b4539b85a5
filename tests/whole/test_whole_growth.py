"""Functions grow by what only a run can show, and differ by what their inputs need."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pandas as pd
import pytest
from dask import delayed
from packaging.version import Version

import graphlambda
from graphlambda import config
from graphlambda.api.provision import Provisioning
from graphlambda.api.session import session_of
from graphlambda.errors import MissingModuleError


def late_ones(halves: list[tuple[str, str]]) -> list[str]:
    import importlib

    return [importlib.import_module(first + second).__name__ for first, second in halves]


def test_modules_that_are_missed_one_after_the_other_are_added_charged_to_us_and_remembered() -> None:
    task = delayed(late_ones)([("loc", "ket"), ("sortedcont", "ainers")])
    assert graphlambda.compute(task) == (["locket", "sortedcontainers"],)
    first = graphlambda.last_summary()
    assert graphlambda.compute(task) == (["locket", "sortedcontainers"],)
    second = graphlambda.last_summary()
    assert first is not None
    assert second is not None
    assert (first.retried, first.failure) == (2, "")  # no try of the user's own was spent: there is one
    assert (second.retried, second.functions_made, second.functions_reused) == (0, 0, 1)


def test_what_a_distribution_does_not_have_is_not_looked_for_twice() -> None:
    with pytest.raises(MissingModuleError, match=r"'six\.no_such_part'"):
        graphlambda.compute(delayed(late_ones)([("six.no_", "such_part")]))


def test_a_function_that_somebody_deleted_is_made_again_and_one_that_is_there_is_left() -> None:
    program = graphlambda.compile(delayed(late_ones)([("js", "on")]))
    deployment, session = graphlambda.deploy(program), session_of(config.load())
    ((operation, function),) = deployment.functions.items()
    provisioning = Provisioning(program, deployment, session)
    session.cloud.client.delete_function(FunctionName=function)
    assert session.cloud.names(function) == ([], [])
    for _ in range(2):
        assert asyncio.run(provisioning.afresh(operation, function)) == function
    assert graphlambda.run(program, deployment) == (["json"],)


def kind(part: Any) -> str:
    return type(part).__name__


def test_one_operation_has_a_function_for_each_kind_of_inputs_and_both_stay() -> None:
    values = (np.arange(4), Version("1"), pd.DataFrame({"x": [1]}))
    programs = [graphlambda.compile(delayed(kind)(value)) for value in values]
    (operation,) = {number for program in programs for number in program.requirements}
    needs = [{each.partition("==")[0] for each in program.requirements[operation]} for program in programs]
    assert needs[:2] == [{"numpy"}, {"packaging"}]
    assert {"numpy", "pandas"} <= needs[2]
    deployments = [graphlambda.deploy(program) for program in programs[:2]]
    assert deployments[0].functions[operation] != deployments[1].functions[operation]
    assert [graphlambda.run(*each) for each in zip(programs[:2], deployments, strict=True)] == [
        ("ndarray",),
        ("Version",),
    ]
