"""From what Dask hands over to a draft: expressions, graphs of layers, plain dicts.

In: an `Expr`, a `HighLevelGraph` or a mapping. Out: a draft that holds its tasks. Must not trust a task's
own key, nor let Dask fuse tasks one by one: what that yields depends on the hash seed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import dask
from dask._expr import CompositeExpr, Expr, HLGExpr, _ExprSequence, _HLGExprSequence
from dask._task_spec import Alias, DataNode, GraphNode, List, Task, convert_legacy_task
from dask.blockwise import Blockwise, optimize_blockwise
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph, MaterializedLayer

from graphlambda.compiler.draft import Draft
from graphlambda.compiler.marks import mark_in, name_of
from graphlambda.compiler.read.blockwise import group_of, is_by_rule, shape_of
from graphlambda.compiler.read.legacy import Known, LegacyWalker
from graphlambda.compiler.read.partitions import is_by_partition, walked
from graphlambda.compiler.read.persisted import kept_value

if TYPE_CHECKING:
    from graphlambda.compiler.marks import Mark
    from graphlambda.compiler.read.nodes import TaskWalker

Stage: TypeAlias = Callable[[str], AbstractContextManager[None]]
_FINALIZE = "finalize-"
_LEFT_TO_US = frozenset({"dask.array.optimization", "dask.bag.core", "dask.delayed"})
"""Modules whose `optimize` fuses layers (which we ask for) and then tasks (which we leave)."""


@dataclass(frozen=True, slots=True)
class Finisher:
    """What turns the values of a collection's keys into its result: a function and its further arguments."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def __call__(self, results: Any) -> Any:
        """Return the collection's result."""
        return self.function(results, *self.arguments)


@dataclass(frozen=True, slots=True)
class Final:
    """A task that only finalises: the keys whose values it takes, in nested lists, and what it does."""

    keys: Any
    finisher: Finisher


class Layers:
    """The layers of one or several graphs, before their tasks are read."""

    def __init__(self, stage: Stage) -> None:
        self.finalizers: dict[Hashable, Final] = {}
        self.marks: dict[Hashable, Mark] = {}
        self._stage = stage
        self._by_rule: dict[str, Any] = {}
        self._explicit: list[Mapping[Hashable, Any]] = []
        self._by_partition: list[Expr] = []
        self._aliases: list[tuple[Hashable, Hashable]] = []

    def add(self, graph: Any, keys: list[Hashable], *, finalize_here: bool = False) -> None:
        """Take an expression, a graph of layers or a mapping that holds `keys`.

        With `finalize_here`, tasks that only put a result together are noted, not taken.
        """
        if isinstance(graph, _HLGExprSequence | _ExprSequence):
            for operand in graph.operands:
                self.add(operand, list(flatten(operand.__dask_keys__())), finalize_here=finalize_here)
        elif isinstance(graph, CompositeExpr):
            for child in graph.exprs:
                self.add(child, list(flatten(child.__dask_keys__())))
        elif isinstance(graph, HLGExpr):
            with self._stage("dask"):
                layers = graph.hlg
            if finalize_here:
                layers, keys = self._without_finalizers(layers, keys)
            with self._stage("dask"):
                layers = _optimized(layers, keys, graph.low_level_optimizer)
            self._add_layers(layers)
        elif isinstance(graph, Expr):
            self._add_fused(self._unconcatenated(graph) if finalize_here else graph)
        elif isinstance(graph, HighLevelGraph):
            self._add_layers(graph)
        else:
            self._explicit.append(graph)

    def draft(self, walker: TaskWalker) -> Draft:
        """Return the draft of all tasks."""
        draft = Draft()
        for layer in self._by_rule.values():
            draft.add_block(layer.output, shape_of(layer))
        for key, target in self._aliases:
            draft.add_alias(key, target)
        with self._stage("symbolic"):
            self._walk_partitions(walker, draft)
        with self._stage("walk"):
            known = Known(self._explicit, draft)
            legacy = LegacyWalker(walker, known)
            for layer in self._explicit:
                _walk(layer, known, walker, legacy, draft)
        with self._stage("symbolic"):
            for layer in self._by_rule.values():
                draft.add_group(group_of(layer, draft.block(layer.output), walker, draft))  # type: ignore[arg-type]
        return draft

    def _walk_partitions(self, walker: TaskWalker, draft: Draft) -> None:
        """Read the layers with a template for all partitions; those that have none are walked with the rest."""
        for expression in self._by_partition:
            found = walked(expression, walker, self._stage)
            if found is None:
                with self._stage("dask"):
                    self._explicit.append(expression._layer())
            else:
                for task in found:
                    draft.add_task(*task)

    def _add_layers(self, graph: HighLevelGraph) -> None:
        explicit = []
        for layer in graph.layers.values():
            if layer.annotations:
                self._mark(layer)
            if type(layer) is not MaterializedLayer and is_by_rule(layer):
                self._by_rule.setdefault(layer.output, layer)
            else:
                explicit.append(layer)
        with self._stage("dask"):
            self._explicit.extend(map(_tasks_of, explicit))

    def _mark(self, layer: Any) -> None:
        """Note what the user said of a layer's tasks, by what their keys have in common."""
        mark = mark_in(layer.annotations)
        if mark:
            names = [layer.output] if is_by_rule(layer) else map(name_of, layer)
            self.marks.update(dict.fromkeys(names, mark))

    def _without_finalizers(
        self, graph: HighLevelGraph, keys: list[Hashable]
    ) -> tuple[HighLevelGraph, list[Hashable]]:
        """Take out the tasks that Dask adds to put whole results together, and note them."""
        final = {
            key for key in keys if isinstance(key, str) and key.startswith(_FINALIZE) and key in graph.layers
        }
        for name in final:
            task = graph.layers[name][name]
            nested = _keys_of(task.args[0])
            self.finalizers[name] = Final(nested, Finisher(task.func, tuple(task.args[1:])))
        layers = {name: layer for name, layer in graph.layers.items() if name not in final}
        dependencies = {name: needed for name, needed in graph.dependencies.items() if name not in final}
        inner = [key for name in sorted(final) for key in flatten([self.finalizers[name].keys])]
        return HighLevelGraph(layers, dependencies), [*(key for key in keys if key not in final), *inner]

    def _unconcatenated(self, root: Expr) -> Expr:
        """Take the frame below a repartition to one; its concatenation is noted."""
        if type(root).__name__ != "RepartitionToFewer" or root.npartitions != 1:
            return root
        ((key, (concatenate, keys)),) = root._layer().items()
        self.finalizers[key] = Final(list(keys), Finisher(concatenate, ()))
        return root.frame

    def _add_fused(self, root: Expr) -> None:
        """Fuse a dataframe expression, which Dask no longer does itself, and take it."""
        with self._stage("dask"):
            fused = _without_disk(root).fuse()
        self._aliases.extend(zip(flatten(root.__dask_keys__()), flatten(fused.__dask_keys__()), strict=True))
        self._add_expression(fused)

    def _add_expression(self, root: Expr) -> None:
        seen: set[str] = set()
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if node._name in seen:
                continue
            seen.add(node._name)
            if isinstance(node, HLGExpr):
                self.add(node, list(flatten(node.__dask_keys__())))
                continue
            if is_by_partition(node):
                self._by_partition.append(node)
            else:
                with self._stage("dask"):
                    self._explicit.append(node._layer())
            waiting.extend(reversed(node.dependencies()))


