"""graphlambda: Dask collections on AWS Lambda with no cluster, one function for each unique operation.

In: collections. Out: their results. `import graphlambda` registers the scheduler `graphlambda` with Dask.
"""

from graphlambda.api import (
    Program,
    RunHandle,
    WaitingRun,
    cancel,
    compile,  # noqa: A004  (the verb's name)
    compute,
    deploy,
    estimate,
    get,
    last_summary,
    load_program,
    persist,
    plan,
    resume,
    run,
    runs,
    submit,
)
from graphlambda.deployer import Deployment, Plan

__version__ = "0.1.0"
__all__ = [
    "Deployment",
    "Plan",
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
