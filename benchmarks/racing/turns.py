"""Peers that take turns: each lives in a process of its own and runs when it is asked, so that all have the same weather.

    python -m benchmarks.racing.turns CASE PEER FOLDER

In: on stdin, a line for each run. Out: on stdout a line with its seconds; when stdin ends, one with the result's numbers.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING, Any

from benchmarks.apart import LIMIT_S, single_threaded
from benchmarks.racing.measure import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

WARM = 2
"""Runs that are not counted: what the first measured, the second is fused by, and makes functions for."""


class Racer:
    """A peer in its process."""

    def __init__(self, name: str, process: subprocess.Popen[str]) -> None:
        self._name, self._process = name, process

    def run(self) -> float:
        """Have it compute the case; return the seconds that it took.

        Raises:
            subprocess.SubprocessError: its process ended; its own words are on stderr.
        """
        assert self._process.stdin is not None
        try:
            print(file=self._process.stdin, flush=True)
        except BrokenPipeError as error:
            raise subprocess.SubprocessError(f"{self._name} has ended") from error
        return float(self._told())

    def numbers(self) -> Any:
        """Return what its latest result comes down to; it ends with this."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._told()

    def _told(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise subprocess.SubprocessError(f"{self._name} has ended, or took more than {LIMIT_S} s")
        return json.loads(line)


@contextmanager
def racer(case: str, peer: str, folder: str) -> Iterator[Racer]:
    """Yield a peer, which ends with the block, and after `LIMIT_S` however that goes."""
    command = [sys.executable, "-m", "benchmarks.racing.turns", case, peer, folder]
    environment = {**os.environ, **single_threaded()}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        limit = Timer(LIMIT_S, process.kill)
        limit.start()
        try:
            yield Racer(f"{case} by {peer}", process)
        finally:
            limit.cancel()
            if process.stdin is not None and process.poll() is None:
                process.stdin.close()


def main(case: str, peer: str, folder: str) -> None:
    """Run for each line."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what tasks and libraries print is no answer
    with prepared(case, peer, folder) as run:
        for _line in sys.stdin:
            print(json.dumps(run.timed()), file=answers, flush=True)
        print(json.dumps(run.numbers()), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
