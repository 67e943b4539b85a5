"""What the user said of tasks with `dask.annotate(graphlambda={"idempotent": …})`, by operation.

In: annotations of layers, a program. Out: by operation id, whether its tasks may run twice. Must not guess: an operation of
which some tasks were not marked is not marked as one that may.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphlambda.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from graphlambda.compiler.program import Program

_OURS, _IDEMPOTENT = "graphlambda", "idempotent"


def idempotent_in(annotations: Any) -> bool | None:
    """Return what a layer's annotations say; None where they say nothing to us.

    Raises:
        RefusedError: they say something to us that we do not know.
    """
    said = (annotations or {}).get(_OURS)
    if said is None:
        return None
    if isinstance(said, dict) and said.keys() == {_IDEMPOTENT} and isinstance(said[_IDEMPOTENT], bool):
        mark: bool = said[_IDEMPOTENT]
        return mark
    raise RefusedError(
        f"A layer is annotated with {_OURS}={said!r}",
        f'All that can be said is `dask.annotate({_OURS}={{"{_IDEMPOTENT}": True}})`, or False.',
    )


def name_of(key: Hashable) -> Hashable:
    """Return what the tasks of a layer have in common in their keys."""
    return key[0] if isinstance(key, tuple) and key else key


def marked(program: Program, marks: Mapping[Hashable, bool]) -> dict[str, bool]:
    """Return, by operation id, whether tasks may run twice; `marks` says so by their keys' names.

    One task that may not is enough; one that was not marked, too, for the operation not to be one that may.
    """
    if not marks:
        return {}
    said: dict[str, set[bool | None]] = {}
    for task in range(program.task_count):
        operation = program.tables[int(program.table_of[task])].operation.id
        keys = (program.key(task), *program.absorbed(task))
        said.setdefault(operation, set()).update(marks.get(name_of(key)) for key in keys)
    return {
        operation: False not in words
        for operation, words in said.items()
        if False in words or words == {True}
    }
