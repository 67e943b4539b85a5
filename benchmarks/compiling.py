"""What compiling one workload costs, and which operations it has.

In: a workload and a scale. Out: a `Compiled`. Must not run a task.

The unit is CPU time of this process: wall time on a shared machine says who else works on it. The best of several is
taken, since nothing makes a program faster than it is. Collections are built anew for each, outside the
measured time, because Dask keeps parts of an optimised graph with its expressions.
"""

from __future__ import annotations

import gc
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import dask

from graphlambda.compiler import compile_collections

if TYPE_CHECKING:
    from benchmarks.workloads import Workload
    from graphlambda.compiler.program import Operation, Program

DASK = "dask"
"""The stage that is Dask's own: optimising, lowering, materialising."""

OURS = ("symbolic", "walk", "split")
"""Our stages: layers that Dask holds as a rule, tasks that it has materialised, and what makes operations of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """One compilation, measured."""

    tasks: int
    operations: tuple[Operation, ...]
    """Each once, in table order: an operation may have several tables."""

    total_s: float
    """CPU seconds of the whole."""

    stages_s: dict[str, float]
    """By stage; what no stage names (glue) is in `total_s` only."""

    @property
    def ours_s(self) -> float:
        """All that Dask's own optimising and materialising does not take."""
        return self.total_s - self.stages_s.get(DASK, 0.0)

    def per_task_us(self, seconds: float) -> float:
        """Return microseconds a task."""
        return seconds / max(self.tasks, 1) * 1e6


def compile_best_of(workload: Workload, scale: int, repeats: int) -> Compiled:
    """Return the cheapest of `repeats` compilations by our own share."""
    return min((_compile(workload, scale) for _ in range(repeats)), key=lambda each: each.ours_s)


def _compile(workload: Workload, scale: int) -> Compiled:
    stages_s: dict[str, float] = defaultdict(float)

    def add(stage: str, seconds: float) -> None:
        stages_s[stage] += seconds

    with dask.config.set({"dataframe.shuffle.method": "tasks"}):
        collections = workload.collections(scale)
        gc.collect()
        start_s = time.process_time()
        program = compile_collections(*collections, on_stage=add)
        total_s = time.process_time() - start_s
    return _measured(program, total_s, dict(stages_s))


def _measured(program: Program, total_s: float, stages_s: dict[str, float]) -> Compiled:
    return Compiled(
        tasks=program.task_count,
        operations=tuple({table.operation.id: table.operation for table in program.tables}.values()),
        total_s=total_s,
        stages_s=stages_s,
    )
