"""How long a first invocation takes to reach the user's code, beside a bare Python that imports the same modules.

In: cases. Out: `Cold`s. A function that differs in its memory alone is another function, so its first invocation is
cold; the same run repeated is warm, and what it takes is not the cold start's. Both are timed in turns.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import graphlambda
from benchmarks.packing.case import operation_of
from graphlambda.packager.requirements import evidence_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.packing.case import Case

_MEMORY_MB = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class Cold:
    """One case; medians, in seconds."""

    name: str
    modules: tuple[str, ...]
    """What both import."""

    cold_s: float
    """A first run, less what the same run takes when it is warm."""

    bare_s: float
    """`python -c "import …"` with the user's own site-packages."""

    @property
    def ratio(self) -> float:
        """How many times a bare import."""
        return self.cold_s / self.bare_s


def measure(case: Case, repeats: int) -> Cold:
    """Time a case cold, and the bare import of its modules, in turns."""
    print(f"cold: {case.name}", file=sys.stderr, flush=True)
    program = case.program()
    operation = operation_of(program)
    modules = tuple(sorted(evidence_of(operation)))
    pairs = [(_cold_s(program, number), _seconds(lambda: _bare(modules))) for number in range(repeats)]
    return Cold(
        name=case.name,
        modules=modules,
        cold_s=statistics.median(cold for cold, _ in pairs),
        bare_s=statistics.median(bare for _, bare in pairs),
    )


def _cold_s(program: graphlambda.Program, number: int) -> float:
    flags = {"memory_mb": _MEMORY_MB + number, "progress": False}
    deployment = graphlambda.deploy(program, **flags)
    first_s, second_s = (_seconds(lambda: graphlambda.run(program, deployment, **flags)) for _ in range(2))
    return first_s - second_s


def _bare(modules: tuple[str, ...]) -> None:
    code = "\n".join(f"import {module}" for module in modules)
    subprocess.run([sys.executable, "-c", code], check=True)


def _seconds(work: Callable[[], object]) -> float:
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s
