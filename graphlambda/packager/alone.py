"""Ask an interpreter of its own: `python -I -S -B`, nothing of this process in it, and an end to its time.

In: one of the scripts in `isolated/`, a job as JSON. Out: its answer. Must not know what is asked.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphlambda.errors import ProofError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCRIPTS = Path(__file__).parent / "isolated"
_TIMEOUT_S = 180
"""Importing everything that a set of distributions has takes seconds; more is a module that waits."""


def ask(script: str, job: Mapping[str, Any], about: str, scratch: Path) -> Any:
    """Return what a script answers. Raises ProofError, naming what it is `about`, when it does not."""
    answer = scratch / f"{script}.json"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(_SCRIPTS / f"{script}.py"), str(answer)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=scratch,
        env=_environment(scratch),
        start_new_session=True,
    )
    with process:
        try:
            _, errors = process.communicate(json.dumps(job).encode(), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise ProofError(
                f"Importing {about} in isolation took more than {_TIMEOUT_S} s: "
                "a module waits for something when it is imported."
            ) from error
    if process.returncode:
        raise ProofError(
            f"The interpreter that imports {about} in isolation ended with "
            f"{process.returncode}: {errors.decode(errors='replace')[-2000:]}"
        )
    return json.loads(answer.read_text(encoding="utf-8"))


def _environment(scratch: Path) -> dict[str, str]:
    """Nothing of ours but what an interpreter needs; one thread, since we only import."""
    folder = str(scratch)
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    return {"LANG": "C.UTF-8", "HOME": folder, "TMPDIR": folder, "PYTHONHASHSEED": "0", **threads}
