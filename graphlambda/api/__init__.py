"""The composition root: the verbs that a user calls, each joining the stages.

In: collections, programs, settings. Out: what Dask would give. Importing it registers the scheduler with Dask.
"""

from graphlambda.api.calls import (
    cancel,
    compile,  # noqa: A004  (the verb's name)
    compute,
    deploy,
    estimate,
    get,
    last_summary,
    persist,
    plan,
    resume,
    run,
    runs,
    submit,
)
from graphlambda.api.durability import WaitingRun
from graphlambda.api.handles import RunHandle
from graphlambda.api.program import Program, load_program

__all__ = [
    "Program",
    "RunHandle",
    "WaitingRun",
    "cancel",
    "compile",
    "compute",
    "deploy",
    "estimate",
    "get",
    "last_summary",
    "load_program",
    "persist",
    "plan",
    "resume",
    "run",
    "runs",
    "submit",
]
