"""What a run shares with runs before and after it: values under their content's number, in a namespace.

In: a namespace, the numbers of tasks (`compiler.content`), what lies in the namespace. Out: which tasks need not run,
where shared values lie, what is deleted. Must not fail a run: what is not there, or not what it claims to be, is made again.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from graphlambda.compiler.content import content_ids
from graphlambda.compiler.program import Kept, flat
from graphlambda.errors import StoreError
from graphlambda.runtime.wire import value_name
from graphlambda.scheduler.blocking import in_thread
from graphlambda.scheduler.journal import committed, unsent
from graphlambda.scheduler.renewing import Renewing
from graphlambda.scheduler.replay import replay
from graphlambda.scheduler.state import TaskState
from graphlambda.store.namespaces import Held, excess

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from graphlambda.compiler.program import Program
    from graphlambda.scheduler.journal import Record
    from graphlambda.scheduler.state import RunState
    from graphlambda.scheduler.tools import Tools
    from graphlambda.scheduler.values import Place
    from graphlambda.store.base import Store

LEAST_S = 0.01
"""What reading a value must save for the value to be kept."""


_HOLD_EVERY_S = 60.0
"""How often a namespace's lease is renewed: it lasts an hour at least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """Where a run finds values of others and leaves its own."""

    run: str
    """The run that stands for it in the store, and that its key is derived for."""

    bound_bytes: int
    """What it may hold. A run leaves at most as much there again before it makes room, at its end."""

    least_s: float = LEAST_S


class Shared:
    """The values of one run that lie in a namespace, or may."""

    def __init__(self, namespace: Namespace | None) -> None:
        self.namespace = namespace
        self._ids: dict[int, int] = {}
        self._places: dict[int, Kept] = {}
        self._runs = {namespace.run} if namespace else set()
        self._own: set[int] = set()
        self._held: dict[str, Held] = {}
        self._left_bytes = 0

    @property
    def any_places(self) -> bool:
        """Whether any value lies in a namespace."""
        return bool(self._places)

    def may_share(self, ids: Mapping[int, int]) -> None:
        """Take the numbers of the tasks that may be shared."""
        self._ids.update(ids)

    def place(self, value: int) -> Kept | None:
        """Return where a value lies, if that is in a namespace."""
        return self._places.get(value)

    def is_ours(self, run: str) -> bool:
        """Whether a run stands for a namespace of which this run has read."""
        return run in self._runs

    def told(self, tasks: Iterable[int]) -> tuple[str, float, dict[int, int]] | None:
        """Return what the request for some tasks says of sharing; None where there is nothing to say."""
        namespace = self.namespace
        if not self._ids or namespace is None or self._left_bytes >= namespace.bound_bytes:
            return None
        ids = {task: self._ids[task] for task in tasks if task in self._ids and task not in self._own}
        return (namespace.run, namespace.least_s, ids) if ids else None

    def left(self, task: int, size_bytes: int) -> Kept:
        """Take the news that a function has left a task's value in the namespace; return where."""
        place = self._place_of(task)
        self._left_bytes += size_bytes
        self._held[value_name(place.id)] = Held(size_bytes, 0.0)
        return place

    def lies(self, value: int, place: Kept) -> None:
        """Take where a value lies."""
        self._places[value] = place
        self._runs.add(place.run)

    def forget(self, value: int) -> None:
        """Know no place of a value any more."""
        self._places.pop(value, None)

    def keep_own(self, value: int) -> None:
        """Share a value no more: a namespace has lost it once, and it comes again where this run alone has it."""
        self._own.add(value)

    def begin(self, store: Store) -> Mapping[str, Held]:
        """Return what lies in the namespace, whose lease is renewed. Blocks."""
        assert self.namespace
        store.touch(self.namespace.run)
        self._held = store.values(self.namespace.run)
        return self._held

    def start_from(self, program: Program, state: RunState) -> list[Record]:
        """Return what is done before a run begins: values that were found, and tasks that only they needed."""
        found, needed = self._found(program, state)
        records = [
            committed(task, None, held.size_bytes, self._place_of(task))
            for task, held in sorted(found.items())
        ]
        for task, held in found.items():
            self._held[value_name(self._ids[task])] = Held(held.size_bytes, 0.0)
        spared = (task for task in range(state.tasks) if task not in needed) if found else ()
        return records + [unsent(task) for task in spared if state.state(task) != TaskState.DONE]

    def _found(self, program: Program, state: RunState) -> tuple[dict[int, Held], set[int]]:
        """Return the first values found on each way back from the outputs, and all tasks on these ways."""
        stack = [value for value in flat(list(program.outputs)) if value < state.tasks]
        found: dict[int, Held] = {}
        needed: set[int] = set()
        while stack:
            task = stack.pop()
            if task >= state.tasks or task in needed or state.state(task) == TaskState.DONE:
                continue
            needed.add(task)
            held = self._held.get(value_name(self._ids[task])) if task in self._ids else None
            if held is None:
                stack += state.inputs(task)
            else:
                found[task] = held
        return found, needed

    def _place_of(self, task: int) -> Kept:
        assert self.namespace
        return Kept(run=self.namespace.run, id=self._ids[task], store="")

    def use(self, store: Store) -> None:
        """Note in the store what was found, so that other values go first. Blocks."""
        assert self.namespace
        if names := [value_name(place.id) for place in self._places.values()]:
            store.use(self.namespace.run, names)

    def tidy(self, store: Store) -> None:
        """Delete what has no room in the namespace any more. Blocks."""
        assert self.namespace
        if names := excess(self._held, self.namespace.bound_bytes):
            store.delete(self.namespace.run, names)


async def start_from_shared(
    tools: Tools, state: RunState, functions: Mapping[str, str], settings: Mapping[str, Any], *, keep: bool
) -> None:
    """Take what other runs have left in the namespace as done; where the store does not say, nothing is shared.

    Outputs that are to stay are this run's own: nobody's lease holds a namespace's.
    """
    program, place, shared = tools.program, tools.place, tools.values.shared
    if shared.namespace is None:
        return
    surroundings = json.dumps(dict(settings), sort_keys=True, default=repr)
    ids = await asyncio.to_thread(content_ids, program, functions, surroundings)
    outputs = set(flat(list(program.outputs))) if keep else set()
    with suppress(StoreError):
        await place.call(partial(shared.begin, place.store), "looking into the namespace")
        shared.may_share({task: number for task, number in ids.items() if task not in outputs})
        records = shared.start_from(program, state)
        replay(records, state, tools.values)
        for record in records:
            tools.keeper.note(record)
        tools.teller.spared(record.subject for record in records)
        await place.call(partial(shared.use, place.store), "renewing shared values")


def hold(place: Place, shared: Shared) -> list[Renewing]:
    """Keep the namespace's lease renewed, if there is one."""
    return [Renewing(place, _HOLD_EVERY_S, shared.namespace.run)] if shared.namespace else []


async def tidied(tools: Tools) -> None:
    """Make room in the namespace, if there is one; what cannot be deleted expires."""
    place, shared = tools.place, tools.values.shared
    if shared.namespace:
        with suppress(StoreError):
            await in_thread(
                partial(shared.tidy, place.store),
                timeout_s=place.limits.store_timeout_s,
                what="making room in the namespace",
            )
