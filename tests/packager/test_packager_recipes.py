"""Each recipe's distribution, slim, still does what the recipe says that it proves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphlambda.packager import Target, build
from graphlambda.packager.recipes import read_recipes, recipes_folder
from graphlambda.testing.distributions import operation_of, run_isolated, unpack

if TYPE_CHECKING:
    from pathlib import Path

RECIPES = read_recipes(recipes_folder())
MEGABYTES = {
    "numpy": 55,
    "pandas": 42,
    "pyarrow": 105,
    "scipy": 110,
    "scikit-learn": 35,
    "xarray": 10,
    "dask": 10,
    "zstandard": 12,
}
"""What each may weigh, slim and with byte code: a little above what we measured."""


def test_the_recipes_are_those_of_the_distributions_that_users_meet_first() -> None:
    assert set(RECIPES.special) == set(MEGABYTES)


@pytest.mark.parametrize("name", sorted(RECIPES.special))
def test_a_slim_distribution_passes_its_proofs_and_checks(
    name: str, target: Target, cache: Path, runtime: Path, tmp_path: Path
) -> None:
    recipe = RECIPES.of(name)
    source = "".join(f"import {module}\n" for module in recipe.proof)
    operation = operation_of(source, imports=recipe.proof)
    (artifact,) = build([operation], target, cache=cache, runtime=runtime)
    own = next((layer for layer in artifact.layers if layer.requirements[0].distribution == name), None)
    assert own is not None
    assert own.size_bytes < MEGABYTES[name] * 1e6
    task, opt = unpack(artifact, tmp_path)
    run_isolated(task, opt, "\n".join([source, *recipe.checks]))


def test_a_dataframe_operation_fits_into_one_function(target: Target, cache: Path, runtime: Path) -> None:
    operation = operation_of("import dask.dataframe\n", imports=["dask.dataframe"])
    (artifact,) = build([operation], target, cache=cache, runtime=runtime)
    assert {"numpy", "pandas", "pyarrow", "dask"} <= {each.distribution for each in artifact.requirements}
    assert sum(layer.size_bytes for layer in artifact.layers) < 220e6
    assert len(artifact.layers) <= 5


def test_a_part_that_an_operation_names_comes_back(target: Target, cache: Path, runtime: Path) -> None:
    operation = operation_of("import pyarrow.flight\n", imports=["pyarrow.flight"])
    (artifact,) = build([operation], target, cache=cache, runtime=runtime)
    assert max(layer.size_bytes for layer in artifact.layers) > 120e6
