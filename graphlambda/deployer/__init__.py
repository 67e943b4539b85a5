"""Deploy: artifacts → a Deployment, by a pure plan and a short apply.

In: what the packager built, settings, a Cloud. Out: which function holds each operation. Must not know Dask
or how a run goes. boto3 is imported by `graphlambda.deployer.aws` alone, where a caller asks for it.
"""

from graphlambda.deployer.apply import apply, deploy
from graphlambda.deployer.cloud import Cloud
from graphlambda.deployer.functions import Deployment, Settings
from graphlambda.deployer.intent import Plan, intended
from graphlambda.deployer.plan import plan
from graphlambda.deployer.specs import function_specs, layer_specs

__all__ = [
    "Cloud",
    "Deployment",
    "Plan",
    "Settings",
    "apply",
    "deploy",
    "function_specs",
    "intended",
    "layer_specs",
    "plan",
]
