"""Warn of generators of random numbers that travel by value to several tasks: each of them draws the same numbers.

In: a program. Out: nothing, or a warning for each operation. Must not draw a number.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np

from graphlambda.compiler.program import Constant
from graphlambda.edge import warn
from graphlambda.errors import RandomWarning

if TYPE_CHECKING:
    from graphlambda.compiler.program import Program

_GENERATORS = (np.random.Generator, np.random.BitGenerator, np.random.RandomState, Random)


def tell_of_generators(program: Program) -> None:
    """Warn of operations all of whose tasks, more than one, are given the same generator."""
    for table in program.tables:
        shared = [
            each.value
            for each in table.columns
            if isinstance(each, Constant) and isinstance(each.value, _GENERATORS)
        ]
        if shared and len(table.tasks) > 1:
            warn(
                f"each of the {len(table.tasks):,} tasks of operation {table.operation.name} gets a copy of the same "
                f"{type(shared[0]).__name__} and draws the same numbers: make one in the task, or use `da.random`",
                RandomWarning,
            )