def _optimized(graph: HighLevelGraph, keys: list[Hashable], optimizer: Any) -> HighLevelGraph:
    """Fuse layers, as Dask would, and leave the fusion of tasks to the compiler."""
    if optimizer is None:
        return graph
    if optimizer.__name__ == "optimize" and optimizer.__module__ in _LEFT_TO_US:
        kinds = set(map(type, graph.layers.values()))
        return optimize_blockwise(graph, keys=keys) if any(issubclass(k, Blockwise) for k in kinds) else graph
    with dask.config.set({"optimization.fuse.active": False}):
        return HighLevelGraph.merge(optimizer(graph, keys))


def _without_disk(root: Expr) -> Expr:
    """Shuffle by tasks where Dask chose the local disk, which functions do not share, as its default."""
    shuffles = sys.modules.get("dask.dataframe.dask_expr._shuffle")
    if shuffles is None:  # dataframes cost a second to import: who has none does not pay
        return root
    while (found := next(root.find_operations(shuffles.DiskShuffle), None)) is not None:
        root = root.substitute(found, shuffles.TaskShuffle(*found.operands)).lower_completely()
    return root


def _tasks_of(layer: Any) -> Mapping[Hashable, Any]:
    """Return the tasks of a layer that is no rule, or that Dask makes tasks of now."""
    return layer.mapping if type(layer) is MaterializedLayer else dict(layer)


def _walk(
    layer: Mapping[Hashable, Any], known: Known, walker: TaskWalker, legacy: LegacyWalker, draft: Draft
) -> None:
    """Note the tasks of a layer in the draft; an error of one, be it the user's own, says which it was."""
    key: Hashable = None
    try:
        for key, node in layer.items():
            if type(node) is tuple and node and callable(node[0]):
                draft.add_task(key, *legacy.signature(node))
            else:
                _note(
                    key,
                    node if isinstance(node, GraphNode) else convert_legacy_task(key, node, known),
                    walker,
                    draft,
                )
    except Exception as error:
        error.add_note(f"in task {key!r} of the graph")
        raise


def _note(key: Hashable, node: Any, walker: TaskWalker, draft: Draft) -> None:
    kind = type(node)
    if kind is Task:
        if (kept := kept_value(node)) is None:
            draft.add_task(key, *walker.signature(node))
        else:
            draft.add_data(key, kept)
    elif kind is Alias:
        draft.add_alias(key, node.target)
    elif kind is DataNode:
        draft.add_data(key, node.value)
    elif isinstance(node, GraphNode):
        draft.add_task(key, *walker.signature(node))
    else:
        draft.add_data(key, node)


def _keys_of(node: Any) -> Any:
    """Return the keys in Dask's nested lists of references."""
    return [_keys_of(member) for member in node.args] if isinstance(node, List) else node.key
