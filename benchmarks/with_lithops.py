"""Tasks that do nothing, as a user of Lithops runs them on this machine.

In: a shape. Out: seconds and how many tasks they were for. Lithops has no graphs: independent tasks are one `map`, a
tree is a `map` a level, a chain is a call after the other's result. It is so slow that the sizes are smaller.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "lithops"
INDEPENDENT = 16
HOPS = 5


def measured(shapes: list[str]) -> list[tuple[str, int, float]]:
    """Return (shape, tasks, seconds) of each, after one call that nobody measures."""
    from lithops import FunctionExecutor

    with FunctionExecutor(config=config()) as executor:
        _call(executor)
        return [(shape, *_timed(_SHAPES[shape], executor)) for shape in shapes]


def nothing(_input: Any) -> None:
    """Do nothing."""


def config() -> dict[str, Any]:
    """Return the configuration: this machine, this Python, as many workers as there are cores (its default)."""
    own = {"data_cleaner": False, "telemetry": False, "log_level": None}  # its cleaner would outlive us
    return {
        "lithops": {"backend": "localhost", "storage": "localhost", **own},
        "localhost": {"runtime": sys.executable},
    }


def _timed(run: Callable[[Any], int], executor: Any) -> tuple[int, float]:
    start_s = time.perf_counter()
    tasks = run(executor)
    return tasks, time.perf_counter() - start_s


def _call(executor: Any) -> None:
    executor.get_result(executor.call_async(nothing, None))


def _map(executor: Any, count: int) -> int:
    executor.get_result(executor.map(nothing, list(range(count))))
    return count


def _chain(executor: Any) -> int:
    for _ in range(HOPS):
        _call(executor)
    return HOPS


def _tree(executor: Any) -> int:
    return sum(_map(executor, count) for count in (8, 4, 2, 1))


_SHAPES: dict[str, Callable[[Any], int]] = {
    "independent": lambda executor: _map(executor, INDEPENDENT),
    "chain": _chain,
    "alternating": _chain,  # its callables are values, so that two of them cost what one costs
    "tree": _tree,
}
