"""Compare all kernels with a release of Dask: `python -m tests.kernels 2026.8.0 [--most 200]`.

In: a release, which is fetched if another one is installed. Out: differences by function, as JSON; exits with 1 if
there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import dask

from tests.kernels.comparison import differences, references

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.kernels", description=__doc__)
    parser.add_argument("release")
    parser.add_argument("--most", type=int, default=1_000_000, help="calls of each function")
    options = parser.parse_args()
    if options.release != dask.__version__:
        return elsewhere(options.release, options.most)
    found = {":".join(each): differences(each, options.most) for each in references()}
    print(json.dumps(found, indent=1))
    return int(any(differing for _, differing in found.values()))


def elsewhere(release: str, most: int) -> int:
    """Fetch a release and compare with it in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = [f"dask=={release}", "--no-deps", "--quiet", "--target", folder]
        subprocess.run([sys.executable, "-m", "pip", "install", *wanted], check=True)
        command = [sys.executable, "-m", "tests.kernels", release, "--most", str(most)]
        path = os.pathsep.join([folder, str(ROOT)])
        return subprocess.run(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
