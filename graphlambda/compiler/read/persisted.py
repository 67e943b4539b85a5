"""Persisted collections: keys whose values lie in a store and stay there.

In: a collection and references to the values of its keys. Out: a collection of the same kind whose graph
names those values. Must not download anything.

The nodes of its graph can also be run: another scheduler that meets them reads the values from the store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dask._task_spec import Task
from dask.core import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from graphlambda.compiler.program import Kept


class Fetch:
    """Stands in a graph for a kept value; calling it reads the value."""

    def __init__(self, kept: Kept, read: Callable[[Kept], Any]) -> None:
        self.kept = kept
        self._read = read

    def __call__(self) -> Any:
        """Read the value, for a scheduler that is not ours."""
        return self._read(self.kept)

    def __dask_tokenize__(self) -> tuple[str, str, int]:
        """Return what Dask names expressions by."""
        return type(self).__qualname__, self.kept.run, self.kept.id

    def __reduce__(self) -> Any:
        message = "a persisted value belongs to the process that holds its lease: store it (to_zarr, to_parquet) to pass it on"
        raise TypeError(message)


def kept_value(node: Any) -> Kept | None:
    """Return what a node of a persisted collection's graph stands for; None for any other node."""
    return node.func.kept if isinstance(node.func, Fetch) else None


def rebuilt(
    collections: Sequence[Any], keys: Sequence[Any], kept: Sequence[Any], read: Callable[[Kept], Any]
) -> list[Any]:
    """Return collections like these whose keys name kept values.

    `keys` and `kept` are parallel: one entry a collection, in nested lists.
    """
    return [_rebuilt(*parts, read) for parts in zip(collections, keys, kept, strict=True)]


def _rebuilt(collection: Any, keys: Any, kept: Any, read: Callable[[Kept], Any]) -> Any:
    rebuild, state = collection.__dask_postpersist__()
    pairs = zip(flatten([keys]), flatten([kept]), strict=True)
    graph: dict[Hashable, Any] = {key: Task(key, Fetch(value, read)) for key, value in pairs}
    return rebuild(graph, *state)
