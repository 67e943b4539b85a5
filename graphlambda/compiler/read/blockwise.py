"""Layers by rule: one template and index arithmetic in place of a walk over their tasks.

In: a `Blockwise` layer that nobody has materialised. Out: a group of tasks whose columns are computed
from the grid. Must not materialise the layer.

A layer that this cannot represent (its block arguments hold tasks) is walked.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from dask._task_spec import DataNode, GraphNode, List, Task, TaskRef, parse_input
from dask.blockwise import Blockwise, BlockwiseDep, BlockwiseDepDict, _get_coord_mapping, blockwise_token

from graphlambda.compiler.columns import Many, Reference
from graphlambda.compiler.draft import Block, Draft, Group
from graphlambda.compiler.program import Column, Constant, Gathers, Ids, Inputs, Literals

if TYPE_CHECKING:
    from graphlambda.compiler.read.nodes import TaskWalker


_PLAIN = frozenset({int, float, bool, slice, type(None), str})


class Hole:
    """Stands in a template for what the grid decides: an argument, at a place within its axes."""

    __slots__ = ("argument", "place")

    def __init__(self, argument: int, place: tuple[int, ...] = ()) -> None:
        self.argument = argument
        self.place = place


class PerBlock(Sequence[Any]):
    """The literals that a block argument gives, computed when asked for."""

    def __init__(self, source: BlockwiseDep, places: Sequence[Any], shape: tuple[int, ...]) -> None:
        self._source = source
        self._places = places
        self._shape = shape

    def __len__(self) -> int:
        return prod(self._shape)

    def __getitem__(self, row: Any) -> Any:
        grid = (*_unraveled(int(row), self._shape), *self._places[1])
        place = tuple([grid[position] for position in self._places[0]])
        literal = self._source.get(place, place)
        if type(literal) is tuple and _PLAIN.issuperset(map(type, literal)):
            return literal
        return parse_input(literal)

    def __reduce__(self) -> Any:
        return list, (
            [self[row] for row in range(len(self))],
        )  # no row is out of range, so iterating never ends


def shape_of(layer: Blockwise) -> tuple[int, ...]:
    """Return the grid of a layer's output blocks."""
    return tuple(layer.dims[index] for index in layer.output_indices)


def is_by_rule(layer: Any) -> bool:
    """Tell whether a layer can be read without its tasks."""
    return (
        isinstance(layer, Blockwise)
        and not layer.output_blocks
        and not any(map(_holds_tasks, layer.io_deps.values()))
    )


def group_of(layer: Blockwise, block: Block, walker: TaskWalker, draft: Draft) -> Group:
    """Return the tasks of a layer whose ids `block` holds."""
    grid = _Grid(layer, block, draft)
    signature, leaves = walker.signature(grid.template())
    columns = tuple(grid.column(leaf) for leaf in leaves)
    tasks = np.arange(block.first, block.first + prod(block.shape), dtype=np.int64)
    return Group(signature, tasks, columns)


def _holds_tasks(source: BlockwiseDep) -> bool:
    if source.produces_keys:
        return True
    if isinstance(source, BlockwiseDepDict):
        return any(isinstance(parse_input(value), GraphNode | TaskRef) for value in source.mapping.values())
    first = source.get((0,) * len(source.numblocks), None)
    return isinstance(parse_input(first), GraphNode | TaskRef)


def _joiner() -> Any:
    """Return what Dask joins blocks with; imported when an array needs it."""
    from dask.array.core import concatenate_axes  # noqa: PLC0415

    return concatenate_axes


