"""How one pipeline is shown: its operations, its result, and whether Dask says the same.

In: a `Pipeline`. Out: text on stdout. It uses what every user of graphlambda can use.
"""

from __future__ import annotations

import sys
import textwrap
import time
from typing import TYPE_CHECKING, Any

import graphlambda
from graphlambda.report import operations_table

if TYPE_CHECKING:
    from demo.pipeline import Pipeline

_RULE = "═" * 110

_WATCHED = sys.stdout.isatty()
"""Whether a person looks on: then `run` draws, and ends with its summary line; else we print that line."""


def show(pipeline: Pipeline) -> bool:
    """Compile, deploy and run one pipeline, printing as it goes; return whether the result is Dask's."""
    print(f"\n{_RULE}\n{pipeline.title}\n\n{textwrap.fill(pipeline.about, 110)}\n")
    program = graphlambda.compile(pipeline.collection)
    started_s = time.perf_counter()
    deployment = graphlambda.deploy(program)
    spent_s = time.perf_counter() - started_s
    print(operations_table(program, deployment.functions, deployment.artifact_bytes))
    made = len(deployment.created)
    print(
        f"\n{made} of {len(deployment.functions)} functions made, the others were there ({spent_s:.1f} s)\n"
    )
    (value,) = graphlambda.run(program, deployment, progress=_WATCHED)
    summary = graphlambda.last_summary()
    if summary and not _WATCHED:
        print(summary)
    print(f"\n{textwrap.indent(pipeline.text(value), '    ')}\n")
    return _agrees(pipeline, value)


def _agrees(pipeline: Pipeline, value: Any) -> bool:
    agreed = pipeline.same(value, pipeline.collection.compute(scheduler="threads"))
    print("Dask's own scheduler says the same." if agreed else "DASK'S OWN SCHEDULER SAYS SOMETHING ELSE.")
    return agreed
