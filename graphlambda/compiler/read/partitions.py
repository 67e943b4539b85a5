"""Dataframe layers by rule: one template for all partitions.

In: an expression that has one task a partition. Out: its tasks, walked once and filled in for each partition. Must
not trust a rule unseen: the tasks of four partitions are made and compared.

Dask makes the task of partition i from i alone. So it is asked for the task of `PARTITION`, which stands for any i: where
it only goes into references and arguments, all partitions are alike. An expression that looks at it (it reads a
file, say) is asked once a partition, and only that part of a fused task is walked again.
"""

from __future__ import annotations

import pickle
import sys
from typing import TYPE_CHECKING, Any

import cloudpickle
from dask._expr import Expr
from dask._task_spec import DataNode, GraphNode, Task

from graphlambda.compiler.columns import Many, Reference, same

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from graphlambda.compiler.read.nodes import TaskWalker
    from graphlambda.compiler.walk import Leaves, Tokens

    Walked = tuple[Hashable, tuple[Any, ...], Leaves]

_SIMPLE = frozenset({int, float, bool, str, bytes, complex, type(None), slice})

_MISUSED = (TypeError, ValueError, AttributeError, LookupError)
"""What may come of it where a stand-in is taken for a number."""


class _SeenError(Exception):
    """The stand-in for a partition was looked at."""


class _Partition:
    """Stands for the number of any partition; whoever does more than pass it on is found out."""

    __slots__ = ()

    def _look(self, *_: Any) -> Any:
        raise _SeenError

    def __hash__(self) -> int:
        return 0x9A27

    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __bool__ = __index__ = __int__ = __iter__ = _look
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __mod__ = __floordiv__ = _look
    __str__ = __repr__ = __format__ = __reduce_ex__ = _look


PARTITION: Any = _Partition()


class _Part:
    """A leaf of the template: leaf `position` of what varying member `member` has in a partition."""

    __slots__ = ("member", "position")

    def __init__(self, member: int, position: int) -> None:
        self.member = member
        self.position = position


class _Hole:
    """Stands in the template for the task of a varying member; its tokens are those of the partition in hand."""

    __slots__ = ("member", "tokens", "width")

    def __init__(self, member: int) -> None:
        self.member = member
        self.tokens: tuple[Any, ...] = ()
        self.width = 0

    def walk(self, tokens: Tokens, leaves: Leaves) -> None:
        """Append the member's tokens, and a mark for each of its leaves."""
        tokens += self.tokens
        leaves.extend(_Part(self.member, position) for position in range(self.width))


def is_by_partition(expression: Any) -> bool:
    """Tell whether an expression has one task a partition, made from the partition's number alone."""
    frames = sys.modules.get("dask.dataframe.dask_expr._expr")
    return (
        frames is not None
        and isinstance(expression, frames.Blockwise)
        and type(expression)._layer is Expr._layer
        and expression.npartitions > 2
    )


