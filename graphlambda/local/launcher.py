"""Says how the environment of a function is started: command, specification, variables.

In: a function, what functions may see, the run's AWS identity. Out: a `Launch`. Must not start it.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from graphlambda.local.environment import Launch
from graphlambda.local.host import command
from graphlambda.local.names import REGION
from graphlambda.local.plan import Place, Sight, helpers, specification

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphlambda.local.catalogue import Catalogue
    from graphlambda.local.records import Function
    from graphlambda.local.settings import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What functions get from the run beside their own code; a change makes fresh environments."""

    sight: Sight
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    """AWS credentials and region as environment variables; kept in memory only."""


class Launcher:
    """Prepares launches for one service."""

    def __init__(
        self, state: Path, catalogue: Catalogue, runtime: Path, *, level: Level, client: str
    ) -> None:
        self._catalogue = catalogue
        self._runtime = runtime
        self._command = tuple(command(runtime))
        self._level = level
        self._client = client
        self._tmp = state / "tmp"
        self._root = state / "root"
        for folder in (self._tmp, self._root):
            folder.mkdir(mode=0o700, exist_ok=True)

    def prepare(self, function: Function, surroundings: Surroundings) -> Launch:
        """Return how an environment of this function is started now."""
        self._catalogue.used(function)
        tmp = None if self._level == "namespaces" else Path(mkdtemp(dir=self._tmp))
        place = Place(
            task=self._catalogue.code / function.code.digest,
            opt=self._catalogue.opt(function),
            runtime=self._runtime,
            tmp=tmp or self._root,
            root=self._root,
        )
        spec = specification(
            self._level,
            place,
            surroundings.sight,
            tmp_mb=function.ephemeral_mb,
            client=self._client,
            token=secrets.token_urlsafe(),
        )
        variables = {
            **function.variables,
            **surroundings.identity,
            **reserved_variables(function, spec["task"]),
        }
        variables["LAMBDA_RUNTIME_DIR"] = spec["runtime"]
        if tmp is not None:
            variables["TMPDIR"] = str(tmp)
        return Launch(
            command=self._command,
            specification=spec,
            variables=variables,
            folder=place.task,
            helpers=helpers(self._level),
            tmp=tmp,
        )


def reserved_variables(function: Function, task: str) -> dict[str, str]:
    """Return what Lambda sets.

    See https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    version = function.runtime.removeprefix("python")
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
    return {
        "_HANDLER": function.handler,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{version}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_REGION": REGION,
        "LAMBDA_TASK_ROOT": task,
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "TZ": ":UTC",
    }
