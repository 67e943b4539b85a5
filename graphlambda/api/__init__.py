"""The composition root: the verbs that a user calls, each joining the stages.

In: collections, programs, settings. Out: what Dask would give. Importing it registers the scheduler with Dask.
"""

from graphlambda.api.calls import (
    compile,  # noqa: A004  (the verb's name)
    compute,
    deploy,
    get,
    last_summary,
    persist,
    run,
)
from graphlambda.api.program import Program, load_program

__all__ = [
    "Program",
    "compile",
    "compute",
    "deploy",
    "get",
    "last_summary",
    "load_program",
    "persist",
    "run",
]
