"""Walk Dask's legacy tasks: tuples of a callable and its arguments.

In: tuples that stand for tasks, and the keys of their graph. Out: signature and leaves, the same as those of
the node that Dask would make of the tuple. Must not make that node: it costs more than all else.

What has no plain form (named tuples, subclasses of containers, `apply`) is converted after all.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from dask._task_spec import GraphNode, convert_legacy_task
from dask.utils import apply

from graphlambda.compiler.columns import Many, Reference

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from graphlambda.compiler.draft import Draft
    from graphlambda.compiler.read.nodes import TaskWalker
    from graphlambda.compiler.walk import Leaves, Tokens

_NEVER_KEYS = frozenset({type(None), slice, bytes, complex, type(Ellipsis), range})
_NUMBERS = frozenset({int, float, bool})
_TOKEN_OF: dict[type, str] = {list: "L", tuple: "T", set: "S", frozenset: "Z"}


class Known:
    """All keys of a graph, to tell a key from a string, number or tuple that merely looks like one."""

    def __init__(self, explicit: list[Mapping[Hashable, Any]], draft: Draft) -> None:
        self._explicit = draft.known().union(*explicit)
        self._draft = draft
        kinds = set(map(type, self._explicit))
        self.numbers = not kinds <= {str, tuple}
        """Whether a number may be a key."""

        self._only_named = {str}.issuperset(
            map(type, map(itemgetter(0), (key for key in self._explicit if type(key) is tuple and key)))
        )
        self.literals = _NEVER_KEYS if self.numbers else _NEVER_KEYS | _NUMBERS
        """Types whose instances are no keys and hold none."""

    def __contains__(self, key: Any) -> bool:
        if type(key) is not tuple:
            return key in self._explicit
        if not key or (self._only_named and not isinstance(key[0], str)):
            return not key and key in self._explicit
        try:
            return key in self._explicit or (isinstance(key[0], str) and self._draft.has_block(key[0]))
        except Exception:  # noqa: BLE001  (something unhashable inside, or a user's `__hash__`: no key)
            return False

    def holds_all(self, parts: list[Any]) -> bool:
        """Tell whether all members of a list are keys; False also means: not known."""
        if self.numbers:
            return False
        try:
            return self._explicit.issuperset(parts) or (
                {tuple}.issuperset(map(type, parts)) and self._draft.has_blocks(map(itemgetter(0), parts))
            )
        except Exception:  # noqa: BLE001  (as above)
            return False


class LegacyWalker:
    """Walks the legacy tasks of one graph."""

    def __init__(self, walker: TaskWalker, known: Known) -> None:
        self._walker = walker
        self._known = known
        self._called: dict[int, tuple[Any, ...]] = {}
        self._alive: list[Any] = []

    def signature(self, task: tuple[Any, ...]) -> tuple[tuple[Any, ...], Leaves]:
        """Return the signature of a task and the leaves of its ports."""
        return self._walker.complete(lambda tokens, leaves: self._walk_task(task, tokens, leaves))

    def _walk_task(self, task: tuple[Any, ...], tokens: Tokens, leaves: Leaves) -> None:
        if task[0] is apply:
            self._walk_converted(task, tokens, leaves)
            return
        tokens += ("C", len(task) - 1, ())
        tokens_of_called = self._called.get(id(task[0]))
        if tokens_of_called is None:
            self._walk_called(task[0], tokens, leaves)
        else:
            tokens += tokens_of_called
        literals = self._known.literals
        for part in task[1:]:
            kind = type(part)
            if kind in literals:
                tokens.append("P")
                leaves.append(part)
            elif isinstance(part, dict):  # Dask looks for tasks in it no further
                tokens += ("D", len(part))
                for member in (member for pair in part.items() for member in pair):
                    self._walker.walk(member, tokens, leaves, None)
            else:
                self._walk_part(part, kind, tokens, leaves)

    def _walk_called(self, called: Any, tokens: Tokens, leaves: Leaves) -> None:
        """Walk a callable; one without leaves or an identity gives the same tokens each time."""
        start, width, individuals = len(tokens), len(leaves), self._walker.individuals
        self._walker.walk(called, tokens, leaves, None)
        if len(leaves) == width and self._walker.individuals == individuals:
            self._called[id(called)] = tuple(tokens[start:])
            self._alive.append(called)

    def _walk_part(self, part: Any, kind: type, tokens: Tokens, leaves: Leaves) -> None:
        if kind is tuple and part and callable(part[0]):
            self._walk_task(part, tokens, leaves)
        elif kind in _KEYS and part in self._known:
            tokens.append("P")
            leaves.append(Reference(part))
        elif kind in _TOKEN_OF:
            self._walk_container(part, kind, tokens, leaves)
        elif kind in _KEYS:
            tokens.append("P")
            leaves.append(part)
        else:
            self._walk_converted(part, tokens, leaves)

    def _walk_converted(self, part: Any, tokens: Tokens, leaves: Leaves) -> None:
        self._walker.walk(convert_legacy_task(None, part, self._known), tokens, leaves, None)

    def _walk_container(self, part: Any, kind: type, tokens: Tokens, leaves: Leaves) -> None:
        if kind is list and part and self._gathers(part):
            tokens.append("P")
            leaves.append(Many(part))
        elif self._refers(part):
            tokens += (_TOKEN_OF[kind], len(part))
            for member in part:
                self._walk_part(member, type(member), tokens, leaves)
        else:
            self._walker.walk_container(part, tokens, leaves, None)

    def _gathers(self, parts: list[Any]) -> bool:
        """Tell whether (nested) lists hold nothing but keys."""
        return self._known.holds_all(parts) or all(
            self._gathers(part) if type(part) is list else type(part) in _KEYS and part in self._known
            for part in parts
        )

    def _refers(self, parts: Any) -> bool:
        """Tell whether a container holds a key or a task."""
        literals = self._known.literals
        return not literals.issuperset(map(type, parts)) and any(map(self._is_reference, parts))

    def _is_reference(self, part: Any) -> bool:
        kind = type(part)
        if kind in self._known.literals:
            return False
        if kind is tuple and part and callable(part[0]):
            return True
        if kind in _KEYS and part in self._known:
            return True
        if kind in _TOKEN_OF:
            return self._refers(part)
        return kind not in _KEYS and isinstance(convert_legacy_task(None, part, self._known), GraphNode)


_KEYS = _NUMBERS | {str, tuple}
