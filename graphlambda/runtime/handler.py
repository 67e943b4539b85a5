"""What Lambda calls: `graphlambda_runtime.handler.handler`.

In: a request (see `wire`). Out: a reply. Importing it is a cold start: it imports the operation, which lies
in the folder that holds this package, beside the user's own modules in `user/`.
"""

from __future__ import annotations

import os
import sys
import time
from importlib.machinery import ModuleSpec, SourceFileLoader
from types import ModuleType

from .absent import Absent
from .answer import answer
from .environment import Environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

OPERATION_MODULE = "graphlambda_operation"

SECRETS = "GRAPHLAMBDA_SECRETS"
"""The variable that says which variables are read from where before the operation is imported; see `secret_values`."""

DEPS = "deps.json"
"""In a function's own files where its distributions did not fit into layers; see `unpack`."""


_STARTED = os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE")
"""How: `on-demand`, `provisioned-concurrency` or `snap-start`."""


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Answer one request; raises as `answer` does."""
    return answer(event, _ENVIRONMENT)


def environment_of(folder: str, name: str) -> Environment:
    """Return an environment for the artifact unzipped in a folder; its operation is imported here."""
    sys.path.insert(0, os.path.join(folder, "user"))  # noqa: PTH118  (importing pathlib would add 4 ms)
    sys.meta_path.append(Absent(folder))
    return Environment(name, _operation_id(folder), lambda: _operation_of(folder))


def _operation_id(folder: str) -> str:
    """Return which operation a function holds; empty for a folder that is no function."""
    import json  # noqa: PLC0415  (here already wherever a request came as JSON)

    try:
        with open(os.path.join(folder, "manifest.json"), encoding="utf-8") as file:  # noqa: PTH118, PTH123
            return str(json.load(file)["operation"])
    except FileNotFoundError:
        return ""


def _operation_of(folder: str) -> Callable[..., Any]:
    if SECRETS in os.environ:
        from .secret_values import read_secrets  # noqa: PLC0415  (few functions have any)

        read_secrets(os.environ[SECRETS])
    if os.path.exists(os.path.join(folder, DEPS)):  # noqa: PTH110, PTH118
        from .unpack import import_from_archive  # noqa: PLC0415  (few operations are that large)

        import_from_archive(os.path.join(folder, DEPS), os.environ.get("TMPDIR", "/tmp"))  # noqa: PTH118, S108
    return _imported(os.path.join(folder, "operation.py"))  # noqa: PTH118


def _imported(path: str) -> Callable[..., Any]:
    module = sys.modules[OPERATION_MODULE] = ModuleType(OPERATION_MODULE)
    loader = SourceFileLoader(OPERATION_MODULE, path)  # as importlib.util would, which is 4 ms more to import
    module.__file__, module.__loader__ = path, loader
    module.__spec__ = ModuleSpec(OPERATION_MODULE, loader, origin=path)
    loader.exec_module(module)
    operation: Callable[..., Any] = module.operation
    return operation


def _stay_fresh() -> None:
    """Be an environment of its own after each restore, where AWS starts environments from a snapshot."""
    if _STARTED == "snap-start":
        from snapshot_restore_py import (  # type: ignore[import-untyped]  # noqa: PLC0415  (the managed runtime's own)
            register_after_restore,
        )

        from .restored import restored  # noqa: PLC0415  (elsewhere nothing is restored)

        register_after_restore(lambda: restored(_ENVIRONMENT, os.environ.get(SECRETS)))


_stay_fresh()
_ENVIRONMENT = environment_of(
    os.path.dirname(os.path.dirname(os.path.abspath(__file__))),  # noqa: PTH100, PTH120
    os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", f"process-{os.getpid()}"),
)
_ENVIRONMENT.had_waited = _STARTED == "provisioned-concurrency"
if not _ENVIRONMENT.had_waited:
    _ENVIRONMENT.init_s = time.process_time()  # it waits for nothing but its files
