"""How long a user waits for the first result: an empty cache, a full one, and one edited lambda.

In: a folder for the cache. Out: `First`s. Each is a Python of its own, as a script is that somebody starts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

_SCRIPT = Path(__file__).parent / "climatology.py"

_WITH_BYTE_CODE = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
_IMPORTS = "import boto3, dask.array, flox, graphlambda.deployer.aws, pipreqs.pipreqs, xarray"


@dataclass(frozen=True, slots=True)
class First:
    """One script."""

    name: str
    seconds: float
    """From `compute()` to the result."""

    bar_s: float


def measure(folder: Path) -> list[First]:
    """Compute the same climatology three times with one cache, by libraries that have been imported here before."""
    subprocess.run([sys.executable, "-c", _IMPORTS], check=True, env=_WITH_BYTE_CODE)
    runs = [("an empty cache", "1.0", 15.0), ("a full cache", "1.0", 1.0), ("one edited lambda", "2.0", 1.0)]
    return [First(name, _seconds(factor, folder), bar_s) for name, factor, bar_s in runs]


def _seconds(factor: str, folder: Path) -> float:
    print(f"first result: {factor}", file=sys.stderr, flush=True)
    environment = {**_WITH_BYTE_CODE, "XDG_CACHE_HOME": str(folder), "GRAPHLAMBDA_PROGRESS": "no"}
    done = subprocess.run(
        [sys.executable, str(_SCRIPT), factor], capture_output=True, text=True, check=True, env=environment
    )
    return float(done.stdout.splitlines()[-1])
