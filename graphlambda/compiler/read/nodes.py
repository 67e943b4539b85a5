"""Walk Dask's graph nodes: a task becomes a signature and leaves.

In: nodes as `convert_legacy_graph` gives them. Out: tokens and leaves; a leaf that names another task is
a `Reference`, one that gathers several is a `Many`. Must not evaluate a task, nor trust
its own `key` (clones keep the key of what they were cloned from).

What only exists to please Dask's executor (subgraphs, containers, casts, `apply`) is walked through:
none of it is left at run time.
"""

from __future__ import annotations

from typing import Any

import dask
from dask._task_spec import (
    Alias,
    DataNode,
    Dict,
    List,
    NestedContainer,
    Set,
    Task,
    TaskRef,
    Tuple,
    _execute_subgraph,
    _identity_cast,
)
from dask.utils import apply, methodcaller
from toolz.functoolz import Compose, curry

from graphlambda.compiler.columns import Many, Reference
from graphlambda.compiler.kernels import kernels_for
from graphlambda.compiler.walk import Leaves, Tokens, Walker

_to_container = NestedContainer.to_container
_TOKEN_OF = {tuple: "T", set: "S", frozenset: "Z"}


class Scope:
    """Where the names of a fused task's inner tasks are looked up."""

    __slots__ = ("bound", "inner", "locals", "outer")

    def __init__(self, inner: dict[Any, Any], bound: dict[Any, Any], outer: Scope | None) -> None:
        self.inner = inner
        self.bound = bound
        self.outer = outer
        self.locals: dict[Any, int] = {}


