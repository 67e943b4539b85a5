"""Calls a function in a Python of its own, so that no measurement inherits another's memory, threads or settings.

    python -m benchmarks.apart benchmarks.overhead measured '["distributed", ["chain"], 3]'

In: a function of a benchmark and JSON arguments. Out: what it returns, through JSON; what it says on stderr is seen.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib import import_module
from typing import Any

LIMIT_S = 900
"""After which a measurement is given up."""


def apart(module: str, function: str, *arguments: Any, **variables: str) -> Any:
    """Return what a function returns in a new process, which has these environment variables on top.

    BLAS uses one thread everywhere unless a variable says otherwise: two workers of two threads each would fight
    over two cores. Temporary files of the process are gone afterwards.

    Raises:
        subprocess.CalledProcessError: it failed; its own words are on stderr.
        subprocess.TimeoutExpired: it took longer than we wait.
    """
    command = [sys.executable, "-m", "benchmarks.apart", module, function, json.dumps(arguments)]
    with tempfile.TemporaryDirectory(prefix="graphlambda-benchmarks-", ignore_cleanup_errors=True) as folder:
        environment = {**os.environ, **single_threaded(), "TMPDIR": folder, **variables}
        with tempfile.TemporaryFile("w+", dir=folder) as told:  # a pipe would stay open with a peer's daemons
            subprocess.run(command, check=True, stdout=told, timeout=LIMIT_S, env=environment)
            told.seek(0)
            return json.loads(told.read().splitlines()[-1])


def single_threaded() -> dict[str, str]:
    """Return the variables that give BLAS one thread in each process."""
    return dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def main(module: str, function: str, arguments: str) -> None:
    """Call and print."""
    print(json.dumps(getattr(import_module(module), function)(*json.loads(arguments))))


if __name__ == "__main__":
    main(*sys.argv[1:])
