"""Graphs of every kind that people give to Dask, each at any size.

In: a scale; 1, 10 and 100 make about 100, 1,000 and 10,000 tasks. Out: collections that Dask's own schedulers
compute too. Must not depend on chance, time or the network: the same scale is the same graph and the same values.
"""

from __future__ import annotations

from benchmarks.workloads import arrays, bags, frames, grids, stores, tasks
from benchmarks.workloads.workload import Workload

WORKLOADS: dict[str, Workload] = {
    workload.name: workload
    for family in (arrays, frames, bags, tasks, grids, stores)
    for workload in family.WORKLOADS
}
"""Every workload by its name, family by family."""

__all__ = ["WORKLOADS", "Workload"]
