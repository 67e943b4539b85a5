"""The order of tasks: a permutation after dependencies, the same everywhere, light on memory."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given

from graphlambda.scheduler.order import ranks
from graphlambda.testing.programs import edges_of, programs

if TYPE_CHECKING:
    from graphlambda.compiler.program import Program

Inputs = list[list[int]]


def order_of(inputs: Inputs) -> list[int]:
    order: list[int] = np.argsort(ranks(edges_of(inputs))).tolist()
    return order


def peak(inputs: Inputs, order: list[int]) -> int:
    """Return how many values live at once when tasks run one by one and values go with their last reader."""
    readers = [0] * len(inputs)
    for row in inputs:
        for value in row:
            readers[value] += 1
    live = most = 0
    for task in order:
        live += 1
        most = max(most, live)
        for value in inputs[task]:
            readers[value] -= 1
            live -= not readers[value]
    return most


def tree(leaves: int, fan_in: int) -> Inputs:
    inputs: Inputs = [[] for _ in range(leaves)]
    level = list(range(leaves))
    while len(level) > 1:
        groups = [level[i : i + fan_in] for i in range(0, len(level), fan_in)]
        level = list(range(len(inputs), len(inputs) + len(groups)))
        inputs += groups
    return inputs


def shared(blocks: int) -> Inputs:
    """`x.sum()` and `x.mean()` of one array."""
    pairs = [[i] for i in range(blocks)] * 2
    sums = [list(range(blocks, 2 * blocks)), list(range(2 * blocks, 3 * blocks))]
    return [*[[] for _ in range(blocks)], *pairs, *sums]


@given(programs())
def test_every_task_comes_once_and_after_its_inputs(program: Program) -> None:
    place = ranks(program.edges)
    assert sorted(place.tolist()) == list(range(program.task_count))
    for task in range(program.task_count):
        assert all(place[v] < place[task] for v in program.edges.of(task) if v < program.task_count)


@pytest.mark.parametrize(
    ("inputs", "most"),
    [(tree(4096, 2), 14), (tree(256, 16), 34), (shared(64), 132)],
    ids=["binary tree", "wide tree", "sum and mean of the same blocks"],
)
def test_a_reduction_holds_a_branch_a_level(inputs: Inputs, most: int) -> None:
    assert peak(inputs, order_of(inputs)) <= most


def test_blocks_go_one_by_one_where_two_reductions_share_them() -> None:
    assert order_of(shared(3)) == [0, 3, 6, 1, 4, 7, 2, 5, 9, 8, 10]


def test_the_longest_chain_comes_first() -> None:
    inputs: Inputs = [[], [], [1], [2], [0, 3]]
    assert order_of(inputs) == [1, 2, 3, 0, 4]


def test_a_long_chain_needs_no_recursion() -> None:
    inputs: Inputs = [[], *[[task] for task in range(20_000)]]
    assert order_of(inputs) == list(range(20_001))


def test_the_order_is_the_same_under_any_hash_seed() -> None:
    program = (
        "from graphlambda.scheduler.order import ranks; from graphlambda.testing.programs import edges_of;"
        "print(ranks(edges_of([[], [], [0, 1], [0], [2, 3], [1, 2]])).tolist())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(told) == 1
