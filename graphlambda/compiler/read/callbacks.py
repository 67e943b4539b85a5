"""Dask's callbacks: told of our runs as of any scheduler's.

In: a graph, the events of a run. Out: calls of start, start_state, pretask, posttask, finish. Must not
slow down a run that nobody listens to. A value that never comes to the client is passed as None.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from dask.callbacks import local_callbacks, unpack_callbacks
from dask.utils import key_split

Told: TypeAlias = Callable[[str, tuple[int, ...]], None]
"""`told("running" | "done", tasks)`."""


@contextmanager
def callbacks_told(
    graph: Any, key: Callable[[int], Hashable], count: int, callbacks: Any = None
) -> Iterator[Told | None]:
    """Call start and finish around a run; yield what is to be told of its tasks, None where nobody listens."""
    with local_callbacks(callbacks) as active:
        if not active:
            yield None
            return
        keys = [key(task) for task in range(count)]
        tasks = _described(keys, graph)
        state: dict[str, Any] = {
            "waiting": set(keys),
            "ready": [],
            "running": set(),
            "finished": set(),
            "cache": {},
        }
        starts, start_states, pretasks, posttasks, finishes = unpack_callbacks(active)
        _call(starts, tasks)
        _call(start_states, tasks, state)
        failed = True
        try:
            yield _teller(keys, tasks, state, pretasks, posttasks)
            failed = False
        finally:
            _call(finishes, tasks, state, failed)


def _described(keys: list[Hashable], graph: Any) -> dict[Hashable, Any]:
    """Return what callbacks know as the graph: the tasks that run, those that fusion made by their names."""
    known = graph if isinstance(graph, dict) else {}
    return {**known, **{key: known.get(key, key_split(key)) for key in keys}}


def _teller(
    keys: list[Hashable], tasks: dict[Hashable, Any], state: dict[str, Any], pretasks: Any, posttasks: Any
) -> Told:
    def told(what: str, numbers: tuple[int, ...]) -> None:
        for name in (keys[number] for number in numbers):
            if what == "running":
                state["waiting"].discard(name)
                state["running"].add(name)
                _call(pretasks, name, tasks, state)
            else:
                state["running"].discard(name)
                state["finished"].add(name)
                _call(posttasks, name, None, tasks, state, "graphlambda")

    return told


def _call(functions: Any, *arguments: Any) -> None:
    for function in functions:
        function(*arguments)