def walked(expression: Any, walker: TaskWalker, stage: Callable[[str], Any]) -> list[Walked] | None:
    """Return key, signature and leaves of each task; None where the template is not to be trusted."""
    layer = _Layer(expression, walker)
    count = expression.npartitions
    with stage("dask"):
        varying = [layer.varying_tasks(number) for number in range(count)]
        probes = {
            number: expression._task((expression._name, number), number)
            for number in (0, 1, count // 2, count - 1)
        }
    if not all(type(task) is Task for task in probes.values()):
        return None  # data, or another name of a value
    found = [layer.filled(number, tasks) for number, tasks in enumerate(varying)]
    trusted = not any(map(layer.shares, varying)) and all(
        _alike(walker.signature(task), found[number]) for number, task in probes.items()
    )
    return found if trusted else None


class _Layer:
    """The template of one layer, and what differs from partition to partition."""

    def __init__(self, expression: Any, walker: TaskWalker) -> None:
        self._name = expression._name
        self._walker = walker
        walker.handlers[_Hole] = lambda hole, tokens, leaves, _scope: hole.walk(tokens, leaves)
        self._holes: list[_Hole] = []
        self._varying: list[Any] = []
        self._templates: dict[tuple[Any, ...], tuple[tuple[Any, ...], Leaves, list[int]]] = {}
        fused = sys.modules["dask.dataframe.dask_expr._expr"].Fused
        self._task: Any = (
            Task.fuse(*map(self._member, expression.exprs, map(expression._broadcast_dep, expression.exprs)))
            if type(expression) is fused
            else self._member(expression, single=False)
        )

    def varying_tasks(self, number: int) -> list[Any]:
        """Return the tasks of the members that look at their partition's number."""
        return [member._task((member._name, number), number) for member in self._varying]

    def shares(self, varying: list[Any]) -> bool:
        """Tell whether a member reaches one object twice: its signature is then no part of another."""
        return any(self._walker.signature(task)[0][0] == "&" for task in varying)

    def filled(self, number: int, varying: list[Any]) -> Walked:
        """Return the task of one partition."""
        parts = [self._walker.signature(task) for task in varying]
        signatures = tuple(signature for signature, _ in parts)
        known = self._templates.get(signatures)
        if known is None:
            known = self._templates[signatures] = self._template(parts)
        signature, leaves, places = known
        row = leaves.copy()
        for place in places:
            row[place] = _filled(leaves[place], number, parts)
        return (self._name, number), signature, row

    def _template(self, parts: list[Any]) -> tuple[tuple[Any, ...], Leaves, list[int]]:
        for hole, (tokens, leaves) in zip(self._holes, parts, strict=True):
            hole.tokens, hole.width = tokens, len(leaves)
        signature, leaves = self._walker.signature(self._task)
        return signature, leaves, [place for place, leaf in enumerate(leaves) if _differs(leaf)]

    def _member(self, member: Any, single: bool) -> Any:
        if single:
            return member._task((member._name, 0), 0)
        key = (member._name, PARTITION)
        try:
            task = member._task(key, PARTITION)
            if isinstance(task, GraphNode) and all(map(_is_fillable, self._walker.signature(task)[1])):
                return task
        except (_SeenError, *_MISUSED):
            pass  # it is asked once a partition, below
        self._holes.append(_Hole(len(self._holes)))
        self._varying.append(member)
        return DataNode(key, self._holes[-1])


def _is_fillable(leaf: Any) -> bool:
    """Tell whether a leaf holds the stand-in nowhere but where it is filled in."""
    if type(leaf) in _SIMPLE or leaf is PARTITION:
        return True
    if type(leaf) is Reference:
        return type(leaf.key) is not tuple or tuple not in map(type, leaf.key)
    if type(leaf) is Many:
        return False
    try:
        cloudpickle.dumps([part for part in leaf if part is not PARTITION] if type(leaf) is tuple else leaf)
    except (_SeenError, pickle.PicklingError, *_MISUSED):
        return False
    return True


def _differs(leaf: Any) -> bool:
    kind = type(leaf)
    if kind is Reference:
        return type(leaf.key) is tuple and any(part is PARTITION for part in leaf.key)
    return kind is _Part or leaf is PARTITION or (kind is tuple and any(part is PARTITION for part in leaf))


def _filled(leaf: Any, number: int, parts: list[Any]) -> Any:
    kind = type(leaf)
    if kind is Reference:
        return Reference(_numbered(leaf.key, number))
    if kind is _Part:
        return parts[leaf.member][1][leaf.position]
    return number if leaf is PARTITION else _numbered(leaf, number)


def _numbered(whole: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    return tuple([number if part is PARTITION else part for part in whole])


def _alike(probe: tuple[tuple[Any, ...], Leaves], filled: Walked) -> bool:
    """Tell whether a task is what the template says."""
    (signature, leaves), (_, expected, others) = probe, filled
    return signature == expected and all(
        one.key == other.key if type(one) is type(other) is Reference else same(one, other)
        for one, other in zip(leaves, others, strict=True)
    )