class _Grid:
    """The index arithmetic of one layer."""

    def __init__(self, layer: Blockwise, block: Block, draft: Draft) -> None:
        self._layer = layer
        self._block = block
        self._draft = draft
        self._joiner = _joiner() if layer.concatenate is True else layer.concatenate
        self._maps, self._axes, self._dummies = _get_coord_mapping(
            layer.dims, layer.output_indices, layer.numblocks, layer.indices, self._joiner
        )

    def template(self) -> Task:
        """Return the layer's task with holes for what differs from block to block."""
        task = self._layer.task
        for number, (argument, indices) in enumerate(self._layer.indices):
            token = blockwise_token(number)
            if token in task.dependencies:
                task = task.substitute({token: self._filling(number, token, argument, indices)})
        return task

    def column(self, leaf: Any) -> Column:
        """Return the column of one port of the template."""
        if type(leaf) is Hole:
            source = self._layer.io_deps[self._layer.indices[leaf.argument][0]]
            return Literals(PerBlock(source, (self._maps[leaf.argument], self._dummies), self._block.shape))
        if type(leaf) is Reference:
            return Inputs(self._ids_of(leaf.key))
        if type(leaf) is Many:
            return self._gathers(leaf.keys)
        return Constant(leaf)

    def _filling(self, number: int, token: str, argument: Any, indices: Any) -> Any:
        if indices is None:
            return argument if isinstance(argument, GraphNode | TaskRef) else DataNode(None, argument)
        if argument in self._layer.io_deps:
            return DataNode(None, Hole(number))
        axes = self._axes[number]
        if not axes:
            return TaskRef(Hole(number)).key
        lengths = [
            len(self._dummies[p - self._rank]) if self._is_dummy(p) else None for p in self._maps[number]
        ]
        nested = _nested(number, lengths, ())
        return Task(token, self._joiner, nested, axes) if self._joiner else nested

    @property
    def _rank(self) -> int:
        return len(self._block.shape)

    def _is_dummy(self, position: int) -> bool:
        return position >= self._rank and isinstance(self._dummies[position - self._rank], list)

    def _ids_of(self, key: Hashable) -> Ids:
        """Return the value id that a reference names in each block, in row order."""
        if isinstance(key, Hole):
            return self._ids(key)
        return np.full(prod(self._block.shape), self._draft.lookup(key), np.int64)

    def _gathers(self, keys: list[Any]) -> Column:
        count = prod(self._block.shape)
        flat = list(_flat(keys))
        ids = np.stack([self._ids_of(key) for key in flat], axis=1)
        starts = np.arange(count + 1, dtype=np.int64) * len(flat)
        return Gathers(starts, ids.reshape(-1), (_shape(keys),))

    def _ids(self, hole: Hole) -> Ids:
        """Return the value id of an argument for each block, in row order."""
        name = self._layer.indices[hole.argument][0]
        places = self._places(hole)
        source = self._draft.block(name)
        if source is not None:
            total = sum(
                (place * stride for place, stride in zip(places, _strides(source.shape), strict=True)),
                source.first,
            )
            return np.broadcast_to(total, self._block.shape).reshape(-1).astype(np.int64)
        grids = [np.broadcast_to(place, self._block.shape).reshape(-1).tolist() for place in places]
        keys = zip(*grids, strict=True) if grids else [()] * prod(self._block.shape)
        lookup = self._draft.lookup
        return np.fromiter((lookup((name, *place)) for place in keys), np.int64, prod(self._block.shape))

    def _places(self, hole: Hole) -> list[Any]:
        """Return the argument's block coordinates as arrays over the output grid."""
        grids = np.indices(self._block.shape, sparse=True) if self._block.shape else ()
        inner = iter(hole.place)
        places: list[Any] = []
        for position in self._maps[hole.argument]:
            if 0 <= position < self._rank:
                places.append(grids[position])
            elif self._is_dummy(position):
                places.append(self._dummies[position - self._rank][next(inner)])
            else:
                places.append(0)
        return places


def _nested(number: int, lengths: Sequence[int | None], place: tuple[int, ...]) -> Any:
    """Return nested lists of references, one level for each axis that is summed over."""
    if not lengths:
        return TaskRef(Hole(number, place))
    if lengths[0] is None:
        return _nested(number, lengths[1:], place)
    return List(*(_nested(number, lengths[1:], (*place, step)) for step in range(lengths[0])))


def _flat(keys: Any) -> Any:
    if isinstance(keys, list):
        for key in keys:
            yield from _flat(key)
    else:
        yield keys


def _shape(keys: list[Any]) -> Any:
    if not any(isinstance(key, list) for key in keys):
        return None
    count = iter(range(sum(1 for _ in _flat(keys))))
    return _numbered(keys, count)


def _numbered(keys: list[Any], count: Any) -> Any:
    return [_numbered(key, count) if isinstance(key, list) else next(count) for key in keys]


def _unraveled(row: int, shape: tuple[int, ...]) -> list[int]:
    """Return the grid position of a row; for one row, many times faster than NumPy."""
    place = []
    for length in reversed(shape):
        row, part = divmod(row, length)
        place.append(part)
    return place[::-1]


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]