class TaskWalker(Walker):
    """Walks Dask's nodes beside plain Python."""

    def __init__(self, release: str = dask.__version__) -> None:
        super().__init__(kernels_for(release, dask.config.get("array.backend", "numpy")))
        self._locals = 0
        self.handlers.update(
            {
                TaskRef: self.walk_reference,
                Alias: self.walk_alias,
                Task: self.walk_task,
                DataNode: self.walk_data,
                List: self.walk_list,
                Tuple: self.walk_tuple,
                Set: self.walk_set,
                Dict: self.walk_dict,
                methodcaller: self.walk_code,
                Compose: self.walk_code,
                curry: self.walk_code,
            }
        )

    def begin(self) -> None:
        """Forget what the task before held, and number the locals of the next one from 0."""
        super().begin()
        self._locals = 0

    def learn(self, kind: type) -> Any:
        """Subclasses of Dask's nodes are walked as what they are subclasses of."""
        for known in (TaskRef, Alias, DataNode, List, Tuple, Set, Dict, Task):
            if issubclass(kind, known):
                self.handlers[kind] = self.handlers[known]
                return self.handlers[kind]
        return super().learn(kind)

    def walk_data(self, node: DataNode, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A data node is its value."""
        self.walk(node.value, tokens, leaves, scope)

    def walk_reference(self, node: TaskRef, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A reference is a port, or an inner task."""
        if scope is None:
            tokens.append("P")
            leaves.append(Reference(node.key))
        else:
            self._resolve(node.key, tokens, leaves, scope)

    def walk_alias(self, node: Alias, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """An alias is what it stands for."""
        if scope is None:
            tokens.append("P")
            leaves.append(Reference(node.target))
        else:
            self._resolve(node.target, tokens, leaves, scope)

    def walk_task(self, task: Task, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A task is a call, unless its callable only moves values about."""
        called = task.func
        if called is _execute_subgraph:
            self._walk_subgraph(task.args, tokens, leaves, scope)
        elif called is _identity_cast:
            self._walk_sequence(task.kwargs["typ"], task.args, tokens, leaves, scope)
        elif called is _to_container:
            self._walk_sequence(task.kwargs["constructor"], task.args, tokens, leaves, scope)
        else:
            keywords = task.kwargs
            called, arguments, keywords = _unapplied(called, task.args, keywords)
            self._walk_call(called, arguments, keywords, tokens, leaves, scope)

    def walk_list(self, node: Any, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A (nested) list of references only is one port, however long it is."""
        keys = self._gathered(node.args, scope)
        if keys is None:
            self._walk_items("L", node.args, tokens, leaves, scope)
        else:
            tokens.append("P")
            leaves.append(Many(keys))

    def walk_tuple(self, node: Tuple, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A tuple of expressions."""
        self._walk_items("T", node.args, tokens, leaves, scope)

    def walk_set(self, node: Set, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A set of expressions."""
        self._walk_items("S", node.args, tokens, leaves, scope)

    def walk_dict(self, node: Any, tokens: Tokens, leaves: Leaves, scope: Scope | None) -> None:
        """A dict of expressions."""
        tokens += ("D", len(node.args) // 2)
        for part in node.args:
            self.walk(part, tokens, leaves, scope)

    def _walk_call(
        self,
        called: Any,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        tokens: Tokens,
        leaves: Leaves,
        scope: Scope | None,
    ) -> None:
        tokens += ("C", len(arguments), tuple(keywords))
        handlers = self.handlers
        kind = type(called)
        (handlers.get(kind) or self.learn(kind))(called, tokens, leaves, scope)
        for part in arguments:
            kind = type(part)
            (handlers.get(kind) or self.learn(kind))(part, tokens, leaves, scope)
        for part in keywords.values():
            kind = type(part)
            (handlers.get(kind) or self.learn(kind))(part, tokens, leaves, scope)

    def _walk_items(
        self, token: str, items: tuple[Any, ...], tokens: Tokens, leaves: Leaves, scope: Scope | None
    ) -> None:
        tokens += (token, len(items))
        for item in items:
            self.walk(item, tokens, leaves, scope)

    def _walk_sequence(
        self, kind: Any, items: tuple[Any, ...], tokens: Tokens, leaves: Leaves, scope: Scope | None
    ) -> None:
        node = Items(items)
        if kind is list:
            self.walk_list(node, tokens, leaves, scope)
        elif kind in _TOKEN_OF:
            self._walk_items(_TOKEN_OF[kind], items, tokens, leaves, scope)
        else:  # a Dict that became a plain task when something was put in its place
            self.walk_dict(node, tokens, leaves, scope)

    def _walk_subgraph(
        self, arguments: tuple[Any, ...], tokens: Tokens, leaves: Leaves, scope: Scope | None
    ) -> None:
        inner, wanted, names, *given = arguments
        bound = dict(zip(names, given, strict=True)) if names else {}
        self._resolve(wanted, tokens, leaves, Scope(inner, bound, scope))

    def _resolve(self, key: Any, tokens: Tokens, leaves: Leaves, scope: Scope) -> None:
        number = scope.locals.get(key)
        if number is not None:
            tokens += ("U", number)
            return
        if key in scope.bound:
            target, target_scope = scope.bound[key], scope.outer
        else:
            target, target_scope = scope.inner[key], scope
            if type(target) is Alias:
                self._resolve(target.target, tokens, leaves, scope)
                return
        scope.locals[key] = self._locals
        self._locals += 1
        tokens.append("=")
        self.walk(target, tokens, leaves, target_scope)

    def _gathered(self, items: tuple[Any, ...], scope: Scope | None) -> list[Any] | None:
        keys: list[Any] = []
        for item in items:
            kind = type(item)
            if kind is TaskRef or kind is Alias:
                found = _outermost(item, scope)
                if found is None:
                    return None
                keys.append(found.key if type(found) is TaskRef else found.target)
            elif kind is List or (
                kind is Task and item.func is _identity_cast and item.kwargs["typ"] is list
            ):
                nested = self._gathered(item.args, scope)
                if nested is None:
                    return None
                keys.append(nested)
            else:
                return None
        return keys

    def _walk_callable(self, thing: Any, tokens: Tokens, leaves: Leaves) -> None:
        kind = type(thing)
        if kind is methodcaller:
            tokens += ("M", thing.method)
        elif kind is Compose:
            parts = (thing.first, *thing.funcs)
            tokens += ("K", len(parts))
            for part in parts:
                self.walk(part, tokens, leaves, None)
        elif kind is curry:
            self._walk_partial(thing._partial, tokens, leaves)
        else:
            super()._walk_callable(thing, tokens, leaves)


class Items:
    """Items that are walked as if they stood in one of Dask's containers."""

    __slots__ = ("args",)

    def __init__(self, args: tuple[Any, ...]) -> None:
        self.args = args


def _outermost(item: TaskRef | Alias, scope: Scope | None) -> TaskRef | Alias | None:
    """Follow a reference out of all fused tasks; None if it ends at an inner task or a literal."""
    while scope is not None:
        key = item.key if type(item) is TaskRef else item.target
        item = scope.bound.get(key)
        if type(item) is not TaskRef and type(item) is not Alias:
            return None
        scope = scope.outer
    return item


def _unapplied(
    called: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Turn `apply(f, [a, b], {k: v})` into `f(a, b, k=v)` where both containers are spelled out."""
    if called is not apply or len(arguments) < 2:
        return called, arguments, keywords
    given = arguments[1]
    named: Any = arguments[2] if len(arguments) > 2 else {}
    if isinstance(given, List | Tuple) or (type(given) is Task and given.func is _identity_cast):
        given = given.args
    if type(named) is DataNode:
        named = named.value
    elif isinstance(named, Dict):
        named = dict(named.items())
    spelled = (
        type(given) in (list, tuple) and type(named) is dict and all(type(name) is str for name in named)
    )
    if not spelled:
        return called, arguments, keywords
    inner = arguments[0]
    return inner.value if type(inner) is DataNode else inner, tuple(given), named
