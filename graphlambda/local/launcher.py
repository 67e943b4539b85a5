"""Says how the environment of a function is started, and the parent that it may be forked from.

In: a function, what functions may see, the run's AWS identity. Out: a `Launch`, a `Warmth`. Must not start anything.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

from graphlambda.local.control import host_runtime
from graphlambda.local.host import AFRESH, client_modules, command
from graphlambda.local.imports import Imports, imports_of
from graphlambda.local.names import REGION
from graphlambda.local.plan import Place, Sight, inner_mounts, parent_specification, specification

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from graphlambda.local.catalogue import Catalogue
    from graphlambda.local.records import Function
    from graphlambda.local.settings import Level


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What functions get from the run beside their own code; a change makes fresh environments."""

    sight: Sight
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)
    """AWS credentials and region as environment variables; kept in memory only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a process is started, an environment or a parent of some."""

    command: tuple[str, ...]
    specification: Mapping[str, Any] = field(repr=False)
    """For the guest, on its standard input; holds the token."""

    variables: Mapping[str, str] = field(repr=False)
    """The process's whole environment, identity and secrets included, without the Runtime API's address."""

    folder: Path
    """Working directory on the host."""

    tmp: Path | None
    """Folder that stands for /tmp and ends with the process; None where one is mounted."""

    def order(self) -> dict[str, Any]:
        """Return what a parent needs to know of a child."""
        known = {
            key: value for key, value in self.specification.items() if key not in _OF_A_PROCESS_OF_ITS_OWN
        }
        return {**known, "variables": dict(self.variables)}


_OF_A_PROCESS_OF_ITS_OWN = frozenset({"parent", "root", "mounts"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Warmth:
    """What a parent has before its children need it: equal where one parent may serve functions alike."""

    layers: Path | None
    modules: tuple[str, ...]
    """Modules of layers that are imported."""

    library: tuple[str, ...] = field(compare=False)
    """Modules of the standard library that are imported: their like is in every parent."""

    variables: tuple[tuple[str, str], ...] = field(repr=False)
    """The function's own and the identity's: an import may read them."""

    sight: Sight


class Launcher:
    """Prepares launches for one service."""

    def __init__(
        self, state: Path, catalogue: Catalogue, runtime: Path, *, level: Level, client: str, network: bool
    ) -> None:
        self._catalogue = catalogue
        self._runtime = runtime
        self._command = tuple(command(runtime))
        self._parent_command = tuple(command(runtime, "parent"))
        self._level = level
        self._client = client
        self._network = network
        self._imports: dict[tuple[str, str], Imports | None] = {}
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
            network=self._network,
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
            specification={
                **spec,
                "inner": inner_mounts(place.task, surroundings.sight, function.ephemeral_mb),
            },
            variables=variables,
            folder=place.task,
            tmp=tmp,
        )

    def warmth(self, function: Function, surroundings: Surroundings) -> Warmth | None:
        """Return what a parent of this function's environments has; None where none would be like them."""
        opt = self._catalogue.opt(function)
        which = function.code.digest, str(opt)
        if which not in self._imports:
            self._imports[which] = imports_of(
                self._catalogue.code / function.code.digest, function.handler, opt, self._runtime
            )
        found = self._imports[which]
        if found is None:
            return None
        return Warmth(
            layers=opt,
            modules=found.layers,
            library=found.library,
            variables=tuple(sorted({**function.variables, **surroundings.identity}.items())),
            sight=surroundings.sight,
        )

    @staticmethod
    def fits(surroundings: Surroundings, warmth: Warmth) -> bool:
        """Return whether a parent may serve functions in these surroundings."""
        identity = surroundings.identity.items()
        return warmth.sight == surroundings.sight and identity <= dict(warmth.variables).items()

    def parent(self, warmth: Warmth) -> Launch:
        """Return how a parent is started."""
        tmp = Path(mkdtemp(dir=self._tmp))
        place = Place(
            task=self._root, opt=warmth.layers, runtime=self._runtime, tmp=self._tmp, root=self._root
        )
        spec = parent_specification(
            self._level,
            place,
            warmth.sight,
            code=self._catalogue.code,
            tmp=tmp,
            client=self._client,
            network=self._network,
        )
        variables = {
            **_WITHOUT_THREADS,
            **_KEEPING,
            **dict(warmth.variables),
            **common_variables(),
            "TMPDIR": str(tmp),
        }
        if self._level == "namespaces":
            del variables["TMPDIR"]
        return Launch(
            command=self._parent_command,
            specification={
                **spec,
                "modules": [*client_modules(self._client), AFRESH, *warmth.library, *warmth.modules],
            },
            variables=variables,
            folder=self._root,
            tmp=tmp,
        )


_WITHOUT_THREADS = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""Importing pyarrow would start a thread that frees memory in the background, for an allocator that it does not use."""

_KEEPING = {"MALLOC_MMAP_THRESHOLD_": str(128 << 20), "MALLOC_TRIM_THRESHOLD_": str(256 << 20)}
"""What a task lets go of, its arrays above all, is there for the next one in the same environment: to give it back to Linux
and to get it again, page by page, is a sixth of the time that tasks on arrays take. An eighth of a usual function's memory.

See https://sourceware.org/glibc/manual/latest/html_node/Malloc-Tunable-Parameters.html
"""


def common_variables() -> dict[str, str]:
    """Return what Lambda sets for all functions."""
    return {
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{host_runtime()}",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_REGION": REGION,
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "TZ": ":UTC",
    }


def reserved_variables(function: Function, task: str) -> dict[str, str]:
    """Return what Lambda sets.

    See https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
    return {
        **common_variables(),
        "_HANDLER": function.handler,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group or f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "LAMBDA_TASK_ROOT": task,
    }
