"""Stands where AWS's /var/runtime/bootstrap.py stands: shuts the process in, sets the path, starts the client.

In: one JSON object on standard input (see `graphlambda.local.plan`). Out: never returns while the function lives.
Must not import more than it needs, pathlib included (5 ms): each import is paid at each cold start.
"""

from __future__ import annotations

import json
import os
import sys

from . import sandbox

TYPE_CHECKING = False  # the typing module costs 4 ms of a cold start
if TYPE_CHECKING:
    from typing import Any


def main() -> None:
    """Be an execution environment, or try whether its isolation works here (`{"probe": true}`)."""
    spec = json.loads(sys.stdin.buffer.read())
    sandbox.enter(spec)
    close_input()
    if not spec.get("probe"):
        settle(spec)
        run(spec)


def close_input() -> None:
    """Leave nothing to read on standard input, as on Lambda."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def settle(spec: dict[str, Any]) -> None:
    """Work in the function's folder, and import from where things lie now."""
    os.chdir(spec["task"])
    sys.path.remove(sys.argv[1])
    sys.modules[str(__package__)].__path__ = [f"{spec['runtime']}/{__package__}"]
    find_client(spec["client"], spec["runtime"])
    set_path(spec["task"], spec["opt"], spec["runtime"])


def find_client(client: str, runtime: str) -> None:
    """Have ours, before a function that holds awslambdaric brings another, whose C part the service's replies confuse."""
    if client == "pipelined":
        sys.path.insert(0, runtime)
        for name in ("awslambdaric", "runtime_client"):
            __import__(name)  # as `importlib` does, which nothing else needs here
        sys.path.remove(runtime)


def enter_task(task: str) -> None:
    """Work in the folder of a function from now on, after `settle` with a folder that held none."""
    os.chdir(task)
    sys.path[0] = task
    sys.path_importer_cache.clear()
    _add_site(task)


def set_path(task: str, opt: str, runtime: str) -> None:
    """Order `sys.path` as AWS does: the function, its layers, the runtime, the standard library."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [f"{opt}/python/lib/{version}/site-packages", f"{opt}/python"]
    sys.path[:] = [task, *layers, runtime, *sys.path]
    for folder in (task, *layers):
        _add_site(folder)


def _add_site(folder: str) -> None:
    """Let the `.pth` files of a folder count."""
    if os.path.isdir(folder) and any(name.endswith(".pth") for name in os.listdir(folder)):  # noqa: PTH112, PTH208 - as above
        import site  # noqa: PLC0415 - seldom needed

        site.addsitedir(folder)


def run(spec: dict[str, Any]) -> None:
    """Serve invocations with the client that the specification names."""
    handler = os.environ["_HANDLER"]
    if spec["client"] == "pure":
        from . import pure_client  # noqa: PLC0415 - not needed with AWS's own

        pure_client.serve(os.environ["AWS_LAMBDA_RUNTIME_API"], spec["token"], handler)
    else:
        from awslambdaric.__main__ import main as serve  # noqa: PLC0415 - found only now

        serve([spec["task"], handler])
