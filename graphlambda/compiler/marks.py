"""What the user said of tasks with `dask.annotate(graphlambda={…})`, by operation.

In: annotations of layers, a program. Out: by operation id, whether its tasks may run twice, and what its function is given.
Must not guess: an operation of which some tasks were not marked is not marked as one that may run twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from graphlambda.errors import RefusedError
from graphlambda.parsers import OF_AN_OPERATION, MistakeError, of_an_operation

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from graphlambda.compiler.program import Program

Mark: TypeAlias = Mapping[str, Any]
"""What was said of a task: `idempotent`, or settings of its operation."""

_OURS, _IDEMPOTENT = "graphlambda", "idempotent"


def mark_in(annotations: Any) -> Mark:
    """Return what a layer's annotations say to us; empty where they say nothing.

    Raises:
        RefusedError: they say something to us that we do not know.
    """
    said = (annotations or {}).get(_OURS, {})
    try:
        return _read(said)
    except MistakeError as error:
        known = ", ".join((_IDEMPOTENT, *sorted(OF_AN_OPERATION)))
        raise RefusedError(
            f"A layer is annotated with {_OURS}={said!r}: {error}",
            f'What can be said is `dask.annotate({_OURS}={{"{_IDEMPOTENT}": True}})`, and: {known}.',
        ) from error


def _read(said: Any) -> Mark:
    if not isinstance(said, Mapping) or not isinstance(said.get(_IDEMPOTENT, True), bool):
        raise MistakeError(f"it is no dict, or `{_IDEMPOTENT}` is neither True nor False")
    settings = of_an_operation({name: value for name, value in said.items() if name != _IDEMPOTENT})
    return {**settings, **({_IDEMPOTENT: said[_IDEMPOTENT]} if _IDEMPOTENT in said else {})}


def name_of(key: Hashable) -> Hashable:
    """Return what the tasks of a layer have in common in their keys."""
    return key[0] if isinstance(key, tuple) and key else key


def marked(program: Program, marks: Mapping[Hashable, Mark]) -> dict[str, bool]:
    """Return, by operation id, whether tasks may run twice; `marks` says so by their keys' names.

    One task that may not is enough; one that was not marked, too, for the operation not to be one that may.
    """
    if not marks:
        return {}
    said: dict[str, set[bool | None]] = {}
    for task in range(program.task_count):
        operation = program.tables[int(program.table_of[task])].operation.id
        said.setdefault(operation, set()).update(
            mark.get(_IDEMPOTENT) for mark in marks_of(task, program, marks)
        )
    return {
        operation: False not in words
        for operation, words in said.items()
        if False in words or words == {True}
    }


def marks_of(task: int, program: Program, marks: Mapping[Hashable, Mark]) -> Iterator[Mark]:
    """Yield what was said of a task and of each task that is done on its way."""
    return (marks.get(name_of(key), {}) for key in (program.key(task), *program.absorbed(task)))


def settings_of(task: int, program: Program, marks: Mapping[Hashable, Mark]) -> dict[str, Any]:
    """Return the settings that a task was given: of numbers, where several tasks became one, the largest.

    Raises:
        RefusedError: they contradict each other.
    """
    together: dict[str, Any] = {}
    for mark in marks_of(task, program, marks):
        for name, value in mark.items():
            before: Any = together.setdefault(name, value)
            if isinstance(value, int):
                together[name] = max(before, value)
            elif before != value:
                raise RefusedError(
                    f"Task {program.called(task)} is done in one and annotated with two: {name}={before!r} and {value!r}",
                    "Annotate both alike, or keep them apart with `fuse=False`.",
                )
    together.pop(_IDEMPOTENT, None)
    return together
